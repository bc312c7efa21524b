#include "engine/checkpoint/gguf/gguf_file.h"

#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::tome::testing::GgufWriter;
using ::tome::testing::IsOk;
using ::tome::testing::StatusIs;
namespace gguf = ::tome::testing::gguf;

GgufWriter Sample() {
  GgufWriter writer;
  writer.SetUint32("u32", 7);
  writer.SetUint64("u64", 1ull << 63);
  writer.SetFloat("f32", 0.5f);
  writer.SetBool("bool", true);
  writer.SetString("text", "hello");
  writer.SetStrings("texts", {"a", "", "c"});
  writer.SetFloats("floats", {1, 2});
  writer.SetInt32s("ints", {-1, 5, 6});
  writer.tensors.push_back({"first", {2, 3}, gguf::kF32, std::string(24, 'x')});
  writer.tensors.push_back({"second", {32}, gguf::kQ8_0, std::string(34, 'y')});
  return writer;
}

TEST(GgufFileTest, ReadsMetadata) {
  for (const std::uint32_t version : {2u, 3u}) {
    GgufWriter writer = Sample();
    writer.version = version;
    const std::string bytes = writer.Bytes();
    TOME_ASSERT_OK_AND_ASSIGN(const GgufFile file, GgufFile::Parse(bytes, "f"));
    EXPECT_EQ(file.Integer("u32", 0, 10).value(), 7);
    EXPECT_EQ(file.Number("u32").value(), 7.0);
    EXPECT_EQ(file.Number("f32").value(), 0.5);
    EXPECT_EQ(file.OptionalBool("bool").value(), true);
    EXPECT_EQ(file.String("text").value(), "hello");
    EXPECT_THAT(file.StringArray("texts").value(), ElementsAre("a", "", "c"));
    EXPECT_THAT(file.FloatArray("floats").value(), ElementsAre(1.0f, 2.0f));
    EXPECT_THAT(file.Int32Array("ints").value(), ElementsAre(-1, 5, 6));
    EXPECT_EQ(file.OptionalInteger("absent", 0, 1).value(), std::nullopt);
    EXPECT_EQ(file.OptionalNumber("absent").value(), std::nullopt);
    EXPECT_EQ(file.OptionalBool("absent").value(), std::nullopt);
    EXPECT_EQ(file.OptionalString("absent").value(), std::nullopt);
  }
}

TEST(GgufFileTest, ReadsIntegersOfEveryWidth) {
  const std::pair<std::uint32_t, std::string> encodings[] = {
      {gguf::kUint8, std::string("\xfb", 1)},
      {gguf::kInt8, std::string("\xfb", 1)},
      {gguf::kUint16, std::string("\xfb\xff", 2)},
      {gguf::kInt16, std::string("\xfb\xff", 2)},
      {gguf::kUint32, std::string("\xfb\xff\xff\xff", 4)},
      {gguf::kInt32, std::string("\xfb\xff\xff\xff", 4)},
      {gguf::kInt64, std::string("\xfb\xff\xff\xff\xff\xff\xff\xff", 8)},
  };
  const std::int64_t expected[] = {251, -5, 65531, -5, 4294967291, -5, -5};
  for (std::size_t i = 0; i < std::size(encodings); ++i) {
    GgufWriter writer;
    const std::string type(reinterpret_cast<const char*>(&encodings[i].first), 4);
    writer.SetEncoded("key", type + encodings[i].second);
    const std::string bytes = writer.Bytes();
    TOME_ASSERT_OK_AND_ASSIGN(const GgufFile file, GgufFile::Parse(bytes, "f"));
    EXPECT_EQ(file.Integer("key", -10, INT64_MAX).value(), expected[i]);
    EXPECT_EQ(file.Number("key").value(), static_cast<double>(expected[i]));
  }
}

TEST(GgufFileTest, ReadsTensorsInRowMajorOrder) {
  const std::string bytes = Sample().Bytes();
  TOME_ASSERT_OK_AND_ASSIGN(const GgufFile file, GgufFile::Parse(bytes, "f"));
  ASSERT_EQ(file.tensors().size(), 2u);
  const CheckpointTensor& first = file.tensors().at("first");
  EXPECT_THAT(first.shape, ElementsAre(2, 3));
  EXPECT_EQ(first.type, TensorType::kF32);
  ASSERT_EQ(first.data.size(), 24u);
  EXPECT_EQ(std::to_integer<char>(first.data[23]), 'x');
  const CheckpointTensor& second = file.tensors().at("second");
  EXPECT_EQ(second.type, TensorType::kQ8_0);
  ASSERT_EQ(second.data.size(), 34u);
  EXPECT_EQ(std::to_integer<char>(second.data[0]), 'y');
}

TEST(GgufFileTest, HonoursTheFilesAlignment) {
  GgufWriter writer = Sample();
  writer.alignment = 4096;
  writer.SetUint32("general.alignment", 4096);
  const std::string bytes = writer.Bytes();
  TOME_ASSERT_OK_AND_ASSIGN(const GgufFile file, GgufFile::Parse(bytes, "f"));
  EXPECT_EQ(std::to_integer<char>(file.tensors().at("second").data[0]), 'y');
}

TEST(GgufFileTest, RefusesBrokenFiles) {
  const struct {
    std::function<void(GgufWriter&)> change;
    std::string message;
  } cases[] = {
      {[](auto& w) { w.magic = "GGML"; }, "magic: expected 'GGUF', found 'GGML'"},
      {[](auto& w) { w.version = 1; }, "version: expected 2 or 3, found 1"},
      {[](auto& w) { w.version = 4; }, "version: expected 2 or 3, found 4"},
      {[](auto& w) { w.version = 3u << 24; }, "expected a little-endian file, found a big-endian one"},
      {[](auto& w) { w.num_tensors = INT64_MAX; }, "tensor count: expected at most"},
      {[](auto& w) { w.num_values = 1 << 20; }, "metadata count: expected at most"},
      {[](auto& w) { w.num_values = 9; }, "tensor name: expected"},
      {[](auto& w) { w.values.push_back(w.values.front()); }, "metadata 'u32': expected unique keys, found it twice"},
      {[](auto& w) { w.SetEncoded("u32", std::string("\x0d\0\0\0", 4)); },
       "metadata 'u32': value type: expected a type number from 0 to 12, found 13"},
      {[](auto& w) { w.SetEncoded("u32", std::string("\x09\0\0\0\x63\0\0\0", 8)); },
       "element type: expected a type number from 0 to 12, found 99"},
      {[](auto& w) { w.SetEncoded("u32", std::string("\x09\0\0\0\x09\0\0\0", 8)); }, "found an array of arrays"},
      {[](auto& w) { w.SetEncoded("u32", std::string("\x09\0\0\0\x04\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f", 16)); },
       "metadata 'u32': expected at most"},
      {[](auto& w) { w.tensors[0].shape = {}; }, "tensor 'first': expected 1 to 4 dimensions, found 0"},
      {[](auto& w) { w.tensors[0].shape = {1, 1, 1, 2, 3}; }, "tensor 'first': expected 1 to 4 dimensions, found 5"},
      {[](auto& w) { w.tensors[0].shape = {2, 0}; }, "tensor 'first': expected positive dimensions, found [2, 0]"},
      {[](auto& w) { w.tensors[0].shape = {-2, -3}; }, "expected positive dimensions, found [-2, -3]"},
      {[](auto& w) { w.tensors[0].shape = {1LL << 32, 1LL << 32}; }, "expected fewer than 2^63 values"},
      {[](auto& w) { w.tensors[0].shape = {1LL << 31, 1LL << 31}; }, "expected fewer than 2^63 bytes"},
      {[](auto& w) { w.tensors[1].shape = {33}; }, "expected rows of a multiple of 32 values for type Q8_0, found 33"},
      {[](auto& w) { w.tensors[1].shape = {64}; }, "expected 68 bytes at offset 32 of the data, found only 66 bytes"},
      {[](auto& w) { w.tensors[0].type = 10; }, "tensor 'first': expected one of the types F32, F16,"},
      {[](auto& w) { w.tensors[0].type = 10; }, "found Q2_K (10)"},
      {[](auto& w) { w.tensors[0].type = 4; }, "found type number 4"},
      {[](auto& w) { w.tensors[1].offset = 8; }, "expected an offset that is a multiple of 32, found 8"},
      {[](auto& w) { w.tensors[1].offset = 0; }, "found an overlap of"},
      {[](auto& w) { w.tensors[1].offset = 1 << 20; }, "tensor 'second': expected 34 bytes at offset 1048576"},
      {[](auto& w) { w.tensors[1].offset = INT64_MAX - 31; }, "tensor 'second': expected 34 bytes at offset"},
      {[](auto& w) { w.tensors[1].name = "first"; }, "tensor 'first': expected unique names, found it twice"},
      {[](auto& w) { w.SetUint32("general.alignment", 24); }, "general.alignment: expected a power of two, found 24"},
      {[](auto& w) { w.SetUint32("general.alignment", 0); }, "expected an integer from 1 to 1048576, found 0"},
      {[](auto& w) { w.SetString("general.alignment", "x"); }, "found a value of type string"},
  };
  for (const auto& [change, message] : cases) {
    GgufWriter writer = Sample();
    change(writer);
    const absl::Status status = GgufFile::Parse(writer.Bytes(), "some.gguf").status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
    EXPECT_THAT(std::string(status.message()), StartsWith("some.gguf: "));
  }
}

TEST(GgufFileTest, RefusesEveryTruncation) {
  const std::string bytes = Sample().Bytes();
  ASSERT_THAT(GgufFile::Parse(bytes, "f"), IsOk());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(GgufFile::Parse(std::string_view(bytes).substr(0, size), "f"),
                StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("f: ")))
        << size;
  }
}

TEST(GgufFileTest, SaysWhenMetadataIsNotWhatWasAskedFor) {
  const std::string bytes = Sample().Bytes();
  TOME_ASSERT_OK_AND_ASSIGN(const GgufFile file, GgufFile::Parse(bytes, "f"));
  const std::pair<absl::Status, std::string> cases[] = {
      {file.Integer("absent", 0, 1).status(), "f: metadata 'absent': expected an integer, found no such key"},
      {file.Integer("u32", 8, 9).status(), "f: metadata 'u32': expected an integer from 8 to 9, found 7"},
      {file.Integer("u64", 0, INT64_MAX).status(), "found 9223372036854775808"},
      {file.Integer("text", 0, 1).status(), "expected an integer from 0 to 1, found a value of type string"},
      {file.Integer("ints", 0, 1).status(), "found an array of int32"},
      {file.Number("absent").status(), "expected a number, found no such key"},
      {file.Number("bool").status(), "expected a number, found a value of type bool"},
      {file.OptionalBool("u32").status(), "expected true or false, found a value of type uint32"},
      {file.String("absent").status(), "expected a string, found no such key"},
      {file.String("f32").status(), "expected a string, found a value of type float32"},
      {file.StringArray("absent").status(), "expected an array of strings, found no such key"},
      {file.StringArray("floats").status(), "expected an array of strings, found an array of float32"},
      {file.FloatArray("ints").status(), "expected an array of float32, found an array of int32"},
      {file.Int32Array("text").status(), "expected an array of int32, found a value of type string"},
  };
  for (const auto& [status, message] : cases) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  }
}

}  // namespace
}  // namespace tome
