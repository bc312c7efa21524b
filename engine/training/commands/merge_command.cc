#include <memory>
#include <string>

#include "engine/adapter/adapter_file.h"
#include "engine/adapter/merged_model.h"
#include "engine/base/status.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/training/commands/commands.h"

namespace tome {
namespace {

struct MergeArguments {
  std::string model, adapter, output, type = "bf16";
};

absl::Status RunMerge(const MergeArguments& arguments) {
  TOME_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::Open({.path = arguments.model}));
  TOME_ASSIGN_OR_RETURN(const auto adapter, LoadAdapter(arguments.adapter, checkpoint->config()));
  for (const std::string& warning : adapter->warnings()) fmt::print(stderr, "warning: {}\n", warning);
  const TensorType type = arguments.type == "fp32" ? TensorType::kF32 : TensorType::kBF16;
  TOME_ASSIGN_OR_RETURN(const auto warnings, WriteMergedModel(*checkpoint, *adapter, arguments.output, type));
  for (const std::string& warning : warnings) fmt::print(stderr, "warning: {}\n", warning);
  fmt::print("{}: {} with adapter {} ({} parameters), {}\n", arguments.output, arguments.model, adapter->digest(),
             adapter->num_parameters(), arguments.type);
  return absl::OkStatus();
}

}  // namespace

void AddMergeCommand(CLI::App& app, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<MergeArguments>();
  CLI::App* command = app.add_subcommand("merge", "Write a model with an adapter merged into its weights");
  command->add_option("--model", arguments->model, "Model file or folder")->required();
  command->add_option("--adapter", arguments->adapter, "Folder that PEFT or tome-train wrote, or GGUF file")
      ->required();
  command->add_option("--output", arguments->output, "Folder for config.json and model.safetensors")->required();
  command->add_option("--type", arguments->type, "Of the tensors: bf16 or fp32")
      ->capture_default_str()
      ->check(CLI::IsMember({"bf16", "fp32"}));
  command->callback([arguments, run] { *run = [arguments] { return RunMerge(*arguments); }; });
}

}  // namespace tome
