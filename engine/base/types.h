// The plain types that every part of the engine shares.
#ifndef TOME_ENGINE_BASE_TYPES_H_
#define TOME_ENGINE_BASE_TYPES_H_

#include <cstdint>

namespace tome {

// Index into the model's vocabulary: 0 <= id < vocab_size.
using TokenId = std::int32_t;

// Position in a document's byte stream.
using ByteOffset = std::uint64_t;

// A token of a text and how many bytes of the text it stands for. The lengths of a text's tokens add up to its size.
// Zero for tokens that stand for no byte of the text (BOS, special tokens, all but the last of a byte-fallback group).
struct TextToken {
  TokenId id = 0;
  std::uint32_t num_bytes = 0;

  friend bool operator==(const TextToken&, const TextToken&) = default;
};

// The bytes of a document that a token, or a run of tokens, stands for: none for special tokens and parts of a
// character, whose bytes belong to the token that ends it.
struct TokenSpan {
  std::uint32_t document = 0;  // ordinal in its session
  std::uint32_t num_bytes = 0;
  ByteOffset begin = 0;

  friend bool operator==(const TokenSpan&, const TokenSpan&) = default;
};

}  // namespace tome

#endif  // TOME_ENGINE_BASE_TYPES_H_
