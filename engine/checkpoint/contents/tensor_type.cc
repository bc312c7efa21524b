#include "engine/checkpoint/contents/tensor_type.h"

#include <bit>
#include <cstring>

namespace tome {
namespace {

template <typename T>
T Load(const std::byte* data) {
  T value;
  std::memcpy(&value, data, sizeof(T));
  return value;
}

unsigned Byte(const std::byte* data, int index) { return std::to_integer<unsigned>(data[index]); }
float Half(const std::byte* data) { return HalfToFloat(Load<std::uint16_t>(data)); }
float Float(unsigned value) { return static_cast<float>(static_cast<int>(value)); }

// Each function converts one block. Products and sums are rounded one by one, as in ggml.

void DequantizeQ8_0(const std::byte* block, float* out) {
  const float scale = Half(block);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(Load<std::int8_t>(block + 2 + i)) * scale;
}

void DequantizeQ4_0(const std::byte* block, float* out) {
  const float scale = Half(block);
  for (int i = 0; i < 16; ++i) {
    const unsigned pair = Byte(block, 2 + i);
    out[i] = (Float(pair & 15) - 8) * scale;
    out[i + 16] = (Float(pair >> 4) - 8) * scale;
  }
}

void DequantizeQ4_1(const std::byte* block, float* out) {
  const float scale = Half(block), minimum = Half(block + 2);
  for (int i = 0; i < 16; ++i) {
    const unsigned pair = Byte(block, 4 + i);
    out[i] = Float(pair & 15) * scale + minimum;
    out[i + 16] = Float(pair >> 4) * scale + minimum;
  }
}

void DequantizeQ5_0(const std::byte* block, float* out) {
  const float scale = Half(block);
  const auto high_bits = Load<std::uint32_t>(block + 2);
  for (int i = 0; i < 16; ++i) {
    const unsigned pair = Byte(block, 6 + i);
    out[i] = (Float((pair & 15) | ((high_bits >> i) & 1) << 4) - 16) * scale;
    out[i + 16] = (Float((pair >> 4) | ((high_bits >> (i + 16)) & 1) << 4) - 16) * scale;
  }
}

void DequantizeQ5_1(const std::byte* block, float* out) {
  const float scale = Half(block), minimum = Half(block + 2);
  const auto high_bits = Load<std::uint32_t>(block + 4);
  for (int i = 0; i < 16; ++i) {
    const unsigned pair = Byte(block, 8 + i);
    out[i] = Float((pair & 15) | ((high_bits >> i) & 1) << 4) * scale + minimum;
    out[i + 16] = Float((pair >> 4) | ((high_bits >> (i + 16)) & 1) << 4) * scale + minimum;
  }
}

// Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit minima into 12 bytes: the first four of each are the low 6 bits
// of bytes 0-3 and 4-7; the others have their low 4 bits in bytes 8-11 and their high 2 bits on top of bytes 0-7.
struct ScaleAndMinimum {
  float scale, minimum;
};
ScaleAndMinimum UnpackScale(const std::byte* packed, int group) {
  if (group < 4) return {Float(Byte(packed, group) & 63), Float(Byte(packed, group + 4) & 63)};
  const unsigned low = Byte(packed, group + 4);
  return {Float((low & 15) | (Byte(packed, group - 4) >> 6) << 4), Float((low >> 4) | (Byte(packed, group) >> 6) << 4)};
}

void DequantizeQ4_K(const std::byte* block, float* out) {
  const float scale = Half(block), minimum = Half(block + 2);
  const std::byte* values = block + 16;
  for (int group = 0; group < 8; ++group) {
    const ScaleAndMinimum packed = UnpackScale(block + 4, group);
    const float group_scale = scale * packed.scale, group_minimum = minimum * packed.minimum;
    const int shift = (group & 1) * 4;
    for (int i = 0; i < 32; ++i) {
      const unsigned value = (Byte(values, (group / 2) * 32 + i) >> shift) & 15;
      out[group * 32 + i] = group_scale * Float(value) - group_minimum;
    }
  }
}

void DequantizeQ5_K(const std::byte* block, float* out) {
  const float scale = Half(block), minimum = Half(block + 2);
  const std::byte* high_bits = block + 16;
  const std::byte* values = block + 48;
  for (int group = 0; group < 8; ++group) {
    const ScaleAndMinimum packed = UnpackScale(block + 4, group);
    const float group_scale = scale * packed.scale, group_minimum = minimum * packed.minimum;
    const int shift = (group & 1) * 4;
    for (int i = 0; i < 32; ++i) {
      const unsigned low = (Byte(values, (group / 2) * 32 + i) >> shift) & 15;
      const unsigned high = (Byte(high_bits, i) >> group) & 1;
      out[group * 32 + i] = group_scale * Float(low | high << 4) - group_minimum;
    }
  }
}

// 256 values: the low 4 bits in 128 bytes, the high 2 in 64, then 16 signed scales and the block's scale.
void DequantizeQ6_K(const std::byte* block, float* out) {
  const std::byte* scales = block + 192;
  const float scale = Half(block + 208);
  for (int half = 0; half < 2; ++half) {
    const std::byte* low_bits = block + half * 64;
    const std::byte* high_bits = block + 128 + half * 32;
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int i = 0; i < 32; ++i) {
        const unsigned low = (Byte(low_bits, (quarter & 1) * 32 + i) >> (quarter / 2 * 4)) & 15;
        const unsigned high = (Byte(high_bits, i) >> (quarter * 2)) & 3;
        const int index = half * 128 + quarter * 32 + i;
        const float group_scale = scale * static_cast<float>(Load<std::int8_t>(scales + index / 16));
        out[index] = group_scale * (Float(low | high << 4) - 32);
      }
    }
  }
}

template <void (*DequantizeBlock)(const std::byte*, float*)>
void ForEachBlock(TensorType type, absl::Span<const std::byte> data, absl::Span<float> out) {
  const BlockLayout layout = GetBlockLayout(type);
  const std::byte* block = data.data();
  for (std::size_t i = 0; i < out.size(); i += static_cast<std::size_t>(layout.values), block += layout.bytes) {
    DequantizeBlock(block, out.data() + i);
  }
}

}  // namespace

float HalfToFloat(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000) << 16;
  const std::uint32_t exponent = (bits >> 10) & 31;
  const std::uint32_t mantissa = bits & 0x3ff;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, exact in float
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t float_exponent = exponent == 31 ? 255 : exponent + (127 - 15);
  return std::bit_cast<float>(sign | float_exponent << 23 | mantissa << 13);
}

float BFloat16ToFloat(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

BlockLayout GetBlockLayout(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return {1, 4};
    case TensorType::kF16:
    case TensorType::kBF16:
      return {1, 2};
    case TensorType::kQ8_0:
      return {32, 34};
    case TensorType::kQ4_0:
      return {32, 18};
    case TensorType::kQ4_1:
      return {32, 20};
    case TensorType::kQ5_0:
      return {32, 22};
    case TensorType::kQ5_1:
      return {32, 24};
    case TensorType::kQ4_K:
      return {256, 144};
    case TensorType::kQ5_K:
      return {256, 176};
    case TensorType::kQ6_K:
      return {256, 210};
  }
  __builtin_unreachable();
}

std::string_view TensorTypeName(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return "F32";
    case TensorType::kF16:
      return "F16";
    case TensorType::kBF16:
      return "BF16";
    case TensorType::kQ8_0:
      return "Q8_0";
    case TensorType::kQ4_0:
      return "Q4_0";
    case TensorType::kQ4_1:
      return "Q4_1";
    case TensorType::kQ5_0:
      return "Q5_0";
    case TensorType::kQ5_1:
      return "Q5_1";
    case TensorType::kQ4_K:
      return "Q4_K";
    case TensorType::kQ5_K:
      return "Q5_K";
    case TensorType::kQ6_K:
      return "Q6_K";
  }
  __builtin_unreachable();
}

void DequantizeRow(TensorType type, absl::Span<const std::byte> data, absl::Span<float> out) {
  switch (type) {
    case TensorType::kF32:
      if (!out.empty()) std::memcpy(out.data(), data.data(), out.size() * sizeof(float));
      return;
    case TensorType::kF16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = Half(data.data() + 2 * i);
      return;
    case TensorType::kBF16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = BFloat16ToFloat(Load<std::uint16_t>(data.data() + 2 * i));
      return;
    case TensorType::kQ8_0:
      return ForEachBlock<DequantizeQ8_0>(type, data, out);
    case TensorType::kQ4_0:
      return ForEachBlock<DequantizeQ4_0>(type, data, out);
    case TensorType::kQ4_1:
      return ForEachBlock<DequantizeQ4_1>(type, data, out);
    case TensorType::kQ5_0:
      return ForEachBlock<DequantizeQ5_0>(type, data, out);
    case TensorType::kQ5_1:
      return ForEachBlock<DequantizeQ5_1>(type, data, out);
    case TensorType::kQ4_K:
      return ForEachBlock<DequantizeQ4_K>(type, data, out);
    case TensorType::kQ5_K:
      return ForEachBlock<DequantizeQ5_K>(type, data, out);
    case TensorType::kQ6_K:
      return ForEachBlock<DequantizeQ6_K>(type, data, out);
  }
}

}  // namespace tome
