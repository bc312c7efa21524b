// The bytes of a Memory.
//
//   magic "TOMESTAT", u32 version, then a header: the digests of the model, the tokenizer and what routing codes depend
//   on, the precision, the shape, the version of the words' stems (WordStemsVersion), the options and the token counts;
//   u32 CRC-32C of all so far.
//   Then for each layer: keys [KV, n, D] and values [KV, n, D] of all kept tokens, sink first, raw little-endian
//   values; after each layer the u32 CRC-32C of its bytes.
//   Then the pooled queries of the region memory, fp32, with their CRC-32C, if there are any; then for each region, the
//   oldest first: i64 first token, i64 selections, keys and values [L, KV, n, D], scales where it has them, the scores
//   of its tokens, fp32, and the u32 CRC-32C of all these.
//   Then for each block of the archive its bytes (u64 length first) and the u32 CRC-32C of them.
//
// States of version 4 are read as well. They have no version of stems, and the blocks of their archives no languages.
// Where the version of the stems is not this build's, those of all blocks are made anew from the tokens.
//
// How the tokens were cut into blocks is not part of it, so equal states give equal bytes.
#ifndef TOME_ENGINE_MEMORY_STATE_FORMAT_H_
#define TOME_ENGINE_MEMORY_STATE_FORMAT_H_

#include <cstdint>
#include <string_view>

namespace tome {

inline constexpr std::string_view kStateMagic = "TOMESTAT";
inline constexpr std::uint32_t kStateVersion = 5;
inline constexpr std::uint32_t kOldestStateVersion = 4;

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_STATE_FORMAT_H_
