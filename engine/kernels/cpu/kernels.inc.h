// Body of the CPU kernels. Included by one .cc for each instruction set, which defines TOME_ISA (a namespace) and
// TOME_ISA_NAME and is compiled with that set's flags. Only the vector width and a few conversions differ.
//
// Everything but kKernels has internal linkage, and no inline function of another header is used in a loop: otherwise
// the linker could keep the copy with instructions that a smaller CPU lacks.

#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "engine/kernels/cpu/kernels.h"

namespace tome::TOME_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif
typedef float Vector __attribute__((vector_size(kWidth * 4)));
typedef std::int32_t IntVector __attribute__((vector_size(kWidth * 4)));
typedef std::uint32_t BitVector __attribute__((vector_size(kWidth * 4)));
typedef std::uint16_t HalfBits __attribute__((vector_size(kWidth * 2)));

inline Vector Load(const float* p) {
  Vector v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void Store(float* p, Vector v) { std::memcpy(p, &v, sizeof v); }
inline Vector Splat(float value) { return Vector{} + value; }

inline Vector WidenBf16(HalfBits bits) {
  const BitVector wide = __builtin_convertvector(bits, BitVector) << 16;
  Vector v;
  std::memcpy(&v, &wide, sizeof v);
  return v;
}
inline Vector Load(const c10::BFloat16* p) {
  HalfBits bits;
  std::memcpy(&bits, p, sizeof bits);
  return WidenBf16(bits);
}
// Round to nearest, ties to even; NaN stays NaN.
inline void Store(c10::BFloat16* p, Vector v) {
#if defined(__AVX512BF16__)
  const __m256bh half = _mm512_cvtneps_pbh((__m512)v);
  std::memcpy(p, &half, sizeof half);
#else
  BitVector bits;
  std::memcpy(&bits, &v, sizeof bits);
  const BitVector rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const IntVector is_nan = v != v;
  const BitVector nan = BitVector{} + 0x7fc0u;
  const BitVector chosen = is_nan ? nan : rounded;
  const HalfBits half = __builtin_convertvector(chosen, HalfBits);
  std::memcpy(p, &half, sizeof half);
#endif
}
inline float ToFloat(float x) { return x; }
inline float ToFloat(c10::BFloat16 x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x.x) << 16;
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}
inline void Assign(float* p, float x) { *p = x; }
inline void Assign(c10::BFloat16* p, float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  p->x = x != x ? 0x7fc0 : static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float HalfToFloat(std::uint16_t bits) {
#if defined(__F16C__)
  return _cvtsh_ss(bits);
#else
  const std::uint32_t sign = (bits & 0x8000u) << 16, exponent = (bits >> 10) & 31u, mantissa = bits & 0x3ffu;
  float f;
  if (exponent == 0) {
    f = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -f : f;
  }
  const std::uint32_t wide = sign | ((exponent == 31 ? 255u : exponent + 112u) << 23) | (mantissa << 13);
  std::memcpy(&f, &wide, sizeof f);
  return f;
#endif
}

// The halves, their halves and so on are added: in all instruction sets the same lanes in the same order as far as they
// have them.
inline float Sum(Vector v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float lanes[kWidth];
  Store(lanes, v);
  for (int step = kWidth / 2; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) lanes[i] += lanes[i + step];
  }
  return lanes[0];
#endif
}

inline float Maximum(Vector v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)v);
#else
  float highest = v[0];
  for (int i = 1; i < kWidth; ++i) highest = highest > v[i] ? highest : v[i];
  return highest;
#endif
}

// e^(x - n ln 2), which must be between the roots of 1/2 and of 2.
inline Vector ExpOfRest(Vector x, Vector n) {
  const Vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector p = Splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return p * r * r + r + 1.0f;
}

// e^x to about 2 ulp, as 2^n * e^r. Underflows to 0 below e^-104 or before, overflows or is clamped at e^88; NaN stays
// NaN.
inline Vector Exp(Vector x) {
#if defined(__AVX512F__)
  // Where one is NaN the second argument is taken.
  x = (Vector)_mm512_max_ps(_mm512_set1_ps(-150.0f), (__m512)x);
  const Vector whole = (Vector)_mm512_roundscale_ps((__m512)(x * 1.44269504f), _MM_FROUND_TO_NEAREST_INT);
  return (Vector)_mm512_scalef_ps((__m512)ExpOfRest(x, whole), (__m512)whole);
#else
  const Vector low = Splat(-87.3f), high = Splat(88.0f);
  const IntVector underflow = x < low;
  x = x < low ? low : x;
  x = x > high ? high : x;
  const Vector scaled = x * 1.44269504f;
  const Vector shifted = scaled + 12582912.0f;  // 1.5 * 2^23 rounds to an integer
  const Vector whole = shifted - 12582912.0f;
  const IntVector exponent = (__builtin_convertvector(whole, IntVector) + 127) << 23;
  Vector power;
  std::memcpy(&power, &exponent, sizeof power);
  const Vector result = ExpOfRest(x, whole) * power;
  return underflow ? Vector{} : result;
#endif
}

// Calls vector(i) for whole vectors and scalar(i) for the rest.
template <typename VectorBody, typename ScalarBody>
inline void ForEach(std::int64_t n, VectorBody vector, ScalarBody scalar) {
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) vector(i);
  for (; i < n; ++i) scalar(i);
}

template <typename T>
void AddRmsNorm(float* x, const T* delta, const float* weight, float epsilon, std::int64_t n, T* out) {
  Vector squares{};
  float rest = 0;
  ForEach(
      n,
      [&](std::int64_t i) {
        Vector v = Load(x + i);
        if (delta != nullptr) {
          v += Load(delta + i);
          Store(x + i, v);
        }
        squares += v * v;
      },
      [&](std::int64_t i) {
        if (delta != nullptr) x[i] += ToFloat(delta[i]);
        rest += x[i] * x[i];
      });
  const float scale = 1.0f / std::sqrt((Sum(squares) + rest) / static_cast<float>(n) + epsilon);
  ForEach(
      n, [&](std::int64_t i) { Store(out + i, Load(x + i) * scale * Load(weight + i)); },
      [&](std::int64_t i) { Assign(out + i, x[i] * scale * weight[i]); });
}

template <typename T>
void Swiglu(const T* gate_up, std::int64_t n, T* out) {
  ForEach(
      n,
      [&](std::int64_t i) {
        const Vector gate = Load(gate_up + i);
        Store(out + i, gate / (1.0f + Exp(-gate)) * Load(gate_up + n + i));
      },
      [&](std::int64_t i) {
        const float gate = ToFloat(gate_up[i]);
        Assign(out + i, gate / (1.0f + std::exp(-gate)) * ToFloat(gate_up[n + i]));
      });
}

template <typename T>
void Rotate(const T* in, const float* cosines, const float* sines, T* out, std::int64_t n) {
  const std::int64_t half = n / 2;
  ForEach(
      half,
      [&](std::int64_t i) {
        const Vector a = Load(in + i), b = Load(in + half + i), c = Load(cosines + i), s = Load(sines + i);
        Store(out + i, a * c - b * s);
        Store(out + half + i, b * c + a * s);
      },
      [&](std::int64_t i) {
        const float a = ToFloat(in[i]), b = ToFloat(in[half + i]);
        Assign(out + i, a * cosines[i] - b * sines[i]);
        Assign(out + half + i, b * cosines[i] + a * sines[i]);
      });
}

// --- Products
// ---------------------------------------------------------------------------------------------------------

constexpr int kBlockVectors = 32 / kWidth;

// The 32 values of a block, without scale.
inline void Expand(const Q4Block& block, Vector* values) {
#if defined(__AVX512F__)
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.nibbles));
  const __m128i mask = _mm_set1_epi8(15);
  values[0] = (Vector)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_and_si128(bytes, mask)));
  values[1] = (Vector)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_and_si128(_mm_srli_epi16(bytes, 4), mask)));
#elif defined(__AVX2__)
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.nibbles));
  const __m128i mask = _mm_set1_epi8(15);
  const __m128i low = _mm_and_si128(bytes, mask), high = _mm_and_si128(_mm_srli_epi16(bytes, 4), mask);
  values[0] = (Vector)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(low));
  values[1] = (Vector)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(low, 8)));
  values[2] = (Vector)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high));
  values[3] = (Vector)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(high, 8)));
#else
  for (int i = 0; i < 16; ++i) {
    values[i / kWidth][i % kWidth] = static_cast<float>(block.nibbles[i] & 15);
    values[(i + 16) / kWidth][i % kWidth] = static_cast<float>(block.nibbles[i] >> 4);
  }
#endif
}

inline void Expand(const Q8Block& block, Vector* values) {
#if defined(__AVX512F__)
  for (int i = 0; i < 2; ++i) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.values + 16 * i));
    values[i] = (Vector)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
  }
#elif defined(__AVX2__)
  for (int i = 0; i < 4; ++i) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(block.values + 8 * i));
    values[i] = (Vector)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }
#else
  for (int i = 0; i < 32; ++i) values[i / kWidth][i % kWidth] = static_cast<float>(block.values[i]);
#endif
}

// The unscaled products of one block with each input, added to `totals` times the block's scale.
template <int kInputs, typename Block>
inline void AddBlock(const Block& block, std::int64_t index, const float* const* x, Vector* totals) {
  Vector values[kBlockVectors];
  Expand(block, values);
  const float scale = HalfToFloat(block.scale);
  for (int b = 0; b < kInputs; ++b) {
    const float* input = x[b] + index * 32;
    Vector sum = values[0] * Load(input);
    for (int i = 1; i < kBlockVectors; ++i) sum += values[i] * Load(input + i * kWidth);
    totals[b] += sum * scale;
  }
}

template <int kInputs>
void MultiplyQ4(const Q4Block* weights, std::int64_t num_rows, std::int64_t n, const float* const* x,
                const float* const* block_sums, float* out, std::int64_t out_stride) {
  const std::int64_t num_blocks = n / 32;
  for (std::int64_t row = 0; row < num_rows; ++row, weights += num_blocks) {
    Vector totals[kInputs] = {};
    float offsets[kInputs] = {};
    for (std::int64_t j = 0; j < num_blocks; ++j) {
      AddBlock<kInputs>(weights[j], j, x, totals);
      const float minimum = HalfToFloat(weights[j].minimum);
      for (int b = 0; b < kInputs; ++b) offsets[b] += minimum * block_sums[b][j];
    }
    for (int b = 0; b < kInputs; ++b) out[b * out_stride + row] = Sum(totals[b]) + offsets[b];
  }
}

template <int kInputs>
void MultiplyQ8(const Q8Block* weights, std::int64_t num_rows, std::int64_t n, const float* const* x, float* out,
                std::int64_t out_stride) {
  const std::int64_t num_blocks = n / 32;
  for (std::int64_t row = 0; row < num_rows; ++row, weights += num_blocks) {
    Vector totals[kInputs] = {};
    for (std::int64_t j = 0; j < num_blocks; ++j) AddBlock<kInputs>(weights[j], j, x, totals);
    for (int b = 0; b < kInputs; ++b) out[b * out_stride + row] = Sum(totals[b]);
  }
}

template <int kInputs, typename T>
void MultiplyPlain(const T* weights, std::int64_t num_rows, std::int64_t n, const float* const* x, float* out,
                   std::int64_t out_stride) {
  for (std::int64_t row = 0; row < num_rows; ++row, weights += n) {
    // Two chains for each input hide the latency of the multiply-adds.
    Vector even[kInputs] = {}, odd[kInputs] = {};
    float rest[kInputs] = {};
    std::int64_t i = 0;
    for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
      const Vector first = Load(weights + i), second = Load(weights + i + kWidth);
      for (int b = 0; b < kInputs; ++b) {
        even[b] += first * Load(x[b] + i);
        odd[b] += second * Load(x[b] + i + kWidth);
      }
    }
    for (; i < n; ++i) {
      for (int b = 0; b < kInputs; ++b) rest[b] += ToFloat(weights[i]) * x[b][i];
    }
    for (int b = 0; b < kInputs; ++b) out[b * out_stride + row] = Sum(even[b] + odd[b]) + rest[b];
  }
}

// Calls body.operator()<num_x>().
template <typename Body>
inline void WithInputs(int num_x, Body body) {
  switch (num_x) {
    case 1:
      return body.template operator()<1>();
    case 2:
      return body.template operator()<2>();
    case 3:
      return body.template operator()<3>();
    default:
      return body.template operator()<4>();
  }
}

void MultiplyQ4Any(const Q4Block* weights, std::int64_t num_rows, std::int64_t n, const float* const* x,
                   const float* const* block_sums, int num_x, float* out, std::int64_t out_stride) {
  WithInputs(num_x, [&]<int kInputs>() { MultiplyQ4<kInputs>(weights, num_rows, n, x, block_sums, out, out_stride); });
}
void MultiplyQ8Any(const Q8Block* weights, std::int64_t num_rows, std::int64_t n, const float* const* x, int num_x,
                   float* out, std::int64_t out_stride) {
  WithInputs(num_x, [&]<int kInputs>() { MultiplyQ8<kInputs>(weights, num_rows, n, x, out, out_stride); });
}
template <typename T>
void MultiplyPlainAny(const T* weights, std::int64_t num_rows, std::int64_t n, const float* const* x, int num_x,
                      float* out, std::int64_t out_stride) {
  WithInputs(num_x, [&]<int kInputs>() { MultiplyPlain<kInputs>(weights, num_rows, n, x, out, out_stride); });
}

// --- Attention
// --------------------------------------------------------------------------------------------------------

template <typename T>
void ScoreKeys(const float* queries, int num_queries, const T* keys, std::int64_t num_keys, int dim, float* scores) {
  for (std::int64_t key = 0; key < num_keys; ++key, keys += dim) {
    for (int query = 0; query < num_queries; ++query) {
      const float* q = queries + query * dim;
      Vector total{};
      float rest = 0;
      ForEach(
          dim, [&](std::int64_t i) { total += Load(keys + i) * Load(q + i); },
          [&](std::int64_t i) { rest += ToFloat(keys[i]) * q[i]; });
      scores[query * num_keys + key] = Sum(total) + rest;
    }
  }
}

// Turns scores into exp(score - maximum), and gives maximum and sum.
void Exponentiate(float* scores, std::int64_t n, AttentionPartial* out) {
  float maximum = scores[0];
  for (std::int64_t i = 1; i < n; ++i) maximum = scores[i] > maximum ? scores[i] : maximum;
  Vector total{};
  float rest = 0;
  ForEach(
      n,
      [&](std::int64_t i) {
        const Vector e = Exp(Load(scores + i) - maximum);
        Store(scores + i, e);
        total += e;
      },
      [&](std::int64_t i) {
        scores[i] = std::exp(scores[i] - maximum);
        rest += scores[i];
      });
  out->maximum = maximum;
  out->sum = Sum(total) + rest;
}

// values[i .. i + kWidth * kColumns) of one query, summed over all keys in registers.
template <int kColumns, typename T>
inline void SumColumns(const float* weights, const T* values, std::int64_t num_keys, int dim, float* out) {
  Vector totals[kColumns] = {};
  for (std::int64_t key = 0; key < num_keys; ++key, values += dim) {
    const float weight = weights[key];
    for (int c = 0; c < kColumns; ++c) totals[c] += Load(values + c * kWidth) * weight;
  }
  for (int c = 0; c < kColumns; ++c) Store(out + c * kWidth, totals[c]);
}

template <typename T>
void Attend(const float* queries, int num_queries, const T* keys, const T* values, std::int64_t num_keys, int dim,
            float* scores, AttentionPartial* out) {
  ScoreKeys(queries, num_queries, keys, num_keys, dim, scores);
  for (int query = 0; query < num_queries; ++query) {
    float* weights = scores + query * num_keys;
    Exponentiate(weights, num_keys, &out[query]);
    int i = 0;
    for (; i + 4 * kWidth <= dim; i += 4 * kWidth) {
      SumColumns<4>(weights, values + i, num_keys, dim, out[query].values + i);
    }
    for (; i + kWidth <= dim; i += kWidth) SumColumns<1>(weights, values + i, num_keys, dim, out[query].values + i);
    for (; i < dim; ++i) {
      float total = 0;
      for (std::int64_t key = 0; key < num_keys; ++key) total += weights[key] * ToFloat(values[key * dim + i]);
      out[query].values[i] = total;
    }
  }
}

#include "engine/kernels/cpu/block_attention.inc.h"

// --- Routing ---

// scores[token] = sum_r query[r] * columns[r][token] for tokens i .. i + kWidth * kVectors - 1.
template <int kVectors>
inline void ScoreColumns(const float* query, const float* columns, std::int64_t num_tokens, int dims, float* scores) {
  Vector totals[kVectors] = {};
  for (int r = 0; r < dims; ++r) {
    for (int v = 0; v < kVectors; ++v) totals[v] += Load(columns + r * num_tokens + v * kWidth) * query[r];
  }
  for (int v = 0; v < kVectors; ++v) Store(scores + v * kWidth, totals[v]);
}

void ScoreCodes(const float* queries, int num_queries, const std::int8_t* codes, std::int64_t num_tokens, int dims,
                float* scratch, float* maxima, float* sums) {
  float* const columns = scratch;  // [dims][num_tokens]
  float* const scores = scratch + num_tokens * dims;
  for (std::int64_t token = 0; token < num_tokens; ++token) {
    for (int r = 0; r < dims; ++r) columns[r * num_tokens + token] = codes[token * dims + r];
  }
  for (int q = 0; q < num_queries; ++q) {
    const float* query = queries + static_cast<std::int64_t>(q) * dims;
    std::int64_t i = 0;
    for (; i + 4 * kWidth <= num_tokens; i += 4 * kWidth)
      ScoreColumns<4>(query, columns + i, num_tokens, dims, scores + i);
    for (; i + kWidth <= num_tokens; i += kWidth) ScoreColumns<1>(query, columns + i, num_tokens, dims, scores + i);
    for (; i < num_tokens; ++i) {
      float total = 0;
      for (int r = 0; r < dims; ++r) total += query[r] * columns[r * num_tokens + i];
      scores[i] = total;
    }
    AttentionPartial partial{};
    Exponentiate(scores, num_tokens, &partial);
    maxima[q] = partial.maximum;
    sums[q] = partial.sum;
  }
}

}  // namespace

extern const CpuKernels kKernels = {
    TOME_ISA_NAME,
    AddRmsNorm<float>,
    AddRmsNorm<c10::BFloat16>,
    Swiglu<float>,
    Swiglu<c10::BFloat16>,
    Rotate<float>,
    Rotate<c10::BFloat16>,
    MultiplyQ4Any,
    MultiplyQ8Any,
    MultiplyPlainAny<c10::BFloat16>,
    MultiplyPlainAny<float>,
    Attend<float>,
    Attend<c10::BFloat16>,
    PackKeys,
    PackValues,
    AttendPacked,
    ScoreCodes,
};

}  // namespace tome::TOME_ISA
