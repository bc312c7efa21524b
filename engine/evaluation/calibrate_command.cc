#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "engine/evaluation/calibration.h"
#include "engine/evaluation/command_options.h"
#include "engine/evaluation/commands.h"
#include "engine/evaluation/report.h"

namespace tome {
namespace {

struct CalibrateArguments {
  CommonOptions common;
  CalibrationOptions calibration;
  std::string text_path, out_path, made_by;
};

// The command line with the names of files in place of their paths.
std::string CommandLine(int argc, char** argv) {
  std::string line = "tome-eval";
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    line += ' ' +
            (argument.find('/') == std::string::npos ? argument : std::filesystem::path(argument).filename().string());
  }
  return line;
}

absl::Status RunCalibrate(CalibrateArguments arguments) {
  TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(arguments.text_path));
  TOME_ASSIGN_OR_RETURN(const auto model, arguments.common.LoadModel());
  arguments.calibration.memory = arguments.common.memory;
  TOME_ASSIGN_OR_RETURN(const CalibrationResult result,
                        Calibrate(model, text, arguments.calibration, arguments.made_by));
  ModelProfile profile = result.profile;
  profile.prompt_form = model->profile().prompt_form;
  profile.budget_tokens = model->profile().budget_tokens;
  profile.effort = model->profile().effort;
  TOME_RETURN_IF_ERROR(WriteTextFile(arguments.out_path, FormatModelProfile(profile)));
  fmt::print("{}", FormatCalibration(result));
  fmt::print(stderr, "the profile is in {}\n", arguments.out_path);
  return arguments.common.WriteJson(ToJson(result));
}

}  // namespace

void AddCalibrateCommand(CLI::App& app, int argc, char** argv, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<CalibrateArguments>();
  CLI::App* command =
      app.add_subcommand("calibrate",
                         "Find a model's retrieval heads and write its profile; it keeps the defaults of "
                         "questions that the model's profile has");
  arguments->common.Add(command);
  CalibrationOptions& options = arguments->calibration;
  command->add_option("--text", arguments->text_path, "Text to calibrate on; never a document of a session")
      ->required();
  command->add_option("--out", arguments->out_path, "The profile to write")->required();
  command->add_option("--tokens", options.tokens, "Tokens to read")->capture_default_str();
  command->add_option("--verbatim", options.verbatim_needles, "Needles that repeat the question's words")
      ->capture_default_str();
  command->add_option("--paraphrased", options.paraphrased_needles, "Needles that share no word with the question")
      ->capture_default_str();
  command->add_option("--code-bytes", options.code_bytes, "Bytes of routing codes for each token")
      ->capture_default_str();
  command->add_option("--seed", options.seed, "Of needles and places")->capture_default_str();
  command->callback([arguments, run, line = CommandLine(argc, argv)] {
    arguments->made_by = line;
    *run = [arguments] { return RunCalibrate(*arguments); };
  });
}

}  // namespace tome
