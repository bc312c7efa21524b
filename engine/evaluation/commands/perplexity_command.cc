#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/evaluation/commands/command_options.h"
#include "engine/evaluation/commands/commands.h"
#include "engine/evaluation/figures/progress.h"
#include "engine/evaluation/perplexity.h"
#include "engine/evaluation/report.h"
#include "engine/model/position_encoding.h"

namespace tome {
namespace {

struct PerplexityArguments {
  ModelOptions model;
  std::vector<std::string> text_paths;
  std::vector<std::int64_t> contexts;
  std::int64_t stride = 256, from = 1, max_tokens = 0;
  std::vector<std::string> patterns = {"dense"}, encodings = {"own"};
  double scale = 0;
  std::string weights = "auto", report_path, svg_path, json_path;
};

// What WithPositionEncoding takes: the factor is that of --scale, else the least that makes the context fit.
std::string EncodingFor(const std::string& name, double scale, const LlamaConfig& config, std::int64_t context) {
  if (name == "own") return "";
  if (name == "rope" || name.find('(') != std::string::npos) return name;
  const double needed = static_cast<double>(context) / static_cast<double>(TrainedLength(config));
  return fmt::format("{}({:g})", name, scale > 0 ? scale : std::max(1.0, needed));
}

absl::StatusOr<std::vector<PerplexityOptions>> PlanRuns(const PerplexityArguments& arguments,
                                                        const LlamaConfig& config) {
  std::vector<PerplexityOptions> runs;
  for (const std::string& text : arguments.patterns) {
    TOME_ASSIGN_OR_RETURN(const AttentionPattern pattern, AttentionPattern::Parse(text));
    for (const std::string& encoding : arguments.encodings) {
      for (const std::int64_t context : arguments.contexts) {
        PerplexityOptions run{.context = context,
                              .stride = arguments.stride,
                              .from = arguments.from,
                              .attention = pattern,
                              .encoding = EncodingFor(encoding, arguments.scale, config, context)};
        TOME_RETURN_IF_ERROR(WithPositionEncoding(run.encoding, config).status());
        TOME_RETURN_IF_ERROR(pattern.ForHeads(config.num_heads, context).status());
        runs.push_back(std::move(run));
      }
    }
  }
  return runs;
}

std::string EncodingName(const PerplexityResult& result) {
  return result.options.encoding.empty() ? "own" : result.options.encoding;
}

std::string FormatRuns(const std::vector<PerplexityResult>& results) {
  ReportTable table({"context", "attention", "encoding", "perplexity", "nats/token", "nats/word", "bits/byte", "tokens",
                     "seconds", "attention GMAC"});
  for (const PerplexityResult& result : results) {
    table.AddRow({fmt::format("{}{}", result.options.context, result.BeyondTrained() ? " (!)" : ""),
                  result.options.attention.ToString(), EncodingName(result),
                  fmt::format("{:.3f}", std::exp(result.NatsPerToken())), fmt::format("{:.4f}", result.NatsPerToken()),
                  fmt::format("{:.4f}", result.nats / static_cast<double>(std::max<std::int64_t>(1, result.words))),
                  fmt::format("{:.4f}", result.nats / std::log(2.0) /
                                            static_cast<double>(std::max<std::int64_t>(1, result.bytes))),
                  fmt::format("{}", result.scored), fmt::format("{:.1f}", result.seconds),
                  fmt::format("{:.2f}", static_cast<double>(result.attention_multiply_adds) * 1e-9)});
  }
  return table.Format();
}

// A row for each pattern and encoding, a column for each context, as the papers have it.
std::string FormatReport(const std::vector<PerplexityResult>& results, const std::vector<std::int64_t>& contexts) {
  std::vector<std::string> header = {"attention", "encoding"};
  for (const std::int64_t context : contexts) header.push_back(fmt::format("{}", context));
  ReportTable table(header);
  for (std::size_t first = 0; first < results.size(); first += contexts.size()) {
    std::string encoding = EncodingName(results[first]);
    encoding = encoding.substr(0, encoding.find('('));
    std::vector<std::string> row = {results[first].options.attention.ToString(), encoding};
    for (std::size_t i = 0; i < contexts.size(); ++i) {
      const PerplexityResult& result = results[first + i];
      row.push_back(fmt::format("{:.2f}{}", std::exp(result.NatsPerToken()), result.BeyondTrained() ? " (!)" : ""));
    }
    table.AddRow(row);
  }
  return table.Format();
}

nlohmann::json ToJson(const PerplexityResult& result) {
  nlohmann::json windows = nlohmann::json::array();
  for (const WindowLoss& window : result.windows) {
    windows.push_back({{"first_token", window.first_token}, {"scored", window.scored}, {"nats", window.nats}});
  }
  return {{"context", result.options.context},
          {"stride", result.options.stride},
          {"attention", result.options.attention.ToString()},
          {"encoding", EncodingName(result)},
          {"nats", result.nats},
          {"scored_tokens", result.scored},
          {"scored_bytes", result.bytes},
          {"scored_words", result.words},
          {"nats_per_token", result.NatsPerToken()},
          {"perplexity", std::exp(result.NatsPerToken())},
          {"seconds", result.seconds},
          {"attention_multiply_adds", result.attention_multiply_adds},
          {"longest_context", result.longest_context},
          {"beyond_trained", result.BeyondTrained()},
          {"windows", windows}};
}

absl::Status WriteResults(const PerplexityArguments& arguments, const ModelInfo& info, std::int64_t tokens,
                          const std::vector<PerplexityResult>& results) {
  fmt::print("{} tokens of text, weights {}\n\n{}", tokens, arguments.weights, FormatRuns(results));
  if (std::any_of(results.begin(), results.end(), [](const auto& result) { return result.BeyondTrained(); })) {
    fmt::print(
        "\n(!) beyond the {} positions that the model was trained on, with an encoding that does not extend them\n",
        TrainedLength(info.config));
  }
  if (!arguments.report_path.empty()) {
    TOME_RETURN_IF_ERROR(WriteTextFile(arguments.report_path, FormatReport(results, arguments.contexts)));
  }
  if (!arguments.svg_path.empty()) TOME_RETURN_IF_ERROR(WriteTextFile(arguments.svg_path, PlotByPosition(results)));
  if (arguments.json_path.empty()) return absl::OkStatus();
  nlohmann::json figures = {{"model", info.path},
                            {"model_digest", info.model_digest},
                            {"tokenizer_digest", info.tokenizer_digest},
                            {"precision", PrecisionName(info.precision)},
                            {"weights", arguments.weights},
                            {"texts", arguments.text_paths},
                            {"tokens", tokens},
                            {"from", arguments.from},
                            {"runs", nlohmann::json::array()}};
  for (const PerplexityResult& result : results) figures["runs"].push_back(ToJson(result));
  return WriteTextFile(arguments.json_path, figures.dump(1) + "\n");
}

WeightFormat FormatOf(const std::string& weights) {
  if (weights == "int4") return WeightFormat::kInt4;
  return weights == "packed" ? WeightFormat::kPacked : WeightFormat::kAsLoaded;
}

absl::Status RunPerplexity(PerplexityArguments arguments) {
  if (arguments.weights == "fp32") arguments.model.precision = Precision::kFp32;
  if (arguments.weights == "bf16") arguments.model.precision = Precision::kBf16;
  TOME_ASSIGN_OR_RETURN(const auto loaded, Model::Load(arguments.model));
  TOME_ASSIGN_OR_RETURN(const std::vector<PerplexityOptions> runs, PlanRuns(arguments, loaded->info().config));
  TOME_ASSIGN_OR_RETURN(std::string all, ReadTextFiles(arguments.text_paths));
  const TokenizedText text = TokenizeText(*loaded->tokenizer(), std::move(all), arguments.max_tokens);
  TOME_ASSIGN_OR_RETURN(const auto model, WithWeights(loaded, FormatOf(arguments.weights)));
  const auto count = static_cast<std::int64_t>(text.encoded.tokens.size());
  std::vector<PerplexityResult> results;
  for (const PerplexityOptions& run : runs) {
    Progress progress(fmt::format("{}, {}, context {}", run.attention.ToString(),
                                  run.encoding.empty() ? "own encoding" : run.encoding, run.context),
                      count - run.from);
    TOME_ASSIGN_OR_RETURN(results.emplace_back(),
                          MeasurePerplexity(*model, text, run, [&](std::int64_t scored) { progress.Show(scored); }));
  }
  return WriteResults(arguments, loaded->info(), count, results);
}

}  // namespace

void AddPerplexityCommand(CLI::App& app, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<PerplexityArguments>();
  CLI::App* command = app.add_subcommand(
      "perplexity", "Perplexity by sliding windows, with attention patterns and position encodings of choice");
  AddModelOptions(command, &arguments->model);
  command->add_option("--text", arguments->text_paths, "Texts, scored one after the other as one")->required();
  command->add_option("--context", arguments->contexts, "Tokens of a window; several: a run for each")
      ->delimiter(',')
      ->required();
  command->add_option("--stride", arguments->stride, "Tokens from window to window, which are scored")
      ->capture_default_str();
  command
      ->add_option("--attention", arguments->patterns,
                   "Patterns: dense, sliding(1024), dilated(512,4), s2, scca-fixed, scca-flow(m=4), sda2, sda4, "
                   "longmixed, or heads shared out as in scca-fixed:3,sda2:3,sda4:3; chunked ones take (m=chunks) or "
                   "(w=width)")
      ->capture_default_str();
  command
      ->add_option("--rope", arguments->encodings,
                   "Position encodings: own (the checkpoint's), rope, linear, ntk, dynamic-ntk, yarn, llama3, crd-ntk; "
                   "with a factor as in yarn(4), else that of --scale")
      ->capture_default_str();
  command->add_option("--scale", arguments->scale, "Factor of the encodings; left out: what each context needs")
      ->check(CLI::Range(1.0, 1024.0));
  command->add_option("--max-tokens", arguments->max_tokens, "Use so many tokens of the texts; 0: all")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option(
          "--weights", arguments->weights,
          "auto: as this machine computes best; fp32; bf16; packed: the checkpoint's own 4-bit or 8-bit blocks, "
          "kept as they are; int4: rounded to 4 bits in groups of 64")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "fp32", "bf16", "packed", "int4"}));
  command
      ->add_option("--from", arguments->from,
                   "First token that is scored, to compare contexts on the same tokens, all far enough in the text")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--report", arguments->report_path, "Write a Markdown table, a column for each context");
  command->add_option("--svg", arguments->svg_path, "Write a picture of perplexity by position");
  command->add_option("--json", arguments->json_path, "Write all figures to this file");
  command->callback([arguments, run] { *run = [arguments] { return RunPerplexity(*arguments); }; });
}

}  // namespace tome
