// How a text becomes words, each of which is encoded on its own: added tokens are taken out, and the stretches between
// them are cut by patterns (byte-level BPE) or where no merge can reach over (BPE of characters).
#ifndef TOME_ENGINE_TEXT_SPLITTING_WORD_SPLITTER_H_
#define TOME_ENGINE_TEXT_SPLITTING_WORD_SPLITTER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "engine/base/types.h"
#include "engine/text/splitting/added_tokens.h"
#include "engine/text/splitting/character_cutter.h"
#include "engine/text/splitting/pattern_cutter.h"

namespace tome {

// Immutable and thread-safe.
struct WordRules {
  AddedTokens added;
  std::variant<WordPatterns, CharacterRules> stretches;
};

struct Word {
  std::size_t length = 0;
  std::optional<TokenId> token;  // it is an added token, with the white space that this takes
  bool prefix = false;           // U+2581 stands before it that is not in the text
  bool whole = true;             // it is no part of a longer word that had to be cut
};

// What of a text before a word matters for those that follow; all is 0 where nothing does, as at a text's beginning.
struct WordContext {
  std::uint8_t flags = 0;
  std::uint16_t passed = 0, passed_normalized = 0;  // see AddedTokenScanner::passed
};

// Cuts one text that grows at its end and is dropped at its front. A copy is independent. Not thread-safe.
class WordSplitter {
 public:
  explicit WordSplitter(const WordRules& rules);

  // What of the text before the current word matters for those that follow. A splitter made with it goes on there.
  WordContext context() const;
  // Whether there can be such a context.
  static bool IsContext(const WordRules& rules, const WordContext& context);
  // Of a text that follows an added token.
  static constexpr WordContext kAfterToken = {.flags = 1};
  WordSplitter(const WordRules& rules, const WordContext& context);

  // The word at `start` of `text`, which is not empty there and where the last word ended. nullopt when only what
  // follows the text can tell; never with `is_end`.
  std::optional<Word> Next(std::string_view text, std::size_t start, bool is_end);

  // The caller drops the first `size` bytes of `text`, where a word ended.
  void DropFront(std::string_view text, std::size_t size);

 private:
  static constexpr std::uint8_t kInText = kAfterToken.flags, kInSegment = 2, kInStretch = 4, kAfterWord = 8;

  std::optional<Word> NextOfStretch(std::string_view text, std::size_t start, bool is_end);
  Word Take(const AddedTokenScanner::Match& match, std::size_t start, bool is_exact);

  const WordRules* rules_;
  AddedTokenScanner exact_, normalized_;
  std::optional<PatternCutter> patterns_;
  bool in_text_ = false;     // something of the text was put out
  bool in_segment_ = false;  // since the last exact token
  bool begun_ = false;       // the segment's beginning was looked at
  bool in_stretch_ = false;  // since the last token
  bool after_word_ = false;  // the text before ends with a character of a word; only where tokens ask for it
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_SPLITTING_WORD_SPLITTER_H_
