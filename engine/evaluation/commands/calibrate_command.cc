#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/evaluation/answer_defaults.h"
#include "engine/evaluation/calibration.h"
#include "engine/evaluation/commands/command_options.h"
#include "engine/evaluation/commands/commands.h"
#include "engine/evaluation/figures/progress.h"
#include "engine/evaluation/questions/cut_text.h"
#include "engine/evaluation/report.h"

namespace tome {
namespace {

struct CalibrateArguments {
  CommonOptions common;
  CalibrationOptions calibration;
  std::string text_path, out_path, made_by;
  NeedleOptions answers = {.verbatim = 18, .paraphrased = 18, .facts = "calibration"};
};

// A search of so many has something to find, and they are read in a minute.
constexpr std::int64_t kTokensToAnswerFrom = 16384;

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

// Of a model with its new profile, which finds the text; with other needles at other places than its heads were chosen
// with.
absl::StatusOr<AnswerDefaults> ChooseDefaults(const CalibrateArguments& arguments, const std::string& text) {
  ModelOptions options = arguments.common.model;
  options.profile_path = arguments.out_path;
  TOME_ASSIGN_OR_RETURN(const auto model, Model::Load(options));
  NeedleOptions answers = arguments.answers;
  answers.seed = arguments.calibration.seed + 1;
  std::vector<Needle> needles = answers.Make();
  const std::int64_t tokens = std::min(arguments.calibration.tokens, kTokensToAnswerFrom);
  TOME_ASSIGN_OR_RETURN(const std::string_view book,
                        CutBesideNeedles(TokenBytesOf(*model->tokenizer()), text, tokens, needles));
  const Haystack haystack = HideNeedles(book, std::move(needles), answers.seed);
  TOME_ASSIGN_OR_RETURN(const Memory memory, ReadDocuments(model, arguments.common.memory, {haystack.text}));
  std::optional<Progress> progress;
  return ChooseAnswerDefaults(memory, haystack.needles, [&](int asked, int all) {
    if (!progress) progress.emplace("answering questions", all);
    progress->Show(asked);
  });
}

absl::Status RunCalibrate(CalibrateArguments arguments) {
  TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(arguments.text_path));
  TOME_ASSIGN_OR_RETURN(const auto model, arguments.common.LoadModel());
  arguments.calibration.memory = arguments.common.memory;
  TOME_ASSIGN_OR_RETURN(const CalibrationResult result,
                        Calibrate(model, text, arguments.calibration, arguments.made_by));
  ModelProfile profile = result.profile;
  profile.prompt_form = model->profile().prompt_form;
  profile.effort = model->profile().effort;
  TOME_RETURN_IF_ERROR(WriteTextFile(arguments.out_path, FormatModelProfile(profile)));
  TOME_ASSIGN_OR_RETURN(const AnswerDefaults defaults, ChooseDefaults(arguments, text));
  profile.prompt_form = defaults.forms[defaults.form].form;
  profile.budget_tokens = defaults.budgets[defaults.budget].budget_tokens;
  TOME_RETURN_IF_ERROR(WriteTextFile(arguments.out_path, FormatModelProfile(profile)));
  fmt::print("{}{}", FormatCalibration(result), FormatAnswerDefaults(defaults));
  fmt::print(stderr, "the profile is in {}\n", arguments.out_path);
  nlohmann::json figures = ToJson(result);
  figures["answers"] = ToJson(defaults);
  return arguments.common.WriteJson(figures);
}

}  // namespace

void AddCalibrateCommand(CLI::App& app, int argc, char** argv, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<CalibrateArguments>();
  CLI::App* command =
      app.add_subcommand("calibrate",
                         "Find a model's retrieval heads, and the prompt form and the budget of text that it answers "
                         "best with, and write its profile; it keeps the effort that the model's profile has");
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
  command
      ->add_option("--answer-verbatim", arguments->answers.verbatim, "Verbatim needles to choose the prompt form with")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command
      ->add_option("--answer-paraphrased", arguments->answers.paraphrased,
                   "Paraphrased needles to choose the prompt form with")
      ->capture_default_str()
      ->check(CLI::Range(0, kFactsInSet));
  command->add_option("--seed", options.seed, "Of needles and places")->capture_default_str();
  command->callback([arguments, run, line = CommandLine(argc, argv)] {
    arguments->made_by = line;
    *run = [arguments] { return RunCalibrate(*arguments); };
  });
}

}  // namespace tome
