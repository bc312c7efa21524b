#include "engine/base/digest.h"

#include <gtest/gtest.h>

namespace tome {
namespace {

constexpr std::string_view kAbcDigest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(DigestTest, GivesThePublishedValues) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), kAbcDigest);
  EXPECT_EQ(Sha256Hex(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(DigestTest, PiecesGiveTheDigestOfTheWhole) {
  Sha256 sha;
  sha.Update("a");
  sha.Update("");
  const std::byte rest[] = {std::byte{'b'}, std::byte{'c'}};
  sha.Update(rest);
  EXPECT_EQ(sha.FinishHex(), kAbcDigest);
}

TEST(DigestTest, HexIsLowerCaseWithTwoDigitsForEachByte) {
  EXPECT_EQ(HexEncode(std::string_view("\0\x0f\xf0\xff", 4)), "000ff0ff");
  EXPECT_EQ(HexEncode(""), "");
}

TEST(DigestTest, HexDecodesToWhatItWasAndNothingElseDoes) {
  EXPECT_EQ(HexDecode("000ff0ff"), std::string("\0\x0f\xf0\xff", 4));
  EXPECT_EQ(HexDecode(""), "");
  for (const char* bad : {"0", "000", "0g", "0F", "/0", ":0", "`0", "-1", " 0"})
    EXPECT_EQ(HexDecode(bad), std::nullopt);
}

}  // namespace
}  // namespace tome
