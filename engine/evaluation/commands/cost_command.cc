#include <memory>
#include <string>
#include <vector>

#include "engine/evaluation/commands/command_options.h"
#include "engine/evaluation/commands/commands.h"
#include "engine/evaluation/questions/cut_text.h"
#include "engine/evaluation/state_cost.h"

namespace tome {
namespace {

struct CostArguments {
  CommonOptions common;
  std::vector<std::string> text_paths;
  std::string svg_path;
  std::int64_t tokens = 16384, until = 4 << 20;
};

absl::Status RunCost(CostArguments arguments) {
  TOME_ASSIGN_OR_RETURN(const auto model, arguments.common.LoadModel());
  TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFiles(arguments.text_paths));
  TOME_ASSIGN_OR_RETURN(const std::string_view cut,
                        CutToTokens(TokenBytesOf(*model->tokenizer()), text, arguments.tokens));
  TOME_ASSIGN_OR_RETURN(const StateCost cost,
                        MeasureStateCost(model, arguments.common.memory, std::string(cut), arguments.until));
  fmt::print("{}", FormatStateCost(cost));
  if (!arguments.svg_path.empty()) TOME_RETURN_IF_ERROR(WriteTextFile(arguments.svg_path, DrawStateCost(cost)));
  nlohmann::json figures = ToJson(cost);
  figures["model"] = model->info().path;
  figures["precision"] = PrecisionName(model->info().precision);
  figures["window_tokens"] = arguments.common.memory.window_tokens;
  figures["region_memory"] = FormatRegionMemoryOptions(arguments.common.memory.regions);
  return arguments.common.WriteJson(figures);
}

}  // namespace

void AddCostCommand(CLI::App& app, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<CostArguments>();
  CLI::App* command = app.add_subcommand("cost", "Bytes of a session's state and archive by tokens read");
  arguments->common.Add(command);
  command->add_option("--profile", arguments->common.model.profile_path, "Model profile, in place of the model's own");
  command->add_option("--text", arguments->text_paths, "Texts to read, one after the other")->required();
  command->add_option("--tokens", arguments->tokens, "Stop after so many tokens")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--until", arguments->until, "Project the figures up to so many tokens")->capture_default_str();
  command->add_option("--svg", arguments->svg_path, "Write a picture of the bytes by tokens read");
  command->callback([arguments, run] { *run = [arguments] { return RunCost(*arguments); }; });
}

}  // namespace tome
