// Which characters follow each other inside the pieces of a vocabulary.
#ifndef TOME_ENGINE_TEXT_SPLITTING_CHARACTER_PAIRS_H_
#define TOME_ENGINE_TEXT_SPLITTING_CHARACTER_PAIRS_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/container/flat_hash_set.h"

namespace tome {

// Where no piece has `left` followed by `right`, no piece can span the place between them, so a text may be cut there
// and each side be tokenized on its own. Immutable once built, then thread-safe.
class CharacterPairs {
 public:
  // Adds the pairs of `piece`, valid UTF-8.
  void AddPiece(std::string_view piece);

  bool Contains(char32_t left, char32_t right) const {
    if (left < kAscii && right < kAscii) return ascii_[left * kAscii + right];
    return others_.contains(static_cast<std::uint64_t>(left) << 32 | right);
  }

 private:
  static constexpr std::size_t kAscii = 128;
  std::bitset<kAscii * kAscii> ascii_;
  absl::flat_hash_set<std::uint64_t> others_;
};

// A character of a text, as SentencePiece reads it.
struct SentencePieceCharacter {
  char32_t code_point = 0;    // U+2581 for a space, U+FFFD for a byte of an ill-formed sequence
  std::size_t num_bytes = 0;  // 0 when the text ends within the character
};

// The character at the beginning of `text`, which is not empty. `more_follows`: the text goes on.
SentencePieceCharacter ReadSentencePieceCharacter(std::string_view text, bool more_follows);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_SPLITTING_CHARACTER_PAIRS_H_
