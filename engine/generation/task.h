// Pieces of work on a memory, and the passes through the model that advance them.
#ifndef TOME_ENGINE_GENERATION_TASK_H_
#define TOME_ENGINE_GENERATION_TASK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/generation/generation_options.h"
#include "engine/generation/question.h"
#include "engine/generation/step_result.h"
#include "engine/memory/memory.h"
#include "engine/text/tokenizer.h"

namespace tome {

class TaskImpl;

// Movable. Dropping it between two steps frees what it holds and leaves the memory as it was, or one whole segment
// further.
class Task {
 public:
  // Reads `tokens` into `memory`, a segment in each step; the last may be shorter. `memory` outlives the task, which is
  // its only writer. At most segment_tokens in each step; segments count from the task's first token. `spans`: where
  // the bytes of each token are; all of one document. Without them the tokens go on in document 0 with their own bytes.
  static Task Read(Memory* memory, std::vector<TokenId> tokens, std::vector<TokenSpan> spans = {});

  // Answers `prompt` over a fork of a memory. INVALID_ARGUMENT when prompt and max_tokens do not fit the model's
  // context beside what the memory keeps (the message has the numbers). An empty prompt is refused.
  static absl::StatusOr<Task> Generate(Memory fork, std::vector<TokenId> prompt, GenerationOptions options);

  // Finds the regions of what `fork` has read that `question` asks for. The last step's result has the evidence.
  // INVALID_ARGUMENT for a question without tokens, or one that does not fit the context beside the memory, and for an
  // adapter that is not of this model.
  static absl::StatusOr<Task> Search(Memory fork, PendingText pending, std::string question, RouteOptions options);

  // Search, then an answer generated over what was found. kReread: the text prefilled anew, best passage last, with the
  // question. kAttend: the keys and values of the sink and of the regions that sink, window or region memory still
  // hold, in the order of the text; after them the text of the other regions, as above, and the question.
  // INVALID_ARGUMENT for a budget below a region or beyond the context, for kWindow (which finds nothing: see
  // Generate), for an adapter with kAttend or of another model, and, when what was found is known, for a prompt that
  // does not fit the context.
  static absl::StatusOr<Task> Answer(Memory fork, PendingText pending, Question question, GenerationOptions options);

  // How likely the model finds the tokens of `text` after what `fork` has read and `pending`: reads both into the fork,
  // a segment in each step. INVALID_ARGUMENT for a text without tokens.
  static absl::StatusOr<Task> Score(Memory fork, PendingText pending, const std::string& text);

  Task(Task&&) noexcept;
  Task& operator=(Task&&) noexcept;
  ~Task();

  bool finished() const;
  // Tokens still to be read before the first answer token, or before the end of a Read.
  std::int64_t tokens_left_to_read() const;
  // True once the prompt is read: steps are then short and batch with those of other tasks.
  bool decoding() const;

  TaskImpl* impl() const { return impl_.get(); }

 private:
  explicit Task(std::unique_ptr<TaskImpl> impl);
  std::unique_ptr<TaskImpl> impl_;
};

// One forward pass for several unfinished tasks of one model, of any kinds: a Read advances by a segment, a Generate by
// a chunk of its prompt or by one token. Decoding tasks share one pass over the weights. The result of a task does not
// depend on which others are in the batch. Result i belongs to task i. A failing task fails alone, also where it makes
// the shared pass throw: the others then have passes of their own.
std::vector<StepResult> Step(absl::Span<Task* const> tasks);

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_TASK_H_
