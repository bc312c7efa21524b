#include <memory>
#include <string>
#include <vector>

#include "engine/evaluation/command_options.h"
#include "engine/evaluation/commands.h"
#include "engine/evaluation/finding.h"
#include "engine/evaluation/needles.h"
#include "engine/evaluation/progress.h"
#include "engine/generation/prompt_form.h"

namespace tome {
namespace {

struct NeedleArguments {
  CommonOptions common;
  FindingOptions finding;
  std::string text_path;
  std::int64_t tokens = 131072;
  int verbatim = 50, paraphrased = kFactsInHalf;
  std::uint64_t seed = 1;
};

AskedQuestion AskFor(const PlacedNeedle& placed, std::size_t text_bytes) {
  const Needle& needle = placed.needle;
  const double depth = static_cast<double>(placed.bytes.begin) / static_cast<double>(text_bytes);
  AskedQuestion asked{.group = std::string(NeedleKindName(needle.kind)),
                      .id = fmt::format("{} at {:.3f}", NeedleKindName(needle.kind), depth),
                      .text = needle.question,
                      .form = needle.kind == NeedleKind::kParaphrased ? QuestionAnswerPromptForm() : RawPromptForm(),
                      .references = {needle.answer},
                      .evidence = placed.bytes,
                      .answers = placed.answers};
  asked.form.opening = needle.opening;
  return asked;
}

absl::Status RunNeedle(const NeedleArguments& arguments) {
  TOME_RETURN_IF_ERROR(ValidateFindingOptions(arguments.finding));
  TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(arguments.text_path));
  TOME_ASSIGN_OR_RETURN(const auto model, arguments.common.LoadModel());
  std::vector<Needle> needles = MakeVerbatimNeedles(arguments.verbatim, arguments.seed);
  for (Needle& needle : MakeParaphrasedNeedles(arguments.paraphrased, FactHalf::kEvaluation)) {
    needles.push_back(std::move(needle));
  }
  TOME_ASSIGN_OR_RETURN(const std::string_view book,
                        CutBesideNeedles(*model->tokenizer(), text, arguments.tokens, needles));
  const Haystack haystack = HideNeedles(book, std::move(needles), arguments.seed);
  TOME_ASSIGN_OR_RETURN(const Memory memory,
                        ReadOrRestore(model, arguments.common.memory, {haystack.text}, arguments.common.state_path));
  std::vector<QuestionFigures> questions;
  Progress progress("asking questions", static_cast<std::int64_t>(haystack.needles.size()));
  for (const PlacedNeedle& placed : haystack.needles) {
    TOME_ASSIGN_OR_RETURN(QuestionFigures figures,
                          EvaluateQuestion(memory, AskFor(placed, haystack.text.size()), arguments.finding));
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
  command->add_option("--needles", arguments->verbatim, "Needles that repeat the question's words")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000));
  command->add_option("--paraphrased", arguments->paraphrased, "Needles that share no word with the question")
      ->capture_default_str()
      ->check(CLI::Range(0, kFactsInHalf));
  command->add_option("--seed", arguments->seed, "Of needles and places")->capture_default_str();
  command->callback([arguments, run] { *run = [arguments] { return RunNeedle(*arguments); }; });
}

}  // namespace tome
