// Finding the regions that a question asks for, in small steps: read what is pending, read the question for its
// queries, score all regions, and let the model rerank the best.
#ifndef TOME_ENGINE_GENERATION_SEARCH_TASK_H_
#define TOME_ENGINE_GENERATION_SEARCH_TASK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/generation/task_impl.h"
#include "engine/memory/routing.h"

namespace tome {

class SearchTask final : public TaskImpl {
 public:
  SearchTask(Memory fork, PendingText pending, std::string question, RouteOptions options);

  std::int64_t tokens_left_to_read() const override;
  const LlamaWeights& weights() const override;
  StepResult Advance() override;

  // Once finished.
  const std::shared_ptr<Evidence>& evidence() const { return evidence_; }
  const Memory& fork() const { return fork_; }

 private:
  void ReadQuestion(StepResult* result);
  void Route(StepResult* result);
  void Rerank(StepResult* result);
  void Finish(StepResult* result);
  FoundRegion Describe(std::int64_t region) const;  // with the routers' scores

  Memory fork_;
  RouteOptions options_;
  std::string question_;
  std::vector<TokenId> question_tokens_;  // after an empty line, as it is read
  std::optional<ReadTask> read_pending_;
  bool question_read_ = false, routed_ = false;
  std::vector<HeadQueries> queries_;
  AttentionScores attention_;                    // of all regions, or empty
  std::vector<float> stems_, tokens_, routing_;  // scores of all regions
  std::vector<FoundRegion> found_;
  std::size_t num_reranked_ = 0;  // the first of them
  std::shared_ptr<Evidence> evidence_;
};

// The natural logarithm of each text's likelihood to be followed by `question`, summed over the question's tokens. Each
// text is read on its own. Throws what torch throws.
std::vector<double> QuestionLikelihoods(const LlamaWeights& weights, absl::Span<const std::vector<TokenId>> texts,
                                        absl::Span<const TokenId> question);

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_SEARCH_TASK_H_
