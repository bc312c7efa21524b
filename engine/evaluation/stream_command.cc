#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/evaluation/command_options.h"
#include "engine/evaluation/commands.h"
#include "engine/evaluation/progress.h"
#include "engine/evaluation/report.h"
#include "engine/evaluation/streaming.h"

namespace tome {
namespace {

struct StreamArguments {
  CommonOptions common;
  std::vector<std::string> text_paths;
  std::vector<std::string> memories = {"window", "regions"};
  std::string plot_path;
  std::int64_t tokens = 0, from = 8192;
};

absl::StatusOr<std::vector<TokenId>> ReadTokens(const StreamArguments& arguments, const Tokenizer& tokenizer) {
  std::vector<TokenId> tokens;
  if (tokenizer.add_bos() && tokenizer.bos()) tokens.push_back(*tokenizer.bos());
  for (const std::string& path : arguments.text_paths) {
    TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
    for (const TextToken& token : tokenizer.Encode(text)) tokens.push_back(token.id);
  }
  const auto found = static_cast<std::int64_t>(tokens.size());
  if (arguments.tokens > found) {
    return InvalidArgument("--tokens: the texts have {} tokens, {} are wanted", found, arguments.tokens);
  }
  if (arguments.tokens > 0) tokens.resize(static_cast<std::size_t>(arguments.tokens));
  return tokens;
}

std::string FormatResults(const std::vector<StreamResult>& results, std::int64_t from, std::int64_t tokens) {
  ReportTable table({"memory", "perplexity", "nats/token", "to the first", "s.e.", "tokens/s", "state MiB"});
  for (const StreamResult& result : results) {
    const double loss = result.Loss(from, tokens);
    const PairedDifference paired = CompareLosses(result, results.front(), from);
    table.AddRow({result.memory, fmt::format("{:.3f}", std::exp(loss)), fmt::format("{:.4f}", loss),
                  &result == &results.front() ? "" : fmt::format("{:+.4f}", paired.mean),
                  &result == &results.front() ? "" : fmt::format("{:.4f}", paired.standard_error),
                  fmt::format("{:.0f}", static_cast<double>(tokens) / result.seconds),
                  fmt::format("{:.1f}", static_cast<double>(result.state_bytes) / (1 << 20))});
  }
  return table.Format();
}

nlohmann::json ToJson(const StreamResult& result, std::int64_t from, std::int64_t tokens) {
  nlohmann::json segments = nlohmann::json::array();
  for (const SegmentLoss& segment : result.segments) {
    segments.push_back(
        {{"first_token", segment.first_token}, {"predicted", segment.predicted}, {"nats", segment.nats}});
  }
  return {{"memory", result.memory},           {"nats_per_token", result.Loss(from, tokens)},
          {"seconds", result.seconds},         {"tokens_per_second", static_cast<double>(tokens) / result.seconds},
          {"state_bytes", result.state_bytes}, {"segments", segments}};
}

absl::Status RunStream(const StreamArguments& arguments) {
  std::vector<NamedMemory> memories;
  for (const std::string& text : arguments.memories) {
    TOME_ASSIGN_OR_RETURN(memories.emplace_back(), ParseNamedMemory(text, arguments.common.memory));
  }
  TOME_ASSIGN_OR_RETURN(const auto model, arguments.common.LoadModel());
  TOME_ASSIGN_OR_RETURN(const std::vector<TokenId> tokens, ReadTokens(arguments, *model->tokenizer()));
  const auto count = static_cast<std::int64_t>(tokens.size());
  if (arguments.from >= count) {
    return InvalidArgument("--from: expected less than the {} tokens of the texts, found {}", count, arguments.from);
  }
  std::vector<StreamResult> results;
  for (const NamedMemory& memory : memories) {
    Progress progress(memory.name, count);
    TOME_ASSIGN_OR_RETURN(results.emplace_back(),
                          MeasureStream(model, memory, tokens, [&](std::int64_t done) { progress.Show(done); }));
  }
  fmt::print("{} tokens; loss of those from {} on\n\n{}", count, arguments.from,
             FormatResults(results, arguments.from, count));
  if (!arguments.plot_path.empty()) {
    TOME_RETURN_IF_ERROR(WriteTextFile(arguments.plot_path, PlotPerplexity(results)));
  }
  nlohmann::json figures = {{"model", model->info().path},
                            {"precision", PrecisionName(model->info().precision)},
                            {"tokens", count},
                            {"from", arguments.from},
                            {"runs", nlohmann::json::array()}};
  for (const StreamResult& result : results) figures["runs"].push_back(ToJson(result, arguments.from, count));
  return arguments.common.WriteJson(figures);
}

}  // namespace

void AddStreamCommand(CLI::App& app, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<StreamArguments>();
  CLI::App* command = app.add_subcommand("stream", "Perplexity over a long text, with different memories");
  arguments->common.Add(command);
  command->add_option("--text", arguments->text_paths, "Texts to read, one after the other")->required();
  command->add_option("--tokens", arguments->tokens, "Stop after so many tokens; 0: read all")->capture_default_str();
  command
      ->add_option("--memory", arguments->memories,
                   "Memories to compare, the first is what the others are compared with: window, regions, or settings "
                   "like selected=16,pool=64,retention=surprise")
      ->capture_default_str();
  command->add_option("--from", arguments->from, "First token whose loss counts in the table")->capture_default_str();
  command->add_option("--plot", arguments->plot_path, "Write a picture of perplexity by position (SVG)");
  command->callback([arguments, run] { *run = [arguments] { return RunStream(*arguments); }; });
}

}  // namespace tome
