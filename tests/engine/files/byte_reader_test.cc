#include "engine/files/byte_reader.h"

#include <cstdint>
#include <limits>

#include "engine/files/byte_writer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::tome::testing::IsOk;
using ::tome::testing::StatusIs;

TEST(ByteReaderTest, ReadsWhatTheWriterWrote) {
  ByteWriter writer;
  writer.Write<std::uint8_t>(200);
  writer.Write<std::int16_t>(-2);
  writer.Write<std::uint32_t>(0xdeadbeef);
  writer.Write<std::int64_t>(std::numeric_limits<std::int64_t>::min());
  writer.Write<float>(1.5f);
  writer.Write<double>(-0.1);
  writer.WriteString(std::string_view("a\0b", 3));
  writer.WriteBytes("tail");

  ByteReader reader(writer.bytes());
  EXPECT_EQ(reader.Read<std::uint8_t>("u8").value(), 200);
  EXPECT_EQ(reader.Read<std::int16_t>("i16").value(), -2);
  EXPECT_EQ(reader.Read<std::uint32_t>("u32").value(), 0xdeadbeef);
  EXPECT_EQ(reader.Read<std::int64_t>("i64").value(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(reader.Read<float>("f32").value(), 1.5f);
  EXPECT_EQ(reader.Read<double>("f64").value(), -0.1);
  EXPECT_EQ(reader.ReadString("string").value(), std::string_view("a\0b", 3));
  EXPECT_THAT(reader.ExpectEnd(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("found 4 more bytes")));
  EXPECT_EQ(reader.ReadBytes(4, "tail").value(), "tail");
  EXPECT_THAT(reader.ExpectEnd(), IsOk());
}

TEST(ByteReaderTest, WritesLittleEndian) {
  ByteWriter writer;
  writer.Write<std::uint32_t>(0x04030201);
  writer.Align(8);
  EXPECT_EQ(writer.bytes(), std::string_view("\1\2\3\4\0\0\0\0", 8));
  writer.Align(8);
  EXPECT_EQ(writer.size(), 8u);
}

TEST(ByteReaderTest, AReadPastTheEndSaysWhereAndLeavesThePosition) {
  ByteReader reader("\1\2\3", "state.bin", absl::StatusCode::kDataLoss);
  ASSERT_THAT(reader.Read<std::uint8_t>("version"), IsOk());
  EXPECT_THAT(
      reader.Read<std::uint32_t>("size"),
      StatusIs(absl::StatusCode::kDataLoss, "state.bin: size: expected 4 bytes at offset 1, found 2 before the end"));
  EXPECT_EQ(reader.offset(), 1u);
  EXPECT_EQ(reader.Read<std::uint16_t>("next").value(), 0x0302);
}

TEST(ByteReaderTest, LengthsLargerThanTheDataAreRefused) {
  ByteWriter writer;
  writer.Write<std::uint64_t>(std::numeric_limits<std::uint64_t>::max());
  writer.WriteBytes("abcdefgh");
  ByteReader reader(writer.bytes(), "f");
  EXPECT_THAT(reader.ReadString("name"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("f: name: expected")));
  EXPECT_EQ(reader.offset(), 0u);
  EXPECT_THAT(reader.ReadCount(4, "items"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("items: expected at most 2 items"), HasSubstr("found 18446744073709551615"))));
  EXPECT_EQ(reader.offset(), 0u);
}

TEST(ByteReaderTest, ACountThatJustFitsIsTaken) {
  ByteWriter writer;
  writer.Write<std::uint64_t>(2);
  writer.WriteBytes("abcdefgh");
  ByteReader reader(writer.bytes());
  EXPECT_EQ(reader.ReadCount(4, "items").value(), 2u);
}

}  // namespace
}  // namespace tome
