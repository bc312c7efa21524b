// CRC-32C (Castagnoli), the checksum of stored chunks and of Append messages. Thread-safe.
#ifndef TOME_ENGINE_BASE_CRC32C_H_
#define TOME_ENGINE_BASE_CRC32C_H_

#include <cstdint>
#include <string_view>

namespace tome {

// The checksum of `data`. With `seed` the checksum of the bytes before it, the checksum of both together:
// Crc32c(b, Crc32c(a)) == Crc32c(ab). Uses SSE4.2 where the CPU has it.
std::uint32_t Crc32c(std::string_view data, std::uint32_t seed = 0);

// The same, without special instructions: what Crc32c runs elsewhere, and its check in tests.
std::uint32_t Crc32cPortable(std::string_view data, std::uint32_t seed = 0);

}  // namespace tome

#endif  // TOME_ENGINE_BASE_CRC32C_H_
