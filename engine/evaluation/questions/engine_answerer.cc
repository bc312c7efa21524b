#include "engine/evaluation/questions/engine_answerer.h"

#include <chrono>

#include "engine/base/status.h"
#include "engine/evaluation/figures/progress.h"
#include "engine/evaluation/questions/cut_text.h"
#include "engine/evaluation/questions/finding.h"
#include "engine/evaluation/questions/reading.h"
#include "engine/evaluation/questions/shared_reading.h"
#include "engine/generation/prompt_form.h"
#include "fmt/format.h"

namespace tome {
namespace {

// Whether all questions can be put to the model, before anything is read for them.
absl::Status CheckQuestions(const Model& model, absl::Span<const AskedQuestion> questions) {
  for (const AskedQuestion& asked : questions) {
    const absl::StatusOr<FilledPrompt> prompt = FillPrompt(
        model, {.text = asked.text, .instruction = asked.instruction, .form = FormOf(asked, model)}, /*text=*/"");
    if (!prompt.ok()) return Annotate(prompt.status(), asked.id);
  }
  return absl::OkStatus();
}

}  // namespace

nlohmann::json EngineAnswerer::Describe() const {
  const ModelInfo& info = model_->info();
  return {{"kind", "engine"},
          {"model", info.path},
          {"model_digest", info.model_digest},
          {"device", DeviceName(info.device)},
          {"precision", PrecisionName(info.precision)},
          {"window_tokens", memory_.window_tokens},
          {"region_memory", FormatRegionMemoryOptions(memory_.regions)},
          {"retrieval_heads", model_->profile().heads.size()}};
}

absl::StatusOr<std::vector<std::uint32_t>> EngineAnswerer::CountTokenBytes(std::string_view text) {
  return TokenBytesOf(*model_->tokenizer())(text);
}

absl::Status EngineAnswerer::AnswerAll(absl::Span<const TaskDocument> documents, const AnswerOptions& options,
                                       const FiguresCallback& on_figures) {
  const FindingOptions finding = {.searches = {options.effort},
                                  .answered = {options.effort, "gold"},
                                  .budget_tokens = options.budget_tokens,
                                  .max_answer_tokens = options.max_answer_tokens};
  TOME_RETURN_IF_ERROR(ValidateFindingOptions(finding));
  std::vector<std::string> texts;
  for (const TaskDocument& document : documents) texts.push_back(document.text);
  const SharedReader reader(model_, memory_, std::move(texts));
  fmt::print(stderr, "{} documents of {} tokens in all; {} are read, as they begin alike\n", documents.size(),
             reader.tokens_of_all(), reader.tokens_to_read());
  Progress progress("reading tokens", reader.tokens_to_read());
  std::size_t asked = 0;
  return reader.ReadAll(
      [&](std::size_t index, const Memory& memory) -> absl::Status {
        TOME_ASSIGN_OR_RETURN(const QuestionFigures question,
                              EvaluateQuestion(memory, documents[index].asked, finding));
        on_figures(index, ToTaskFigures(question, options.effort));
        ++asked;
        return absl::OkStatus();
      },
      [&](std::int64_t done) { progress.Show(done, fmt::format("{} of {} questions", asked, documents.size())); });
}

absl::StatusOr<Findings> EngineAnswerer::AskAll(const std::vector<std::string>& documents,
                                                absl::Span<const AskedQuestion> questions,
                                                const FindingOptions& options, const std::string& kept) {
  TOME_RETURN_IF_ERROR(ValidateFindingOptions(options));
  TOME_RETURN_IF_ERROR(CheckQuestions(*model_, questions));
  TOME_ASSIGN_OR_RETURN(const Memory memory, ReadOrRestore(model_, memory_, documents, kept));
  Findings findings = {.tokens = memory.tokens_read(), .regions = memory.num_regions()};
  Progress progress("asking questions", static_cast<std::int64_t>(questions.size()));
  for (const AskedQuestion& asked : questions) {
    TOME_ASSIGN_OR_RETURN(QuestionFigures figures, EvaluateQuestion(memory, asked, options));
    findings.questions.push_back(std::move(figures));
    progress.Show(static_cast<std::int64_t>(findings.questions.size()));
  }
  return findings;
}

absl::StatusOr<std::string> AnswerDensely(const std::shared_ptr<const Model>& model, const TaskDocument& document,
                                          int max_answer_tokens) {
  const AskedQuestion& asked = document.asked;
  TOME_ASSIGN_OR_RETURN(
      FilledPrompt prompt,
      FillPrompt(*model, {.text = asked.text, .instruction = asked.instruction, .form = FormOf(asked, *model)},
                 document.text));
  // An empty memory of the smallest window: all of the context is for the prompt.
  TOME_ASSIGN_OR_RETURN(
      Memory empty,
      Memory::Create(model, {.sink_tokens = 1, .window_tokens = 1, .segment_tokens = 1, .regions = {.selected = 0}}));
  GenerationOptions options = {.max_tokens = max_answer_tokens, .stop = {"\n"}};
  options.stop.insert(options.stop.end(), prompt.stop.begin(), prompt.stop.end());
  options.stop_tokens = std::move(prompt.stop_tokens);
  TOME_ASSIGN_OR_RETURN(Task task, Task::Generate(std::move(empty), std::move(prompt.tokens), std::move(options)));
  TOME_ASSIGN_OR_RETURN(TaskOutcome outcome, RunTask(std::move(task)));
  return std::move(outcome.text);
}

}  // namespace tome
