// Finding the regions that a question asks for, in small steps: read what is pending, read the question for its
// queries, score all regions, and let the model rerank the best.
#ifndef TOME_ENGINE_GENERATION_SEARCH_TASK_H_
#define TOME_ENGINE_GENERATION_SEARCH_TASK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/generation/region_scores.h"
#include "engine/generation/sentences.h"
#include "engine/generation/task_impl.h"

namespace tome {

class SearchTask final : public TaskImpl {
 public:
  // `ranking`: the weights that rank what was found; null: the model's.
  SearchTask(Memory fork, PendingText pending, std::string question, RouteOptions options,
             std::shared_ptr<const LlamaWeights> ranking);

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
  // Weighs the best by what the question says of them as well, where none stands out.
  void Compare(StepResult* result);
  void ChooseToCompare();
  std::vector<double> Gains() const;
  // Whether one of the regions ranked so far stands out, so that no more need be ranked.
  bool IsSure() const;
  void Finish(StepResult* result);
  // Fills sentences_ with those of what was found that are nearest to the question by meaning.
  void ChooseSentences(const RegionScores& scores);

  const LlamaWeights& ranking_weights() const { return ranking_ == nullptr ? weights() : *ranking_; }

  Memory fork_;
  RouteOptions options_;
  std::shared_ptr<const LlamaWeights> ranking_;
  std::string question_;
  std::vector<TokenId> question_tokens_;  // after an empty line, as it is read
  std::optional<ReadTask> read_pending_;
  bool question_read_ = false, routed_ = false;
  std::vector<HeadQueries> queries_;
  std::vector<FoundRegion> found_;
  // To rank regions by, and how many of them were read.
  struct Sentence {
    std::size_t found;  // whose it is
    RegionSentence text;
  };
  std::vector<Sentence> sentences_;
  std::size_t num_read_ = 0;
  // Of the question's tokens: how much each says, and after the likeliest sentence of each of found_.
  std::vector<float> token_weights_;
  std::vector<std::vector<double>> log_probabilities_;
  // Of found_: the likeliest sentence, among sentences_; those that are compared, and what their sentences gain from
  // the question.
  std::vector<std::size_t> likeliest_, compared_;
  std::vector<double> gains_from_question_;
  std::shared_ptr<Evidence> evidence_;
};

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_SEARCH_TASK_H_
