#include "engine/evaluation/answer_defaults.h"

#include <algorithm>
#include <optional>

#include "engine/base/status.h"
#include "engine/evaluation/finding.h"
#include "engine/generation/prompt_form.h"
#include "engine/model/model_profile.h"
#include "fmt/format.h"

namespace tome {
namespace {

constexpr int kLeastBudget = 128;
constexpr int kMostBudget = 1024;

PromptForm ExamplesPromptForm() {
  return {
      .prompt =
          "{instruction}\n\n{text}\n\nQuestion: What colour is a clear sky?\nAnswer: blue\n\nQuestion: What do bees "
          "make?\nAnswer: honey\n\nQuestion: How many legs does a spider have?\nAnswer: eight\n\n{turns}\n\n"
          "Question: {question}\nAnswer:",
      .turn = "Question: {question}\nAnswer: {answer}",
      .stop = {"\n"}};
}

std::vector<TriedDefault> FormsToTry(const Model& model, int budget_tokens) {
  std::vector<TriedDefault> forms = {{.name = "raw", .form = RawPromptForm()},
                                     {.name = "question and answer", .form = QuestionAnswerPromptForm()},
                                     {.name = "examples", .form = ExamplesPromptForm()}};
  if (FillPrompt(model, {.text = "?", .form = ChatPromptForm()}, "").ok()) {
    forms.push_back({.name = "chat", .form = ChatPromptForm()});
  }
  const std::optional<PromptForm>& own = model.profile().prompt_form;
  const auto is_own = [&](const TriedDefault& tried) { return tried.form == *own; };
  if (own && std::none_of(forms.begin(), forms.end(), is_own)) forms.push_back({.name = "profile", .form = *own});
  for (TriedDefault& tried : forms) tried.budget_tokens = budget_tokens;
  return forms;
}

std::vector<TriedDefault> BudgetsToTry(const MemoryOptions& memory, std::int64_t context) {
  std::vector<TriedDefault> budgets;
  const std::int64_t most = std::min<std::int64_t>(kMostBudget, context / 4);
  for (int tokens = std::max(kLeastBudget, memory.region_tokens); tokens <= most || budgets.empty(); tokens *= 2) {
    budgets.push_back({.name = fmt::format("{}", tokens), .budget_tokens = tokens});
  }
  return budgets;
}

class Trial {
 public:
  Trial(const Memory& memory, const std::vector<PlacedNeedle>& needles, const std::function<void(int, int)>& progress)
      : memory_(memory), needles_(needles), progress_(progress) {}

  // `way`: of EvaluateQuestion, by which the text is found.
  absl::Status Ask(const std::string& way, std::vector<TriedDefault>* all) {
    for (TriedDefault& tried : *all) {
      for (const PlacedNeedle& placed : needles_) {
        AskedQuestion asked = AskFor(placed, 0);
        asked.form = tried.form;
        FindingOptions options{.searches = {}, .answered = {way}, .budget_tokens = tried.budget_tokens};
        if (way != "gold") options.searches = {way};
        TOME_ASSIGN_OR_RETURN(const QuestionFigures figures, EvaluateQuestion(memory_, asked, options));
        const WayFigures& answer = figures.ways.at(way);
        tried.contained += answer.contains ? 1 : 0;
        tried.log_probability += *answer.log_probability / static_cast<double>(needles_.size());
        if (progress_) progress_(++asked_, to_ask_);
      }
    }
    return absl::OkStatus();
  }
  void ExpectToAsk(std::size_t tried) { to_ask_ += static_cast<int>(tried * needles_.size()); }

 private:
  const Memory& memory_;
  const std::vector<PlacedNeedle>& needles_;
  const std::function<void(int, int)>& progress_;
  int asked_ = 0, to_ask_ = 0;
};

std::size_t Best(const std::vector<TriedDefault>& all) {
  const auto is_worse = [](const TriedDefault& a, const TriedDefault& b) {
    return a.log_probability < b.log_probability;
  };
  return static_cast<std::size_t>(std::max_element(all.begin(), all.end(), is_worse) - all.begin());
}

}  // namespace

absl::StatusOr<AnswerDefaults> ChooseAnswerDefaults(const Memory& memory, const std::vector<PlacedNeedle>& needles,
                                                    const std::function<void(int, int)>& progress) {
  if (needles.empty()) return InvalidArgument("needles: expected 1 or more to choose a prompt form with");
  const Model& model = *memory.model();
  const std::int64_t context = model.info().config.context_length;
  AnswerDefaults defaults{.questions = static_cast<int>(needles.size())};
  defaults.budgets = BudgetsToTry(memory.options(), context);
  defaults.forms = FormsToTry(model, defaults.budgets.front().budget_tokens);
  Trial trial(memory, needles, progress);
  trial.ExpectToAsk(defaults.forms.size() + defaults.budgets.size());
  TOME_RETURN_IF_ERROR(trial.Ask("gold", &defaults.forms));
  defaults.form = Best(defaults.forms);
  for (TriedDefault& tried : defaults.budgets) tried.form = defaults.forms[defaults.form].form;
  TOME_RETURN_IF_ERROR(trial.Ask("fast", &defaults.budgets));
  defaults.budget = Best(defaults.budgets);
  return defaults;
}

}  // namespace tome
