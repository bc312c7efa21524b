// How a byte-level BPE cuts a stretch of text into words: by regular expressions.
#ifndef TOME_ENGINE_TEXT_SPLITTING_PATTERN_CUTTER_H_
#define TOME_ENGINE_TEXT_SPLITTING_PATTERN_CUTTER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/splitting/regex.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// The expressions that cut words. Immutable and thread-safe.
struct WordPatterns {
  static absl::StatusOr<WordPatterns> Create(const TokenizerData& data);

  std::shared_ptr<const Regex> words;
  std::shared_ptr<const Regex> isolated;  // null when nothing is taken out; what it matches is a word, and the text
                                          // on either side is cut as if it ended there
};

// Cuts one stretch that grows at its end and is dropped at its front. A copy is independent. Not thread-safe.
class PatternCutter {
 public:
  explicit PatternCutter(const WordPatterns& patterns);

  // The length of the word at `start` of `text`: a character boundary where the last word ended. 0 when only what
  // follows the text can tell; never with `is_end`. A word of more than kMaxWordBytes is cut there, at the last
  // character boundary, and the cut depends on nothing after it.
  std::size_t WordLength(std::string_view text, std::size_t start, bool is_end);

  // Another stretch begins at `start`.
  void Begin(std::size_t start);
  // The caller dropped the first `size` bytes of the text.
  void DropFront(std::size_t size);

 private:
  // Where the next isolated word at or after `start` begins.
  struct Segment {
    std::size_t end = 0;       // the text before it is cut on its own
    std::size_t isolated = 0;  // length of the isolated word at `end`; 0 when none is known
    bool is_certain = false;   // an isolated word or the text's end stands there
  };
  Segment FindSegment(std::string_view text, std::size_t start, bool is_end);

  RegexSearch words_;
  std::optional<RegexSearch> isolated_;
  std::optional<Segment> next_isolated_;  // the last one found, while it is ahead
  std::size_t searched_ = 0;              // no isolated word begins between the current word and here
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_SPLITTING_PATTERN_CUTTER_H_
