// The bytes of a Memory.
//
//   magic "TOMESTAT", u32 version, then a header: the model's and the tokenizer's digests, the options, the precision,
//   the shape and the token counts; u32 CRC-32C of all so far.
//   Then for each layer: keys [KV, n, D] and values [KV, n, D] of all kept tokens, sink first, raw little-endian
//   values; after each layer the u32 CRC-32C of its bytes.
//   Then for each block of the archive its bytes (u64 length first) and the u32 CRC-32C of them.
//
// How the tokens were cut into blocks is not part of it, so equal states give equal bytes.
#ifndef TOME_ENGINE_MEMORY_STATE_FORMAT_H_
#define TOME_ENGINE_MEMORY_STATE_FORMAT_H_

#include <cstdint>
#include <string_view>

namespace tome {

inline constexpr std::string_view kStateMagic = "TOMESTAT";
inline constexpr std::uint32_t kStateVersion = 2;

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_STATE_FORMAT_H_
