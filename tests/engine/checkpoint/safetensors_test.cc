#include "engine/checkpoint/huggingface/safetensors.h"

#include "engine/files/byte_writer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::tome::testing::IsOk;
using ::tome::testing::SafetensorsBytes;
using ::tome::testing::StatusIs;
using ::tome::testing::TinyModelType;

std::string File(std::string_view header, std::size_t data_bytes) {
  ByteWriter writer;
  writer.WriteString(header);
  writer.WriteBytes(std::string(data_bytes, 'd'));
  return std::move(writer).Take();
}

TEST(SafetensorsTest, ReadsTensorsOfEveryType) {
  const std::pair<TinyModelType, TensorType> types[] = {
      {TinyModelType::kF32, TensorType::kF32},
      {TinyModelType::kF16, TensorType::kF16},
      {TinyModelType::kBF16, TensorType::kBF16},
  };
  for (const auto& [written, expected] : types) {
    const std::string bytes = SafetensorsBytes({{"b", {2, 2}, {1, -2, 0.5, 0}}, {"a", {1}, {-0.25}}}, written);
    TOME_ASSERT_OK_AND_ASSIGN(const TensorMap tensors, ParseSafetensors(bytes, "f"));
    ASSERT_EQ(tensors.size(), 2u);
    const CheckpointTensor& tensor = tensors.at("b");
    EXPECT_EQ(tensor.type, expected);
    EXPECT_THAT(tensor.shape, ElementsAre(2, 2));
    std::vector<float> values(4);
    DequantizeRow(tensor.type, tensor.data, absl::MakeSpan(values));
    EXPECT_THAT(values, ElementsAre(1, -2, 0.5, 0));
  }
}

TEST(SafetensorsTest, TakesScalarsAndFilesWithoutTensors) {
  EXPECT_THAT(ParseSafetensors(File(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4), "f"), IsOk());
  EXPECT_THAT(ParseSafetensors(File(R"({"__metadata__":{"format":"pt"}}  )", 0), "f"), IsOk());
}

TEST(SafetensorsTest, RefusesBrokenFiles) {
  const std::string a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const struct {
    std::string bytes, message;
  } cases[] = {
      {"", "header size: expected 8 bytes at offset 0, found 0"},
      {std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8), "header size: expected at most 16777216"},
      {std::string("\x40\0\0\0\0\0\0\0{}", 10), "header: expected 64 bytes at offset 8, found 2"},
      {File("{", 0), "header: expected JSON"},
      {File("[]", 0), "header: expected a JSON object, found an array"},
      {File("{" + a + "," + a + "}", 8), "expected unique names, found 'a' twice"},
      {File(R"({"a":3})", 0), "tensor 'a': expected an object, found 3"},
      {File(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8), "field 'dtype': expected a string, found no such field"},
      {File(R"({"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", 8),
       "tensor 'a': field 'dtype': expected F32, F16 or BF16, found the string 'I64'"},
      {File(R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", 8),
       "field 'shape': expected an array of 0 to 8"},
      {File(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8), "field 'shape': expected an array of"},
      {File(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8), "field 'shape': expected an array of"},
      {File(R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})", 8), "field 'shape'"},
      {File(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}})", 8), "field 'shape'"},
      {File(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", 0), "expected positive dimensions, found [0]"},
      {File(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8),
       "fewer than 2^63 values"},
      {File(R"({"a":{"dtype":"F32","shape":[2]}})", 8), "field 'data_offsets': expected an array of 2 to 2 integers"},
      {File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8), "field 'data_offsets'"},
      {File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8), "expected an ascending range"},
      {File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4), "in the 4 bytes of data, found 0 to 8"},
      {File(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8),
       "expected 12 bytes for type F32 and shape [3], found 8"},
      {File("{" + a + R"(,"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12),
       "tensor 'b': expected its data to begin where the tensor before ends, at 8, found 4"},
      {File("{" + a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})", 16), "at 8, found 12"},
      {File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12), "at 0, found 4"},
      {File("{" + a + "}", 9), "expected 8 bytes of data for its tensors, found 9"},
  };
  for (const auto& [bytes, message] : cases) {
    EXPECT_THAT(
        ParseSafetensors(bytes, "some.safetensors"),
        StatusIs(absl::StatusCode::kInvalidArgument, AllOf(StartsWith("some.safetensors: "), HasSubstr(message))));
  }
}

TEST(SafetensorsTest, RefusesEveryTruncation) {
  const std::string bytes =
      SafetensorsBytes({{"b", {2, 2}, {1, -2, 0.5, 0}}, {"a", {1}, {-0.25}}}, TinyModelType::kF32);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(ParseSafetensors(std::string_view(bytes).substr(0, size), "f"),
                StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("f: ")))
        << size;
  }
}

}  // namespace
}  // namespace tome
