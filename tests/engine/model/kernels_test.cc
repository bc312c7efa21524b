#include "engine/kernels/cpu/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "engine/base/cpu_features.h"

namespace tome {
namespace {

// Every instruction set that this CPU has is held against plain loops in double precision.
std::vector<const CpuKernels*> AvailableKernels() {
  std::vector<const CpuKernels*> all = {&cpu_baseline::kKernels};
  const CpuFeatureSet& cpu = GetCpuFeatures();
  if (cpu.avx2 && cpu.fma && cpu.f16c) all.push_back(&cpu_avx2::kKernels);
  if (cpu.avx512f && cpu.avx512bw) all.push_back(&cpu_avx512::kKernels);
  if (cpu.avx512_bf16) all.push_back(&cpu_avx512_bf16::kKernels);
  return all;
}

class KernelsTest : public ::testing::TestWithParam<const CpuKernels*> {
 protected:
  const CpuKernels& kernels() const { return *GetParam(); }

  std::vector<float> Random(std::size_t n, float range = 1.0f) {
    std::uniform_real_distribution<float> distribution(-range, range);
    std::vector<float> values(n);
    for (float& value : values) value = distribution(random_);
    return values;
  }
  std::vector<c10::BFloat16> RandomBf16(std::size_t n) {
    std::vector<c10::BFloat16> values;
    for (const float value : Random(n)) values.emplace_back(value);
    return values;
  }
  std::uint16_t RandomHalf() {  // a normal fp16 of either sign, 2^-10 to 2^4
    return static_cast<std::uint16_t>((random_() & 0x83ffu) | ((5 + random_() % 14) << 10));
  }
  static double HalfValue(std::uint16_t bits) {
    const double magnitude = std::ldexp(1.0 + (bits & 0x3ff) / 1024.0, ((bits >> 10) & 31) - 15);
    return bits & 0x8000 ? -magnitude : magnitude;
  }

  std::mt19937 random_{7};
};

INSTANTIATE_TEST_SUITE_P(InstructionSets, KernelsTest, ::testing::ValuesIn(AvailableKernels()), [](const auto& info) {
  std::string name = info.param->name;
  std::erase(name, '-');
  return name;
});

TEST_P(KernelsTest, AddRmsNormAddsTheDeltaAndNorms) {
  for (const int n : {1, 7, 16, 33, 576}) {
    for (const bool has_delta : {false, true}) {
      const std::vector<float> before = Random(n), delta = Random(n), weight = Random(n);
      std::vector<float> x = before, out(n);
      kernels().add_rms_norm_f32(x.data(), has_delta ? delta.data() : nullptr, weight.data(), 1e-5f, n, out.data());
      double squares = 0;
      std::vector<double> sums(n);
      for (int i = 0; i < n; ++i) {
        sums[i] = before[i] + (has_delta ? delta[i] : 0.0f);
        squares += sums[i] * sums[i];
      }
      for (int i = 0; i < n; ++i) {
        EXPECT_NEAR(x[i], sums[i], 1e-6);
        EXPECT_NEAR(out[i], sums[i] / std::sqrt(squares / n + 1e-5) * weight[i], 1e-5) << "n " << n << " i " << i;
      }
    }
  }
}

TEST_P(KernelsTest, Bf16RowsAreTheFp32RowsRounded) {
  const int n = 100;
  const std::vector<float> before = Random(n), weight = Random(n);
  const std::vector<c10::BFloat16> delta = RandomBf16(n);
  std::vector<float> x = before, wide_x = before, wide(n), wide_delta(delta.begin(), delta.end());
  std::vector<c10::BFloat16> out(n);
  kernels().add_rms_norm_bf16(x.data(), delta.data(), weight.data(), 1e-5f, n, out.data());
  kernels().add_rms_norm_f32(wide_x.data(), wide_delta.data(), weight.data(), 1e-5f, n, wide.data());
  for (int i = 0; i < n; ++i) {
    EXPECT_EQ(x[i], wide_x[i]);
    EXPECT_EQ(out[i].x, c10::BFloat16(wide[i]).x) << i;
  }
}

TEST_P(KernelsTest, StoringBf16KeepsNaN) {
  std::vector<c10::BFloat16> in(64, c10::BFloat16(std::nanf(""))), out(32);
  kernels().swiglu_bf16(in.data(), 32, out.data());
  for (const c10::BFloat16 value : out) EXPECT_TRUE(std::isnan(static_cast<float>(value)));
}

TEST_P(KernelsTest, SwigluIsSiluOfTheGateTimesUp) {
  const int n = 61;
  std::vector<float> gate_up = Random(2 * n, 30.0f), out(n);
  gate_up[0] = 200.0f;  // e^-gate leaves the range of float
  gate_up[1] = -200.0f;
  kernels().swiglu_f32(gate_up.data(), n, out.data());
  for (int i = 0; i < n; ++i) {
    const double gate = gate_up[i], expected = gate / (1 + std::exp(-gate)) * gate_up[n + i];
    EXPECT_NEAR(out[i], expected, 2e-6 * std::abs(expected) + 1e-6) << "gate " << gate;
  }
}

TEST_P(KernelsTest, RotateTurnsEachPair) {
  for (const int n : {2, 16, 64, 96, 128}) {
    const std::vector<float> in = Random(n), angles = Random(n / 2, 3.0f);
    std::vector<float> cosines, sines, out(n);
    for (const float angle : angles) {
      cosines.push_back(std::cos(angle));
      sines.push_back(std::sin(angle));
    }
    kernels().rotate_f32(in.data(), cosines.data(), sines.data(), out.data(), n);
    for (int i = 0; i < n / 2; ++i) {
      EXPECT_NEAR(out[i], in[i] * cosines[i] - in[n / 2 + i] * sines[i], 1e-6);
      EXPECT_NEAR(out[n / 2 + i], in[n / 2 + i] * cosines[i] + in[i] * sines[i], 1e-6);
    }
  }
}

// Rows of `weights(row, column)` times each input, in double precision.
template <typename Weight>
std::vector<double> NaiveProduct(int rows, int n, const std::vector<std::vector<float>>& inputs, Weight weight) {
  std::vector<double> out;
  for (const std::vector<float>& input : inputs) {
    for (int row = 0; row < rows; ++row) {
      double sum = 0;
      for (int i = 0; i < n; ++i) sum += weight(row, i) * input[i];
      out.push_back(sum);
    }
  }
  return out;
}

struct Inputs {
  std::vector<std::vector<float>> rows, sums;
  std::vector<const float*> row_pointers, sum_pointers;
};

Inputs MakeInputs(std::vector<std::vector<float>> rows) {
  Inputs inputs{.rows = std::move(rows)};
  for (const std::vector<float>& row : inputs.rows) {
    std::vector<float> sums(row.size() / 32);
    for (std::size_t i = 0; i < sums.size() * 32; ++i) sums[i / 32] += row[i];
    inputs.sums.push_back(sums);
  }
  for (std::size_t b = 0; b < inputs.rows.size(); ++b) {
    inputs.row_pointers.push_back(inputs.rows[b].data());
    inputs.sum_pointers.push_back(inputs.sums[b].data());
  }
  return inputs;
}

void ExpectClose(const std::vector<float>& found, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], tolerance) << i;
}

TEST_P(KernelsTest, PackedProductsAreThoseOfTheDequantisedWeights) {
  const int rows = 5;
  for (const int n : {32, 96, 576}) {
    std::vector<Q4Block> q4(rows * n / 32);
    std::vector<Q8Block> q8(rows * n / 32);
    for (Q4Block& block : q4) {
      block.scale = RandomHalf();
      block.minimum = RandomHalf();
      for (std::uint8_t& nibbles : block.nibbles) nibbles = static_cast<std::uint8_t>(random_());
    }
    for (Q8Block& block : q8) {
      block.scale = RandomHalf();
      for (std::int8_t& value : block.values) value = static_cast<std::int8_t>(random_());
    }
    const auto q4_weight = [&](int row, int i) {
      const Q4Block& block = q4[(row * n + i) / 32];
      const int at = i % 32, q = at < 16 ? block.nibbles[at] & 15 : block.nibbles[at - 16] >> 4;
      return HalfValue(block.scale) * q + HalfValue(block.minimum);
    };
    const auto q8_weight = [&](int row, int i) {
      const Q8Block& block = q8[(row * n + i) / 32];
      return HalfValue(block.scale) * block.values[i % 32];
    };
    for (int num_x = 1; num_x <= kMaxProductRows; ++num_x) {
      std::vector<std::vector<float>> x;
      for (int b = 0; b < num_x; ++b) x.push_back(Random(n));
      const Inputs inputs = MakeInputs(x);
      std::vector<float> out(num_x * rows);
      kernels().multiply_q4(q4.data(), rows, n, inputs.row_pointers.data(), inputs.sum_pointers.data(), num_x,
                            out.data(), rows);
      ExpectClose(out, NaiveProduct(rows, n, x, q4_weight), 0.05);
      kernels().multiply_q8(q8.data(), rows, n, inputs.row_pointers.data(), num_x, out.data(), rows);
      ExpectClose(out, NaiveProduct(rows, n, x, q8_weight), 0.2);
    }
  }
}

TEST_P(KernelsTest, PlainProductsMatchAndDoNotDependOnTheBatch) {
  const int rows = 4;
  for (const int n : {1, 31, 64, 100, 577}) {
    const std::vector<float> fp32 = Random(rows * n);
    const std::vector<c10::BFloat16> bf16 = RandomBf16(rows * n);
    std::vector<std::vector<float>> x;
    for (int b = 0; b < kMaxProductRows; ++b) x.push_back(Random(n));
    const Inputs inputs = MakeInputs(x);
    std::vector<float> out(kMaxProductRows * rows), narrow(kMaxProductRows * rows);
    kernels().multiply_f32(fp32.data(), rows, n, inputs.row_pointers.data(), kMaxProductRows, out.data(), rows);
    kernels().multiply_bf16(bf16.data(), rows, n, inputs.row_pointers.data(), kMaxProductRows, narrow.data(), rows);
    ExpectClose(out, NaiveProduct(rows, n, x, [&](int row, int i) { return fp32[row * n + i]; }), 1e-4);
    ExpectClose(narrow, NaiveProduct(rows, n, x, [&](int row, int i) { return static_cast<float>(bf16[row * n + i]); }),
                1e-4);
    for (int b = 0; b < kMaxProductRows; ++b) {
      std::vector<float> alone(rows);
      kernels().multiply_f32(fp32.data(), rows, n, &inputs.row_pointers[b], 1, alone.data(), rows);
      for (int row = 0; row < rows; ++row) EXPECT_EQ(alone[row], out[b * rows + row]);
    }
  }
}

struct NaiveAttention {
  std::vector<double> mean;
  double log_sum = 0;
};

// One query over the first `num_keys` keys, in double precision; scores are multiplied by `scale`.
template <typename T>
NaiveAttention AttendNaively(const T* query, const std::vector<T>& keys, const std::vector<T>& values, int num_keys,
                             int dim, double scale) {
  NaiveAttention result{.mean = std::vector<double>(dim)};
  std::vector<double> scores(num_keys);
  for (int i = 0; i < num_keys * dim; ++i) {
    scores[i / dim] += static_cast<double>(query[i % dim]) * static_cast<double>(keys[i]) * scale;
  }
  const double maximum = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (int k = 0; k < num_keys; ++k) {
    total += std::exp(scores[k] - maximum);
    for (int i = 0; i < dim; ++i) {
      result.mean[i] += std::exp(scores[k] - maximum) * static_cast<double>(values[k * dim + i]);
    }
  }
  for (double& value : result.mean) value /= total;
  result.log_sum = maximum + std::log(total);
  return result;
}

TEST_P(KernelsTest, AttentionIsSoftmaxOverTheKeys) {
  for (const int dim : {8, 16, 64, 80}) {
    for (const int num_keys : {1, 5, 200}) {
      const int num_queries = 3;
      const std::vector<float> queries = Random(num_queries * dim, 2.0f), keys = Random(num_keys * dim, 2.0f),
                               values = Random(num_keys * dim);
      std::vector<float> scores(num_queries * num_keys), sums(num_queries * dim);
      std::vector<AttentionPartial> partials(num_queries);
      for (int q = 0; q < num_queries; ++q) partials[q].values = sums.data() + q * dim;
      kernels().attend_f32(queries.data(), num_queries, keys.data(), values.data(), num_keys, dim, scores.data(),
                           partials.data());
      for (int q = 0; q < num_queries; ++q) {
        const NaiveAttention expected = AttendNaively(queries.data() + q * dim, keys, values, num_keys, dim, 1.0);
        for (int i = 0; i < dim; ++i) EXPECT_NEAR(partials[q].values[i] / partials[q].sum, expected.mean[i], 2e-5);
        EXPECT_NEAR(partials[q].maximum + std::log(partials[q].sum), expected.log_sum, 1e-4);
      }
    }
  }
}

// What attend_packed gives for queries of which the first sees `first_visible` of the keys.
struct BlockInputs {
  int num_queries, first_visible, dim;
  std::vector<c10::BFloat16> queries, keys, values;

  int num_keys() const { return first_visible + num_queries - 1; }
  std::vector<c10::BFloat16> Attend(const CpuKernels& kernels, int out_stride) const {
    std::vector<std::uint32_t> packed_keys(PackedPairs(num_keys(), dim)), packed_values(packed_keys.size());
    kernels.pack_keys(keys.data(), num_keys(), dim, packed_keys.data());
    kernels.pack_values(values.data(), num_keys(), dim, packed_values.data());
    std::vector<float> scratch(BlockScratchFloats(dim), std::nanf(""));
    std::vector<c10::BFloat16> out(num_queries * out_stride, c10::BFloat16(7.0f));
    kernels.attend_packed(queries.data(), num_queries, packed_keys.data(), packed_values.data(), first_visible, dim,
                          scratch.data(), out.data(), out_stride);
    return out;
  }
};

TEST_P(KernelsTest, EachQueryOfABlockSeesOneKeyMore) {
  for (const int dim : {16, 64, 80, 128}) {
    for (const int num_queries : {1, 5, 6, 31, kQueryBlock}) {
      for (const int first_visible : {1, 2, 100, kKeyBlock, 300}) {
        BlockInputs in{.num_queries = num_queries, .first_visible = first_visible, .dim = dim};
        in.queries = RandomBf16(num_queries * dim);
        for (c10::BFloat16& value : in.queries) value = static_cast<float>(value) * 4;
        in.keys = RandomBf16(in.num_keys() * dim);
        in.values = RandomBf16(in.num_keys() * dim);
        const int stride = dim + 16;
        const std::vector<c10::BFloat16> out = in.Attend(kernels(), stride);
        for (int q = 0; q < num_queries; ++q) {
          const NaiveAttention expected = AttendNaively(in.queries.data() + q * dim, in.keys, in.values,
                                                        first_visible + q, dim, 1 / std::sqrt(double(dim)));
          for (int i = 0; i < dim; ++i) {
            ASSERT_NEAR(static_cast<float>(out[q * stride + i]), expected.mean[i], 6e-3)
                << "dim " << dim << " query " << q << " of " << num_queries << " first sees " << first_visible;
          }
          for (int i = dim; i < stride; ++i) EXPECT_EQ(static_cast<float>(out[q * stride + i]), 7.0f);
        }
      }
    }
  }
}

TEST_P(KernelsTest, BlocksTakeTheHighestScoreHoweverLargeAndKeepNaN) {
  const int dim = 16, num_keys = 200;
  BlockInputs in{.num_queries = 1, .first_visible = num_keys, .dim = dim};
  in.queries.assign(dim, c10::BFloat16(1000.0f));
  in.keys.assign(num_keys * dim, c10::BFloat16(-1000.0f));
  in.values.assign(num_keys * dim, c10::BFloat16(1.0f));
  for (int i = 0; i < dim; ++i) {
    in.keys[150 * dim + i] = 1000.0f;
    in.values[150 * dim + i] = 3.0f;
  }
  for (const c10::BFloat16 value : in.Attend(kernels(), dim)) EXPECT_EQ(static_cast<float>(value), 3.0f);
  in.keys[20 * dim] = std::nanf("");
  for (const c10::BFloat16 value : in.Attend(kernels(), dim)) EXPECT_TRUE(std::isnan(static_cast<float>(value)));
}

TEST_P(KernelsTest, ScoreCodesGivesMaximumAndSum) {
  for (const int dims : {2, 8, 32}) {
    for (const int tokens : {1, 7, 32, 64, 77}) {
      const std::vector<float> queries = Random(3 * dims, 0.05f);
      std::vector<std::int8_t> codes(tokens * dims);
      for (std::int8_t& code : codes) code = static_cast<std::int8_t>(random_());
      std::vector<float> scratch(tokens * (dims + 1)), maxima(3), sums(3);
      kernels().score_codes(queries.data(), 3, codes.data(), tokens, dims, scratch.data(), maxima.data(), sums.data());
      for (int query = 0; query < 3; ++query) {
        std::vector<double> scores(tokens);
        for (int i = 0; i < tokens * dims; ++i) scores[i / dims] += double{queries[query * dims + i % dims]} * codes[i];
        const double maximum = *std::max_element(scores.begin(), scores.end());
        double sum = 0;
        for (const double score : scores) sum += std::exp(score - maximum);
        EXPECT_NEAR(maxima[query], maximum, 1e-4);
        EXPECT_NEAR(sums[query], sum, 1e-3 * sum);
      }
    }
  }
}

}  // namespace
}  // namespace tome
