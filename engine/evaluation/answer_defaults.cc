#include "engine/evaluation/answer_defaults.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "engine/base/status.h"
#include "engine/evaluation/figures/metrics.h"
#include "engine/evaluation/questions/finding.h"
#include "engine/evaluation/questions/reading.h"
#include "engine/generation/prompt_form.h"
#include "engine/model/profiles/model_profile.h"
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

  void ExpectToAsk(std::size_t tried) { to_ask_ += static_cast<int>(tried * needles_.size()); }

  // Over the right regions.
  absl::Status AskOverGold(std::vector<TriedDefault>* all) {
    for (TriedDefault& tried : *all) {
      for (const PlacedNeedle& placed : needles_) {
        const FindingOptions options = {.searches = {}, .answered = {"gold"}, .budget_tokens = tried.budget_tokens};
        TOME_ASSIGN_OR_RETURN(const QuestionFigures figures,
                              EvaluateQuestion(memory_, Asked(placed, tried.form), options));
        Add(figures.ways.at("gold"), &tried);
      }
    }
    return absl::OkStatus();
  }

  // Over what a search finds.
  absl::Status AskOverFound(std::vector<TriedDefault>* all) {
    for (const PlacedNeedle& placed : needles_) {
      TOME_ASSIGN_OR_RETURN(Task search, Task::Search(memory_, {}, placed.needle.question, {}));
      TOME_ASSIGN_OR_RETURN(const TaskOutcome outcome, RunTask(std::move(search)));
      for (TriedDefault& tried : *all) {
        TOME_ASSIGN_OR_RETURN(const WayFigures answer,
                              AnswerOver(memory_, Asked(placed, tried.form), outcome.evidence->found,
                                         {.budget_tokens = tried.budget_tokens}));
        Add(answer, &tried);
      }
    }
    return absl::OkStatus();
  }

 private:
  static AskedQuestion Asked(const PlacedNeedle& placed, const PromptForm& form) {
    AskedQuestion asked = AskFor(placed, 0);
    asked.form = form;
    return asked;
  }
  void Add(const WayFigures& answer, TriedDefault* tried) {
    tried->contained += answer.contains ? 1 : 0;
    tried->log_probabilities.push_back(*answer.log_probability);
    if (progress_) progress_(++asked_, to_ask_);
  }

  const Memory& memory_;
  const std::vector<PlacedNeedle>& needles_;
  const std::function<void(int, int)>& progress_;
  int asked_ = 0, to_ask_ = 0;
};

std::size_t Likeliest(const std::vector<TriedDefault>& all) {
  const auto is_worse = [](const TriedDefault& a, const TriedDefault& b) {
    return a.MeanLogProbability() < b.MeanLogProbability();
  };
  return static_cast<std::size_t>(std::max_element(all.begin(), all.end(), is_worse) - all.begin());
}

}  // namespace

double TriedDefault::MeanLogProbability() const {
  return std::accumulate(log_probabilities.begin(), log_probabilities.end(), 0.0) /
         static_cast<double>(log_probabilities.size());
}

std::size_t FirstAsLikely(const std::vector<TriedDefault>& all) {
  const std::size_t likeliest = Likeliest(all);
  for (std::size_t i = 0; i < likeliest; ++i) {
    std::vector<double> losses = all[likeliest].log_probabilities;
    for (std::size_t k = 0; k < losses.size(); ++k) losses[k] -= all[i].log_probabilities[k];
    const double loss = all[likeliest].MeanLogProbability() - all[i].MeanLogProbability();
    if (loss <= StandardError(losses, loss)) return i;
  }
  return likeliest;
}

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
  TOME_RETURN_IF_ERROR(trial.AskOverGold(&defaults.forms));
  defaults.form = Likeliest(defaults.forms);
  for (TriedDefault& tried : defaults.budgets) tried.form = defaults.forms[defaults.form].form;
  TOME_RETURN_IF_ERROR(trial.AskOverFound(&defaults.budgets));
  defaults.budget = FirstAsLikely(defaults.budgets);
  return defaults;
}

}  // namespace tome
