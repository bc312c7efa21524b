// Which prompt form, and how much text, a model answers best with: what its profile proposes for questions.
#ifndef TOME_ENGINE_EVALUATION_ANSWER_DEFAULTS_H_
#define TOME_ENGINE_EVALUATION_ANSWER_DEFAULTS_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/evaluation/questions/needles.h"

namespace tome {

struct TriedDefault {
  std::string name;
  PromptForm form;
  int budget_tokens = 0;
  int contained = 0;                      // answers that have the reference in them
  std::vector<double> log_probabilities;  // of the reference as the answer to each question, nats
  double MeanLogProbability() const;
};

// The first that is as good as the likeliest: in the mean over questions it is less likely by the standard error of
// that difference at most. Of budgets in ascending order the smallest, which is the quickest.
std::size_t FirstAsLikely(const std::vector<TriedDefault>& all);

struct AnswerDefaults {
  int questions = 0;
  std::vector<TriedDefault> forms;    // over the right regions alone
  std::vector<TriedDefault> budgets;  // over what a balanced search finds, with the best form
  std::size_t form = 0, budget = 0;   // the likeliest, and the smallest that is as likely
};

// Asks for the needles of a haystack that `memory` has read as its only document, without their openings. What is best
// makes the references likeliest: a form that lets the model talk around the answer makes it less likely, and so does
// a budget that leaves out the text. Forms: raw, question and answer, the same after three examples, the
// model's chat template and its profile's form, where it has these. Budgets: from 128 tokens, doubled up to 1,024 or a
// quarter of the model's context. `progress`: told the questions asked so far, and how many there are.
absl::StatusOr<AnswerDefaults> ChooseAnswerDefaults(const Memory& memory, const std::vector<PlacedNeedle>& needles,
                                                    const std::function<void(int, int)>& progress = nullptr);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_ANSWER_DEFAULTS_H_
