#include "engine/checkpoint/huggingface/safetensors_writer.h"

#include <cmath>
#include <limits>

#include "engine/checkpoint/huggingface/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome {
namespace {

using ::testing::ElementsAre;
using testing::IsOk;
using testing::ReadFile;

std::vector<float> WrittenAs(const std::vector<float>& values, TensorType type) {
  const testing::TempDir folder;
  const std::vector<TensorToWrite> tensors = {
      {"b", {2, static_cast<std::int64_t>(values.size()) / 2}, [&] { return values; }},
      {"a", {1}, [] { return std::vector<float>{7}; }}};
  EXPECT_THAT(WriteSafetensors(folder.File("f"), tensors, type), IsOk());
  const std::string bytes = ReadFile(folder.File("f"));
  const auto read = ParseSafetensors(bytes, "f");
  EXPECT_THAT(read, IsOk());
  EXPECT_EQ(read->size(), 2u);
  EXPECT_EQ(read->at("a").shape, std::vector<std::int64_t>{1});
  EXPECT_EQ(read->at("b").type, type);
  std::vector<float> out(values.size());
  DequantizeRow(type, read->at("b").data, absl::MakeSpan(out));
  return out;
}

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  const std::vector<float> values = {1, -2.5f, 1e-30f, 3.1415927f, 0, -0.0f};
  EXPECT_EQ(WrittenAs(values, TensorType::kF32), values);
}

TEST(SafetensorsWriter, RoundsToTheNearestBf16) {
  // Between 1 and the next number, 1 + 2^-7: below the middle, the middle (to even), above it.
  EXPECT_THAT(WrittenAs({1 + 0x0.9p-8f, 1 + 0x1p-8f, 1 + 0x1.1p-8f, 1 + 0x3p-8f}, TensorType::kBF16),
              ElementsAre(1, 1, 1 + 0x1p-7f, 1 + 0x1p-6f));
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THAT(WrittenAs({std::numeric_limits<float>::max(), -infinity}, TensorType::kBF16),
              ElementsAre(infinity, -infinity));
  EXPECT_TRUE(std::isnan(WrittenAs({std::nanf(""), 0}, TensorType::kBF16)[0]));
}

}  // namespace
}  // namespace tome
