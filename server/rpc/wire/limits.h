// What a request may have at most, and what it has where it says nothing.
#ifndef TOME_SERVER_RPC_WIRE_LIMITS_H_
#define TOME_SERVER_RPC_WIRE_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace tome::server {

inline constexpr std::size_t kMaxAppendBytes = std::size_t{1} << 20;    // of data in one AppendRequest
inline constexpr std::size_t kMaxPatternBytes = 512;                    // of MemoryOptions' patterns and encodings
inline constexpr std::size_t kMaxTokenizeBytes = std::size_t{1} << 20;  // of TokenizeRequest.text
inline constexpr int kMaxPageSize = 1000;
inline constexpr int kDefaultPageSize = 50;
inline constexpr int kMaxSearchPageSize = 256;
inline constexpr int kDefaultSearchPageSize = 10;
inline constexpr std::uint32_t kMaxCitations = 64;
inline constexpr std::size_t kMaxImportBytes = std::size_t{2} << 20;  // of data in one ImportSessionRequest
inline constexpr std::size_t kMaxFilterBytes = 1024;
inline constexpr std::size_t kMaxBundleNameBytes = 256;

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_WIRE_LIMITS_H_
