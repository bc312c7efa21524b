// Texts to train on, as sequences of tokens.
#ifndef TOME_ENGINE_TRAINING_DATA_SET_H_
#define TOME_ENGINE_TRAINING_DATA_SET_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer.h"
#include "engine/training/training_pass.h"

namespace tome {

struct DataOptions {
  std::int64_t window_tokens = 2048;  // the most of a sequence
  std::int64_t stride_tokens = 0;     // plain text: from window to window; 0: window_tokens
};

struct DataSet {
  std::vector<TrainingSequence> sequences;
  std::vector<std::string> warnings;
  std::int64_t tokens() const;
  std::int64_t counted() const;
  // SHA-256 over all tokens and what counts of them, hex: a run goes on only with the data that it began with.
  std::string Digest() const;
};

// Plain text, cut into windows; the first token of a window is learnt from nothing, so it does not count, nor do tokens
// that the window before has counted. A last window of fewer than two new tokens is left out. INVALID_ARGUMENT for a
// text without two tokens.
absl::StatusOr<DataSet> ReadPlainText(std::string_view text, const Tokenizer& tokenizer, const DataOptions& options,
                                      const std::string& source);

// JSON lines: {"prompt": "...", "completion": "..."} each; "answer" is another name of "completion". The prompt's
// special tokens are taken as such ("<|im_start|>"), the completion's are text; the model's end of a text is added and
// learnt, unless the object has "end": false. Only the completion counts. A line that is longer than the window loses
// the beginning of its prompt, with a warning; INVALID_ARGUMENT, with the line's number, for a completion that does not
// fit or has no tokens, and for lines that are not such objects.
absl::StatusOr<DataSet> ReadCompletions(std::string_view lines, const Tokenizer& tokenizer, const DataOptions& options,
                                        const std::string& source);

// The order of `count` sequences in one epoch: a permutation by the seed.
std::vector<std::int64_t> EpochOrder(std::int64_t count, std::uint64_t seed, std::int64_t epoch);

}  // namespace tome

#endif  // TOME_ENGINE_TRAINING_DATA_SET_H_
