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

}  // namespace tome

#endif  // TOME_ENGINE_BASE_TYPES_H_
