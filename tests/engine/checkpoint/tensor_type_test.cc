#include "engine/checkpoint/contents/tensor_type.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/temp_dir.h"

namespace tome {
namespace {

constexpr TensorType kAllTypes[] = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ8_0,
                                    TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1,
                                    TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

std::vector<float> Dequantize(TensorType type, const std::string& bytes, std::size_t count) {
  std::vector<float> values(count);
  DequantizeRow(type, {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}, absl::MakeSpan(values));
  return values;
}

// Half precision by its definition: (-1)^s * 2^(e-15) * (1 + m/1024), subnormals without the 1.
float HalfByDefinition(int bits) {
  const int sign = bits >> 15, exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  double value = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  if (exponent == 31) value = mantissa == 0 ? std::numeric_limits<double>::infinity() : std::nan("");
  return static_cast<float>(sign != 0 ? -value : value);
}

TEST(TensorTypeTest, ConvertsEveryHalfPrecisionNumber) {
  for (int bits = 0; bits < 65536; ++bits) {
    const float expected = HalfByDefinition(bits), found = HalfToFloat(static_cast<std::uint16_t>(bits));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(found)) << bits;
    } else {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(found), std::bit_cast<std::uint32_t>(expected)) << bits;
    }
  }
}

TEST(TensorTypeTest, ConvertsBrainFloats) {
  EXPECT_EQ(BFloat16ToFloat(0x3f80), 1.0f);
  EXPECT_EQ(BFloat16ToFloat(0xc049), -3.140625f);
  EXPECT_EQ(BFloat16ToFloat(0x0001), std::ldexp(1.0f, -133));  // subnormal
  EXPECT_EQ(BFloat16ToFloat(0xff80), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(BFloat16ToFloat(0x7fc0)));
  EXPECT_TRUE(std::signbit(BFloat16ToFloat(0x8000)));
}

TEST(TensorTypeTest, EqualsTheReferenceBitForBit) {
  const auto cases = nlohmann::json::parse(testing::ReadFile(TOME_SOURCE_DIR "/tests/golden/dequantization.json"));
  std::size_t types_seen = 0;
  for (const auto& golden : cases) {
    for (const TensorType type : kAllTypes) {
      if (golden["type"] != TensorTypeName(type)) continue;
      ++types_seen;
      const std::string data = FromHex(golden["data"]), expected_bytes = FromHex(golden["values"]);
      const BlockLayout layout = GetBlockLayout(type);
      const std::size_t count = expected_bytes.size() / sizeof(float);
      ASSERT_EQ(data.size() * static_cast<std::size_t>(layout.values), count * static_cast<std::size_t>(layout.bytes));
      const std::vector<float> values = Dequantize(type, data, count);
      EXPECT_EQ(std::memcmp(values.data(), expected_bytes.data(), expected_bytes.size()), 0) << golden["type"];
    }
  }
  EXPECT_EQ(types_seen, 8u) << "every quantised type has a golden case";
}

// A block worked out by hand: scale 0.5, minimum -1; the first value 3 (low half of byte 0), the 17th value 10.
TEST(TensorTypeTest, Q4_1PutsLowHalvesFirst) {
  std::string block = {'\x00', '\x38', '\x00', '\xbc', '\xa3'};
  block.resize(20, '\0');
  const std::vector<float> values = Dequantize(TensorType::kQ4_1, block, 32);
  EXPECT_EQ(values[0], 0.5f * 3 - 1);
  EXPECT_EQ(values[16], 0.5f * 10 - 1);
  EXPECT_EQ(values[1], -1.0f);
}

TEST(TensorTypeTest, Q4_0IsCentredOnEight) {
  std::string block = {'\x00', '\x3c', '\xf0'};  // scale 1
  block.resize(18, '\x88');
  const std::vector<float> values = Dequantize(TensorType::kQ4_0, block, 32);
  EXPECT_EQ(values[0], -8.0f);
  EXPECT_EQ(values[16], 7.0f);
  EXPECT_EQ(values[1], 0.0f);
}

TEST(TensorTypeTest, Q8_0IsSigned) {
  std::string block = {'\x00', '\x40', '\x80', '\x7f'};  // scale 2
  block.resize(34, '\0');
  const std::vector<float> values = Dequantize(TensorType::kQ8_0, block, 32);
  EXPECT_EQ(values[0], -256.0f);
  EXPECT_EQ(values[1], 254.0f);
}

TEST(TensorTypeTest, PlainTypesAreCopiedFromUnalignedData) {
  const std::string f32("\0\0\0\x80\x3f", 5), f16("\0\0\x3c", 3);
  EXPECT_EQ(Dequantize(TensorType::kF32, f32.substr(1), 1)[0], 1.0f);
  EXPECT_EQ(Dequantize(TensorType::kF16, f16.substr(1), 1)[0], 1.0f);
  EXPECT_TRUE(Dequantize(TensorType::kF32, "", 0).empty());
}

TEST(TensorTypeTest, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const TensorType type : kAllTypes) names.insert(TensorTypeName(type));
  EXPECT_EQ(names.size(), std::size(kAllTypes));
}

}  // namespace
}  // namespace tome
