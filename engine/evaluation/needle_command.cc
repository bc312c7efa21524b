#include <memory>
#include <string>
#include <vector>

#include "engine/evaluation/command_options.h"
#include "engine/evaluation/commands.h"
#include "engine/evaluation/finding.h"
#include "engine/evaluation/needles.h"
#include "engine/evaluation/progress.h"

namespace tome {
namespace {

struct NeedleArguments {
  CommonOptions common;
  FindingOptions finding;
  std::string text_path;
  std::int64_t tokens = 131072;
  NeedleOptions needles{.verbatim = 50, .paraphrased = kFactsInSet};
};

double Depth(const PlacedNeedle& placed, const std::string& text) {
  return static_cast<double>(placed.bytes.begin) / static_cast<double>(text.size());
}

absl::Status RunNeedle(NeedleArguments arguments) {
  TOME_RETURN_IF_ERROR(ValidateFindingOptions(arguments.finding));
  TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(arguments.text_path));
  TOME_ASSIGN_OR_RETURN(const auto model, arguments.common.LoadModel());
  std::vector<Needle> needles = arguments.needles.Make();
  TOME_ASSIGN_OR_RETURN(const std::string_view book,
                        CutBesideNeedles(*model->tokenizer(), text, arguments.tokens, needles));
  const Haystack haystack = HideNeedles(book, std::move(needles), arguments.needles.seed);
  TOME_ASSIGN_OR_RETURN(const Memory memory,
                        ReadOrRestore(model, arguments.common.memory, {haystack.text}, arguments.common.state_path));
  std::vector<QuestionFigures> questions;
  Progress progress("asking questions", static_cast<std::int64_t>(haystack.needles.size()));
  for (const PlacedNeedle& placed : haystack.needles) {
    TOME_ASSIGN_OR_RETURN(QuestionFigures figures,
                          EvaluateQuestion(memory, AskFor(placed, Depth(placed, haystack.text)), arguments.finding));
    questions.push_back(std::move(figures));
    progress.Show(static_cast<std::int64_t>(questions.size()));
  }
  fmt::print("{} tokens, {} regions, {} needles, at most {} tokens read again\n\n{}", memory.tokens_read(),
             memory.num_regions(), haystack.needles.size(), arguments.finding.budget_tokens, FormatFindings(questions));
  return arguments.common.WriteJson(FindingsToJson(questions));
}

}  // namespace

void AddNeedleCommand(CLI::App& app, std::function<absl::Status()>* run) {
  auto arguments = std::make_shared<NeedleArguments>();
  CLI::App* command = app.add_subcommand("needle", "Find needles hidden in a long text");
  arguments->common.Add(command);
  arguments->common.AddProfileAndState(command);
  AddFindingOptions(command, &arguments->finding);
  command->add_option("--text", arguments->text_path, "Text to hide needles in")->required();
  command->add_option("--tokens", arguments->tokens, "Tokens of text with needles")->capture_default_str();
  AddNeedleOptions(command, &arguments->needles);
  command->callback([arguments, run] { *run = [arguments] { return RunNeedle(*arguments); }; });
}

}  // namespace tome
