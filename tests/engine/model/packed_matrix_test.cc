#include "engine/model/packed_matrix.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace tome {
namespace {

// A tensor of one type with random blocks, and its values as DequantizeRow gives them.
struct RandomTensor {
  std::vector<std::byte> bytes;
  CheckpointTensor tensor;
  at::Tensor values;  // fp32 [rows, n]
};

RandomTensor MakeTensor(TensorType type, std::int64_t rows, std::int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  const BlockLayout layout = GetBlockLayout(type);
  RandomTensor made;
  made.bytes.resize(rows * n / layout.values * layout.bytes);
  for (std::byte& byte : made.bytes) byte = static_cast<std::byte>(random());
  // Scales must be sane numbers: 2^-6 in fp16, negative in every other block.
  for (std::size_t block = 0; layout.values == 32 && block < made.bytes.size(); block += layout.bytes) {
    const std::uint16_t scale = block / layout.bytes % 2 ? 0xa400 : 0x2400, minimum = 0x3000;
    std::memcpy(made.bytes.data() + block, &scale, 2);
    if (type == TensorType::kQ4_1) std::memcpy(made.bytes.data() + block + 2, &minimum, 2);
  }
  made.tensor = {type, {rows, n}, absl::MakeConstSpan(made.bytes)};
  made.values = at::empty({rows, n});
  DequantizeRow(type, made.tensor.data, {made.values.mutable_data_ptr<float>(), static_cast<std::size_t>(rows * n)});
  return made;
}

at::Tensor Multiply(const PackedMatrix& matrix, const at::Tensor& x) {
  ProductInput input;
  input.Set(x.const_data_ptr<float>(), static_cast<int>(x.size(0)), x.size(1));
  at::Tensor out = at::empty({x.size(0), matrix.num_rows()});
  matrix.Multiply(input, out.mutable_data_ptr<float>(), matrix.num_rows());
  return out;
}

TEST(PackedMatrix, QuantisedTypesMultiplyAsTheirDequantisedValues) {
  for (const TensorType type : {TensorType::kQ4_1, TensorType::kQ4_0, TensorType::kQ8_0}) {
    const RandomTensor made = MakeTensor(type, 300, 96, 1);
    const std::vector<PackedMatrix::Part> parts = {{&made.tensor, {}}};
    ASSERT_TRUE(PackedMatrix::CanPack(parts));
    const PackedMatrix matrix = PackedMatrix::Make(parts, at::Tensor());
    EXPECT_GT(matrix.packed_bytes(), 0u);
    const at::Tensor x = at::randn({3, 96});
    EXPECT_TRUE(at::allclose(Multiply(matrix, x), at::linear(x, made.values), 1e-4, 1e-3)) << TensorTypeName(type);
    at::Tensor expanded = at::empty({20, 96});
    matrix.Expand(7, 20, expanded.mutable_data_ptr<float>());
    EXPECT_TRUE(at::allclose(expanded, made.values.narrow(0, 7, 20), 1e-6, 1e-7)) << TensorTypeName(type);
  }
}

TEST(PackedMatrix, StacksPartsAndReordersRows) {
  const RandomTensor a = MakeTensor(TensorType::kQ4_1, 4, 64, 1), b = MakeTensor(TensorType::kQ4_0, 2, 64, 2);
  const std::vector<PackedMatrix::Part> parts = {{&a.tensor, {2, 0, 3, 1}}, {&b.tensor, {}}};
  const PackedMatrix matrix = PackedMatrix::Make(parts, at::Tensor());
  ASSERT_EQ(matrix.num_rows(), 6);
  at::Tensor expanded = at::empty({6, 64});
  matrix.Expand(0, 6, expanded.mutable_data_ptr<float>());
  const at::Tensor expected = at::cat({a.values.index_select(0, at::tensor({2, 0, 3, 1})), b.values});
  EXPECT_TRUE(at::allclose(expanded, expected, 1e-6, 1e-7));
}

TEST(PackedMatrix, OtherTypesAndMixturesShareTheDenseWeights) {
  const RandomTensor q4 = MakeTensor(TensorType::kQ4_1, 4, 64, 1), q8 = MakeTensor(TensorType::kQ8_0, 4, 64, 2);
  const std::vector<PackedMatrix::Part> mixed = {{&q4.tensor, {}}, {&q8.tensor, {}}};
  EXPECT_FALSE(PackedMatrix::CanPack(mixed));
  const at::Tensor dense = at::cat({q4.values, q8.values});
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const PackedMatrix matrix = PackedMatrix::Make(mixed, dense.to(type));
    EXPECT_EQ(matrix.packed_bytes(), 0u);
    const at::Tensor x = at::randn({2, 64});
    EXPECT_TRUE(at::allclose(Multiply(matrix, x), at::linear(x, dense.to(type).to(at::kFloat)), 1e-4, 1e-3));
    at::Tensor expanded = at::empty({3, 64});
    matrix.Expand(2, 3, expanded.mutable_data_ptr<float>());
    EXPECT_TRUE(at::equal(expanded, dense.to(type).to(at::kFloat).narrow(0, 2, 3)));
  }
}

TEST(PackedMatrix, RowsThatDoNotFillBlocksAreNotPacked) {
  const std::vector<float> values(20);
  const CheckpointTensor tensor = {
      TensorType::kF32, {1, 20}, absl::MakeConstSpan(reinterpret_cast<const std::byte*>(values.data()), 80)};
  EXPECT_FALSE(PackedMatrix::CanPack(std::vector<PackedMatrix::Part>{{&tensor, {}}}));
}

TEST(PackedMatrix, Q4_0WhoseMinimumLeavesFp16IsNotPacked) {
  RandomTensor made = MakeTensor(TensorType::kQ4_0, 1, 32, 1);
  const std::uint16_t large = 0x7bff;  // 65504
  std::memcpy(made.bytes.data(), &large, 2);
  EXPECT_FALSE(PackedMatrix::CanPack(std::vector<PackedMatrix::Part>{{&made.tensor, {}}}));
}

}  // namespace
}  // namespace tome
