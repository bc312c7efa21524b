#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/evaluation/commands/command_options.h"
#include "engine/evaluation/commands/commands.h"
#include "engine/evaluation/figures/progress.h"
#include "engine/evaluation/report.h"
#include "engine/evaluation/streaming.h"

namespace tome {
namespace {

struct StreamArguments {
  CommonOptions common;
  std::vector<std::string> text_paths;
  std::vector<std::string> memories = {"window", "regions"};
  std::string after_path, svg_path;
  std::int64_t tokens = 0, from = 8192, drift = 0;
};

std::string FormatResults(const std::vector<StreamResult>& results, std::int64_t from, std::int64_t tokens) {
  ReportTable table({"memory", "perplexity", "nats/token", "to the first", "s.e.", "tokens/s", "state MiB"});
  for (const StreamResult& result : results) {
    const double loss = result.Loss(from, tokens);
    const PairedDifference paired = CompareLosses(result, results.front(), from);
    table.AddRow({result.memory, fmt::format("{:.3f}", std::exp(loss)), fmt::format("{:.4f}", loss),
                  &result == &results.front() ? "" : fmt::format("{:+.4f}", paired.mean),
                  &result == &results.front() ? "" : fmt::format("{:.4f}", paired.standard_error),
                  fmt::format("{:.0f}", result.TokensPerSecond(from)),
                  fmt::format("{:.1f}", static_cast<double>(result.state_bytes) / (1 << 20))});
  }
  return table.Format();
}

std::string FormatPaired(const PairedDifference& paired) {
  return fmt::format("{:+.4f} ({:.4f})", paired.mean, paired.standard_error);
}

std::string FormatDrift(const std::vector<StreamResult>& results, std::int64_t tokens) {
  ReportTable table({"memory", fmt::format("first {} tokens", tokens), fmt::format("last {}", tokens), "change"});
  for (const StreamResult& result : results) {
    const Drift drift = MeasureDrift(result, results.front(), tokens);
    if (&result == &results.front()) continue;
    table.AddRow({result.memory, FormatPaired(drift.first), FormatPaired(drift.last), FormatPaired(drift.change)});
  }
  return fmt::format("\nNats per token compared with {}, and the standard error over segments:\n\n{}",
                     results.front().memory, table.Format());
}

nlohmann::json ToJson(const PairedDifference& paired) {
  return {{"mean", paired.mean}, {"standard_error", paired.standard_error}};
}

nlohmann::json ToJson(const StreamResult& result, std::int64_t from, std::int64_t tokens) {
  nlohmann::json segments = nlohmann::json::array();
  for (const SegmentLoss& segment : result.segments) {
    segments.push_back({{"first_token", segment.first_token},
                        {"predicted", segment.predicted},
                        {"nats", segment.nats},
                        {"seconds", segment.seconds}});
  }
  return {{"memory", result.memory},
          {"nats_per_token", result.Loss(from, tokens)},
          {"tokens_per_second", result.TokensPerSecond(from)},
          {"state_bytes", result.state_bytes},
          {"segments", segments}};
}

absl::Status RunStream(StreamArguments arguments) {
  TOME_ASSIGN_OR_RETURN(const auto model, arguments.common.LoadModel());
  std::vector<NamedMemory> memories;
  for (const std::string& text : arguments.memories) {
    TOME_ASSIGN_OR_RETURN(memories.emplace_back(), ParseNamedMemory(text, arguments.common.memory));
  }
  if (!arguments.after_path.empty()) {
    TOME_ASSIGN_OR_RETURN(memories.emplace_back(), LoadNamedMemory(model, arguments.after_path));
  }
  TOME_ASSIGN_OR_RETURN(const std::vector<TokenId> tokens,
                        ReadTokenFiles(*model->tokenizer(), arguments.text_paths, arguments.tokens));
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
  if (arguments.drift > 0) fmt::print("{}", FormatDrift(results, arguments.drift));
  if (!arguments.svg_path.empty()) TOME_RETURN_IF_ERROR(WriteTextFile(arguments.svg_path, PlotPerplexity(results)));
  nlohmann::json figures = {{"model", model->info().path},
                            {"precision", PrecisionName(model->info().precision)},
                            {"tokens", count},
                            {"from", arguments.from},
                            {"runs", nlohmann::json::array()}};
  for (const StreamResult& result : results) {
    nlohmann::json run = ToJson(result, arguments.from, count);
    run["to_the_first"] = ToJson(CompareLosses(result, results.front(), arguments.from));
    if (arguments.drift > 0) {
      const Drift drift = MeasureDrift(result, results.front(), arguments.drift);
      run["drift"] = {{"tokens", arguments.drift},
                      {"first", ToJson(drift.first)},
                      {"last", ToJson(drift.last)},
                      {"change", ToJson(drift.change)}};
    }
    figures["runs"].push_back(std::move(run));
  }
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
      ->add_option(
          "--memory", arguments->memories,
          "Memories to compare, the first is what the others are compared with: window, window=4096, regions, or "
          "settings like selected=16,pool=64,retention=surprise")
      ->capture_default_str();
  command->add_option(
      "--after", arguments->after_path,
      "Compare also with a memory that has read other text before: the state in this file, as qa --state "
      "keeps it");
  command->add_option("--from", arguments->from, "First token whose loss and time count in the table")
      ->capture_default_str();
  command->add_option("--drift", arguments->drift,
                      "Compare the loss of the first and of the last so many tokens with the first memory's");
  command->add_option("--svg", arguments->svg_path, "Write a picture of perplexity by position");
  command->callback([arguments, run] { *run = [arguments] { return RunStream(*arguments); }; });
}

}  // namespace tome
