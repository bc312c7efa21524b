// What a Task does in one step. Step (step.cc) advances each kind in its own way.
#ifndef TOME_ENGINE_GENERATION_TASK_IMPL_H_
#define TOME_ENGINE_GENERATION_TASK_IMPL_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "absl/types/span.h"
#include "engine/generation/sampler.h"
#include "engine/generation/step_result.h"
#include "engine/generation/stop_text.h"
#include "engine/memory/memory.h"
#include "engine/memory/sequence_cache.h"
#include "engine/model/weights.h"
#include "engine/text/detokenizer.h"

namespace tome {

// Exceptions of torch leave these functions; Step turns them into statuses.
class TaskImpl {
 public:
  virtual ~TaskImpl() = default;

  virtual std::int64_t tokens_left_to_read() const = 0;
  // Of the next pass: the model's, or with an adapter.
  virtual const LlamaWeights& weights() const = 0;

  // One pass of this task alone: a segment, a chunk of a prompt, or a token where DecodeTokens can't be used.
  virtual StepResult Advance() = 0;

  // Decoding on the CPU: the next input token and its attention, for a pass shared with other tasks, and what follows
  // from the pass's logits [V]. Null when the next step is not such a pass.
  virtual TokenAttention* decode_attention() { return nullptr; }
  virtual TokenId next_input() const { return 0; }
  virtual StepResult TakeLogits(absl::Span<const float>) { return {}; }

  bool finished() const { return finished_; }
  // Ends the task after an error.
  void Fail() { finished_ = true; }

 protected:
  bool finished_ = false;
};

class ReadTask final : public TaskImpl {
 public:
  // `spans`: of each token, or empty. Tokens from number `first_scored` on are scored.
  ReadTask(Memory* memory, std::vector<TokenId> tokens, std::vector<TokenSpan> spans,
           std::size_t first_scored = std::numeric_limits<std::size_t>::max());

  std::int64_t tokens_left_to_read() const override;
  const LlamaWeights& weights() const override;
  StepResult Advance() override;

 private:
  std::shared_ptr<const ArchiveBlock> Archived(absl::Span<const TokenId> segment, const at::Tensor& keys) const;
  // The tokens that follow the rows of `hidden`, the next ones to be read being in its first row.
  std::vector<ScoredToken> ScoreRows(const at::Tensor& hidden) const;

  Memory* memory_;
  std::vector<TokenId> tokens_;
  std::vector<TokenSpan> spans_;
  std::size_t first_scored_;
  std::size_t next_ = 0;
};

// Reads a text into a fork of its own and scores it.
class ScoreTask final : public TaskImpl {
 public:
  // Tokens from number `first_scored` on are scored.
  ScoreTask(Memory fork, std::vector<TokenId> tokens, std::size_t first_scored)
      : fork_(std::move(fork)), reading_(&fork_, std::move(tokens), {}, first_scored) {}

  std::int64_t tokens_left_to_read() const override { return reading_.tokens_left_to_read(); }
  const LlamaWeights& weights() const override { return reading_.weights(); }
  StepResult Advance() override;

 private:
  Memory fork_;
  ReadTask reading_;
};

// Whether the answer fits into a room of so many tokens. Where `options` allow it, max_tokens is cut to that room
// first; up_to_context then says whether it was.
bool FitAnswer(std::int64_t room, GenerationOptions* options);

class GenerateTask final : public TaskImpl {
 public:
  // `attended`: tokens that the fork holds, see SequenceCache; none with `adapted`, which are then the weights in place
  // of the model's.
  GenerateTask(Memory fork, std::vector<TokenRange> attended, std::vector<TokenId> prompt, GenerationOptions options,
               std::shared_ptr<const LlamaWeights> adapted = nullptr);

  std::int64_t tokens_left_to_read() const override;
  const LlamaWeights& weights() const override;
  StepResult Advance() override;
  TokenAttention* decode_attention() override;
  TokenId next_input() const override { return last_token_; }
  StepResult TakeLogits(absl::Span<const float> logits) override;

 private:
  // Takes the next token from logits [V] and says what it adds to the answer.
  void Accept(absl::Span<const float> logits, StepResult* result);
  void End(FinishReason reason, StepResult* result);

  Memory fork_;
  std::shared_ptr<const LlamaWeights> adapted_;
  std::vector<TokenRange> attended_;
  std::vector<TokenId> prompt_;
  GenerationOptions options_;
  std::unordered_set<TokenId> stop_tokens_;
  std::size_t next_ = 0;  // prompt tokens read
  std::optional<SequenceCache> cache_;
  Sampler sampler_;
  Detokenizer detokenizer_;
  StopTextFilter stop_filter_;
  TokenId last_token_ = 0;
  int num_generated_ = 0;
};

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_TASK_IMPL_H_
