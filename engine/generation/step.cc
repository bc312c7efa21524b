// Step: one pass for each task that reads, and one shared pass for all that decode.
//
// Readers do not share a pass: with hundreds of rows each nothing is gained, and matrix products of another shape may
// round differently, so a session's state would depend on who else was reading.

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/generation/step_tasks.h"
#include "engine/model/forward.h"
#include "engine/model/guard.h"

namespace tome {
namespace {

StepResult Failed(TaskImpl* task, absl::Status status) {
  task->Fail();
  StepResult result;
  result.status = std::move(status);
  result.finished = true;
  return result;
}

// What `advance` gives, a StepResult; where it throws or gives an error, the end of the task.
template <typename Advance>
StepResult Advanced(TaskImpl* task, Advance advance) {
  StepResult result;
  absl::Status status = Guarded([&] {
    result = advance();
    return result.status;
  });
  return status.ok() ? std::move(result) : Failed(task, std::move(status));
}

absl::Span<const float> Row(const at::Tensor& logits, std::size_t row) {
  const auto vocab = static_cast<std::size_t>(logits.size(1));
  return {logits.const_data_ptr<float>() + row * vocab, vocab};
}

// A pass over one token of each of these, which share one model but for adapters: logits [tasks, V]. Leaves the tasks
// as they were.
at::Tensor DecodePass(absl::Span<TaskImpl* const> tasks) {
  std::vector<const LlamaWeights*> weights;
  std::vector<TokenId> tokens;
  std::vector<TokenAttention*> attentions;
  for (TaskImpl* task : tasks) {
    weights.push_back(&task->weights());
    tokens.push_back(task->next_input());
    attentions.push_back(task->decode_attention());
  }
  return DecodeTokens(weights, tokens, attentions);
}

StepResult DecodeAlone(TaskImpl* task) {
  return Advanced(task, [task] { return task->TakeLogits(Row(DecodePass({&task, 1}), 0)); });
}

// The results of decoding tasks, in their order.
std::vector<StepResult> DecodeTogether(absl::Span<TaskImpl* const> tasks) {
  at::Tensor logits;
  const absl::Status status = Guarded([&] {
    logits = DecodePass(tasks);
    return absl::OkStatus();
  });
  std::vector<StepResult> results;
  for (std::size_t row = 0; row < tasks.size(); ++row) {
    TaskImpl* task = tasks[row];
    results.push_back(status.ok() ? Advanced(task, [&] { return task->TakeLogits(Row(logits, row)); })
                                  : DecodeAlone(task));
  }
  return results;
}

}  // namespace

std::vector<StepResult> StepTasks(absl::Span<TaskImpl* const> tasks) {
  std::vector<StepResult> results(tasks.size());
  std::vector<std::size_t> indices;
  std::vector<TaskImpl*> decoding;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    TaskImpl* task = tasks[i];
    if (task->finished()) {
      results[i].finished = true;
    } else if (task->decode_attention() != nullptr) {
      indices.push_back(i);
      decoding.push_back(task);
    } else {
      results[i] = Advanced(task, [task] { return task->Advance(); });
    }
  }
  if (decoding.empty()) return results;
  std::vector<StepResult> decoded = DecodeTogether(decoding);
  for (std::size_t i = 0; i < indices.size(); ++i) results[indices[i]] = std::move(decoded[i]);
  return results;
}

std::vector<StepResult> Step(absl::Span<Task* const> tasks) {
  std::vector<TaskImpl*> impls;
  for (const Task* task : tasks) impls.push_back(task->impl());
  return StepTasks(impls);
}

}  // namespace tome
