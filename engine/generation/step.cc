// Step: one pass for each task that reads, and one shared pass for all that decode.
//
// Readers do not share a pass: with hundreds of rows each nothing is gained, and matrix products of another shape may
// round differently, so a session's state would depend on who else was reading.

#include <ATen/ATen.h>

#include <exception>
#include <new>
#include <vector>

#include "engine/base/status.h"
#include "engine/generation/task_impl.h"
#include "engine/model/forward.h"

namespace tome {
namespace {

// The status of what a body threw, or OK.
template <typename Body>
absl::Status Guard(Body body) {
  try {
    body();
    return absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return ResourceExhausted("out of memory");
  } catch (const c10::OutOfMemoryError& error) {
    return ResourceExhausted("out of device memory: {}", error.what_without_backtrace());
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    if (message.find("DefaultCPUAllocator") != std::string::npos)
      return ResourceExhausted("out of memory: {}", message);
    return Internal("libtorch: {}", message);
  } catch (const std::exception& error) {
    return Internal("{}", error.what());
  }
}

StepResult Failed(TaskImpl* task, absl::Status status) {
  task->Fail();
  StepResult result;
  result.status = std::move(status);
  result.finished = true;
  return result;
}

StepResult AdvanceAlone(TaskImpl* task) {
  StepResult result;
  const absl::Status status = Guard([&] { result = task->Advance(); });
  if (!status.ok()) return Failed(task, status);
  if (!result.status.ok()) return Failed(task, result.status);
  return result;
}

// The decoding tasks among `tasks` at `indices`, which share one model.
void DecodeTogether(absl::Span<Task* const> tasks, const std::vector<std::size_t>& indices,
                    std::vector<StepResult>* results) {
  std::vector<TokenId> tokens;
  std::vector<TokenAttention*> attentions;
  for (const std::size_t i : indices) {
    tokens.push_back(tasks[i]->impl()->next_input());
    attentions.push_back(tasks[i]->impl()->decode_attention());
  }
  at::Tensor logits;
  const LlamaWeights& weights = tasks[indices[0]]->impl()->weights();
  const absl::Status status = Guard([&] { logits = DecodeTokens(weights, tokens, attentions); });
  for (std::size_t row = 0; row < indices.size(); ++row) {
    TaskImpl* task = tasks[indices[row]]->impl();
    StepResult& result = (*results)[indices[row]];
    if (!status.ok()) {
      result = Failed(task, status);
      continue;
    }
    const std::size_t vocab = static_cast<std::size_t>(logits.size(1));
    const absl::Span<const float> own(logits.const_data_ptr<float>() + row * vocab, vocab);
    absl::Status taken = Guard([&] { result = task->TakeLogits(own); });
    taken.Update(result.status);
    if (!taken.ok()) result = Failed(task, taken);
  }
}

}  // namespace

std::vector<StepResult> Step(absl::Span<Task* const> tasks) {
  std::vector<StepResult> results(tasks.size());
  std::vector<std::size_t> decoding;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    TaskImpl* task = tasks[i]->impl();
    if (task->finished()) {
      results[i].finished = true;
    } else if (task->decode_attention() != nullptr) {
      decoding.push_back(i);
    } else {
      results[i] = AdvanceAlone(task);
    }
  }
  if (!decoding.empty()) DecodeTogether(tasks, decoding, &results);
  return results;
}

}  // namespace tome
