#include "engine/evaluation/engine_answerer.h"

#include <chrono>

#include "engine/base/status.h"
#include "engine/evaluation/finding.h"
#include "engine/evaluation/progress.h"
#include "engine/evaluation/reading.h"
#include "engine/evaluation/shared_reading.h"
#include "engine/generation/prompt_form.h"
#include "fmt/format.h"

namespace tome {
namespace {

constexpr const char* kRouters[] = {"attention", "stems", "tokens"};

TaskFigures FiguresOf(const QuestionFigures& question, const std::string& effort) {
  TaskFigures figures;
  for (const char* router : kRouters) {
    if (const auto way = question.ways.find(router); way != question.ways.end()) {
      figures.router_ranks[router] = way->second.rank;
    }
  }
  const WayFigures& search = question.ways.at(effort);
  figures.rank = search.rank;
  figures.in_text = search.in_text;
  figures.answer = search.answer;
  figures.answer_seconds = search.seconds;
  figures.gold_answer = question.ways.at("gold").answer;
  return figures;
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
  std::vector<std::uint32_t> sizes;
  for (const TextToken& token : model_->tokenizer()->Encode(text)) sizes.push_back(token.num_bytes);
  return sizes;
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
        on_figures(index, FiguresOf(question, options.effort));
        ++asked;
        return absl::OkStatus();
      },
      [&](std::int64_t done) { progress.Show(done, fmt::format("{} of {} questions", asked, documents.size())); });
}

absl::StatusOr<std::string> AnswerDensely(const std::shared_ptr<const Model>& model, const TaskDocument& document,
                                          int max_answer_tokens) {
  const AskedQuestion& asked = document.asked;
  TOME_ASSIGN_OR_RETURN(
      FilledPrompt prompt,
      FillPrompt(*model, {.text = asked.text, .instruction = asked.instruction, .form = asked.form}, document.text));
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
