// Answering a question over the regions that it was routed to: their text, or their stored keys and values.
#ifndef TOME_ENGINE_GENERATION_ANSWER_TASK_H_
#define TOME_ENGINE_GENERATION_ANSWER_TASK_H_

#include <memory>
#include <vector>

#include "engine/generation/passages.h"
#include "engine/generation/search_task.h"

namespace tome {

class AnswerTask final : public TaskImpl {
 public:
  // `ranking` and `reading`: in place of the model's weights where they are not null.
  AnswerTask(Memory fork, PendingText pending, Question question, GenerationOptions options,
             std::shared_ptr<const LlamaWeights> ranking, std::shared_ptr<const LlamaWeights> reading);

  std::int64_t tokens_left_to_read() const override;
  const LlamaWeights& weights() const override {
    return generate_ == nullptr ? search_.weights() : generate_->weights();
  }
  StepResult Advance() override;
  TokenAttention* decode_attention() override { return generate_ == nullptr ? nullptr : generate_->decode_attention(); }
  TokenId next_input() const override { return generate_->next_input(); }
  StepResult TakeLogits(absl::Span<const float> logits) override;

 private:
  // Notes in the evidence what the answer is generated over; gives the tokens that are attended to as they are stored.
  std::vector<TokenRange> ChooseText();
  absl::Status BeginGenerating();

  SearchTask search_;
  Question question_;
  GenerationOptions options_;
  std::shared_ptr<const LlamaWeights> reading_;
  std::unique_ptr<GenerateTask> generate_;
};

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_ANSWER_TASK_H_
