#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/evaluation/attention_recall.h"
#include "engine/evaluation/commands/command_options.h"
#include "engine/evaluation/commands/commands.h"
#include "engine/evaluation/figures/progress.h"

namespace tome {
namespace {

struct RecallArguments {
  CommonOptions common;
  AttentionRecallOptions recall;
  std::vector<std::string> text_paths;
  std::string svg_path;
  std::int64_t tokens = 8192;
};

absl::Status RunRecall(RecallArguments arguments) {
  TOME_ASSIGN_OR_RETURN(const auto model, arguments.common.LoadModel());
  arguments.recall.memory = arguments.common.memory;
  TOME_ASSIGN_OR_RETURN(const std::vector<TokenId> tokens,
                        ReadTokenFiles(*model->tokenizer(), arguments.text_paths, arguments.tokens));
  const std::int64_t layers = model->info().config.num_layers;
  Progress progress("layers", layers);
  TOME_ASSIGN_OR_RETURN(
      const AttentionRecall recall,
      MeasureAttentionRecall(model, tokens, arguments.recall, [&](std::int64_t done) { progress.Show(done); }));
  fmt::print("{}", FormatAttentionRecall(recall));
  if (!arguments.svg_path.empty()) {
    TOME_RETURN_IF_ERROR(WriteTextFile(arguments.svg_path, DrawAttentionRecall(recall)));
  }
  nlohmann::json figures = ToJson(recall);
  figures["model"] = model->info().path;
  figures["precision"] = PrecisionName(model->info().precision);
  figures["window_tokens"] = arguments.recall.memory.window_tokens;
  figures["region_memory"] = FormatRegionMemoryOptions(arguments.recall.memory.regions);
  return arguments.common.WriteJson(figures);
}

}  // namespace

void AddRecallCommand(CLI::App& app, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<RecallArguments>();
  arguments->common.memory.window_tokens = 1024;
  CLI::App* command = app.add_subcommand("recall", "How much of dense attention the choice of regions keeps");
  arguments->common.Add(command);
  command->add_option("--text", arguments->text_paths, "Texts to read, one after the other")->required();
  command->add_option("--tokens", arguments->tokens, "Tokens to read; at most the model's context")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--selected", arguments->recall.selected, "Numbers of regions to choose")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--seed", arguments->recall.seed, "Of the random choice")->capture_default_str();
  command->add_option("--svg", arguments->svg_path, "Write a picture of the shares by layer and number of regions");
  command->callback([arguments, run] { *run = [arguments] { return RunRecall(*arguments); }; });
}

}  // namespace tome
