// Documents for an evaluation: read into a memory, and questions read over it.
#ifndef TOME_ENGINE_EVALUATION_QUESTIONS_READING_H_
#define TOME_ENGINE_EVALUATION_QUESTIONS_READING_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/evaluation/questions/needles.h"

namespace tome {

absl::StatusOr<std::string> ReadTextFile(const std::string& path);
// Several files, joined.
absl::StatusOr<std::string> ReadTextFiles(const std::vector<std::string>& paths);
absl::Status WriteTextFile(const std::string& path, std::string_view text);

// A document's tokens as a session reads them: the first one begins with BOS where the model expects it.
struct EncodedDocument {
  std::vector<TokenId> tokens;
  std::vector<TokenSpan> spans;
};
EncodedDocument EncodeDocument(const Tokenizer& tokenizer, std::string_view text, std::uint32_t document);

// The tokens of several files one after the other, after BOS where the model expects it: the first `tokens` of them,
// all with 0. INVALID_ARGUMENT when there are fewer.
absl::StatusOr<std::vector<TokenId>> ReadTokenFiles(const Tokenizer& tokenizer, const std::vector<std::string>& paths,
                                                    std::int64_t tokens);

// Called after each segment with the memory as it then is and the number of tokens of the segment; an error ends the
// reading.
using SegmentObserver = std::function<absl::Status(const Memory& memory, std::int64_t segment_tokens)>;

// Reads whole documents, numbered from 0, into an empty memory of `model`, with BOS where the model expects it.
// Progress goes to stderr.
absl::StatusOr<Memory> ReadDocuments(std::shared_ptr<const Model> model, const MemoryOptions& options,
                                     const std::vector<std::string>& documents,
                                     const SegmentObserver& observer = nullptr);

// The memory whose serialized state a file has. Errors name the file.
absl::StatusOr<Memory> LoadMemory(std::shared_ptr<const Model> model, const std::string& state_path);

// As ReadDocuments, with the state kept in the file `state_path` unless that is "": saved at the end and now and then
// on the way, so that a long reading that was broken off goes on from there. FAILED_PRECONDITION when the file's state
// is of other documents or options.
absl::StatusOr<Memory> ReadOrRestore(std::shared_ptr<const Model> model, const MemoryOptions& options,
                                     const std::vector<std::string>& documents, const std::string& state_path);

// Runs a task to its end. Gives its last evidence (null when there is none), the text that it generated, and when the
// first token of that came (0: none did).
struct TaskOutcome {
  std::shared_ptr<const Evidence> evidence;
  std::string text;
  double first_token_seconds = 0;
};
absl::StatusOr<TaskOutcome> RunTask(Task task);

// The un-rotated queries [H, T, D] of the question's T tokens, read after what `memory` keeps, in each of the first
// `num_layers` layers, fp32 on the CPU.
std::vector<at::Tensor> ReadQuestionQueries(const Memory& memory, const std::vector<TokenId>& question,
                                            std::int64_t num_layers);

// The regions of an archive that have bytes of `range` in them.
std::vector<std::int64_t> RegionsWith(const Archive& archive, std::uint32_t document, TextRange range);
// Those that have some in their text, which is what a search gives: see InSentences.
std::vector<std::int64_t> RegionsWithInText(const Archive& archive, const Tokenizer& tokenizer, std::uint32_t document,
                                            TextRange range);
// Whether one of the passages has all bytes of `range`.
bool PassagesCover(const std::vector<Passage>& passages, std::uint32_t document, TextRange range);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_QUESTIONS_READING_H_
