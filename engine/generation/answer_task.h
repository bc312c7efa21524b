// Answering a question over the text of the regions that it was routed to.
#ifndef TOME_ENGINE_GENERATION_ANSWER_TASK_H_
#define TOME_ENGINE_GENERATION_ANSWER_TASK_H_

#include <memory>
#include <string>
#include <vector>

#include "engine/generation/search_task.h"

namespace tome {

// Regions and their neighbours, in the order of the archive but for the best passage, which comes last: as many as fit
// `budget_tokens`. When everything that was read fits, all of it is one passage for each document.
std::vector<Passage> ChoosePassages(const Archive& archive, const std::vector<FoundRegion>& found, int budget_tokens);

// The text of all passages as a prompt has it, with an ellipsis line between two.
std::string JoinPassages(const Archive& archive, const Tokenizer& tokenizer, const std::vector<Passage>& passages);
// The text of a passage: whole characters.
std::string PassageText(const Archive& archive, const Tokenizer& tokenizer, const Passage& passage);

class AnswerTask final : public TaskImpl {
 public:
  AnswerTask(Memory fork, PendingText pending, Question question, GenerationOptions options);

  std::int64_t tokens_left_to_read() const override;
  const LlamaWeights& weights() const override { return search_.weights(); }
  StepResult Advance() override;
  TokenAttention* decode_attention() override { return generate_ == nullptr ? nullptr : generate_->decode_attention(); }
  TokenId next_input() const override { return generate_->next_input(); }
  StepResult TakeLogits(absl::Span<const float> logits) override;

 private:
  absl::Status BeginGenerating();

  SearchTask search_;
  Question question_;
  GenerationOptions options_;
  std::unique_ptr<GenerateTask> generate_;
};

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_ANSWER_TASK_H_
