#include "engine/base/crc32c.h"

#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace tome {
namespace {

constexpr std::uint32_t kReversedPolynomial = 0x82f63b78;

// tables[k][b]: the checksum of byte b followed by k zero bytes, so eight bytes are looked up independently.
using SlicingTables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr SlicingTables MakeTables() {
  SlicingTables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReversedPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t previous = tables[k - 1][byte];
      tables[k][byte] = (previous >> 8) ^ tables[0][previous & 0xff];
    }
  }
  return tables;
}

constexpr SlicingTables kTables = MakeTables();

__attribute__((target("sse4.2"))) std::uint32_t Crc32cSse42(std::string_view data, std::uint32_t seed) {
  std::uint64_t crc = ~seed;
  const char* next = data.data();
  std::size_t left = data.size();
  for (; left >= 8; next += 8, left -= 8) {
    std::uint64_t word;
    std::memcpy(&word, next, sizeof(word));
    crc = _mm_crc32_u64(crc, word);
  }
  auto tail = static_cast<std::uint32_t>(crc);
  for (; left > 0; ++next, --left) tail = _mm_crc32_u8(tail, static_cast<unsigned char>(*next));
  return ~tail;
}

}  // namespace

std::uint32_t Crc32cPortable(std::string_view data, std::uint32_t seed) {
  std::uint32_t crc = ~seed;
  const char* next = data.data();
  std::size_t left = data.size();
  for (; left >= 8; next += 8, left -= 8) {
    std::uint64_t word;
    std::memcpy(&word, next, sizeof(word));
    word ^= crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; left > 0; ++next, --left) crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<unsigned char>(*next)) & 0xff];
  return ~crc;
}

std::uint32_t Crc32c(std::string_view data, std::uint32_t seed) {
  static const bool has_sse42 = __builtin_cpu_supports("sse4.2") != 0;
  return has_sse42 ? Crc32cSse42(data, seed) : Crc32cPortable(data, seed);
}

}  // namespace tome
