#include "engine/base/crc32c.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tome {
namespace {

TEST(Crc32cTest, GivesThePublishedValues) {
  std::string ascending(32, '\0'), descending(32, '\0');
  for (int i = 0; i < 32; ++i) ascending[i] = static_cast<char>(i), descending[i] = static_cast<char>(31 - i);
  const struct {
    std::string data;
    std::uint32_t expected;
  } cases[] = {
      {"", 0},
      {"a", 0xc1d04330},
      {"123456789", 0xe3069283},
      {std::string(32, '\0'), 0x8a9136aa},  // this and the next three: RFC 3720, B.4
      {std::string(32, '\xff'), 0x62a8ab43},
      {ascending, 0x46dd794e},
      {descending, 0x113fdb5c},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Crc32c(c.data), c.expected) << c.data.size();
    EXPECT_EQ(Crc32cPortable(c.data), c.expected) << c.data.size();
  }
}

TEST(Crc32cTest, BothImplementationsAgreeAtEverySizeAndAlignment) {
  std::mt19937 random(7);
  std::string data(256, '\0');
  for (char& byte : data) byte = static_cast<char>(random());
  for (std::size_t start = 0; start < 9; ++start) {
    for (std::size_t size = 0; start + size <= 80; ++size) {
      const std::string_view piece = std::string_view(data).substr(start, size);
      ASSERT_EQ(Crc32c(piece, 12345), Crc32cPortable(piece, 12345)) << start << " " << size;
    }
  }
}

TEST(Crc32cTest, ContinuesFromASeed) {
  const std::string data = "It was the best of times, it was the worst of times";
  for (std::size_t cut = 0; cut <= data.size(); ++cut) {
    EXPECT_EQ(Crc32c(data.substr(cut), Crc32c(data.substr(0, cut))), Crc32c(data));
    EXPECT_EQ(Crc32cPortable(data.substr(cut), Crc32cPortable(data.substr(0, cut))), Crc32c(data));
  }
}

}  // namespace
}  // namespace tome
