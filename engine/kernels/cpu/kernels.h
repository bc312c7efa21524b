// The CPU kernels that libtorch does not have: fused elementwise rows, products of few rows with packed weights, and
// attention of one query over a cache or of a block of them in bf16. One source, kernels.inc.h, is compiled for each
// instruction set; the best that this CPU has is taken at run time.
//
// All are pure functions of their arguments: rows are summed in a fixed order that does not depend on how many rows are
// in a batch or on the number of threads. bf16 values are raw bits. Pointers need no alignment.
#ifndef TOME_ENGINE_KERNELS_CPU_KERNELS_H_
#define TOME_ENGINE_KERNELS_CPU_KERNELS_H_

#include <c10/util/BFloat16.h>

#include <cstdint>

namespace tome {

// Weights of one output row, as blocks of 32 along the input.
struct Q4Block {          // value = scale * q + minimum; low nibbles are values 0..15, high nibbles 16..31
  std::uint16_t scale;    // fp16
  std::uint16_t minimum;  // fp16
  std::uint8_t nibbles[16];
};
struct Q8Block {        // value = scale * q
  std::uint16_t scale;  // fp16
  std::int8_t values[32];
};
static_assert(sizeof(Q4Block) == 20 && sizeof(Q8Block) == 34);

// The most input rows that one call of a product takes.
inline constexpr int kMaxProductRows = 4;

// Softmax attention of a few queries over a run of keys, not yet normalised: the caller joins runs.
struct AttentionPartial {
  float maximum;  // of the scores
  float sum;      // of exp(score - maximum)
  float* values;  // [D], sum of exp(score - maximum) * value
};

// Queries that one call of attend_packed takes, and keys that it weighs at a time.
inline constexpr int kQueryBlock = 48;
inline constexpr int kKeyBlock = 128;

// Of pack_keys' and pack_values' outputs, in pairs of bf16.
inline constexpr std::int64_t PackedPairs(std::int64_t num_keys, std::int64_t dim) {
  return (num_keys + kKeyBlock - 1) / kKeyBlock * kKeyBlock * dim / 2;
}
// Of attend_packed's scratch.
inline constexpr std::int64_t BlockScratchFloats(std::int64_t dim) {
  return kQueryBlock * (kKeyBlock + kKeyBlock / 2 + dim + dim / 2 + 3);
}

struct CpuKernels {
  const char* name;  // "AVX2"

  // x += delta (when not null); out = x / sqrt(mean(x^2) + epsilon) * weight, over n values. (RMSNorm, arXiv
  // 1910.07467)
  void (*add_rms_norm_f32)(float* x, const float* delta, const float* weight, float epsilon, std::int64_t n,
                           float* out);
  void (*add_rms_norm_bf16)(float* x, const c10::BFloat16* delta, const float* weight, float epsilon, std::int64_t n,
                            c10::BFloat16* out);

  // out[i] = silu(gate_up[i]) * gate_up[n + i]. (SwiGLU, arXiv 2002.05202)
  void (*swiglu_f32)(const float* gate_up, std::int64_t n, float* out);
  void (*swiglu_bf16)(const c10::BFloat16* gate_up, std::int64_t n, c10::BFloat16* out);

  // One rotary row of n values; cosines and sines have n / 2.
  void (*rotate_f32)(const float* in, const float* cosines, const float* sines, float* out, std::int64_t n);
  void (*rotate_bf16)(const c10::BFloat16* in, const float* cosines, const float* sines, c10::BFloat16* out,
                      std::int64_t n);

  // out[b * out_stride + r] = sum_i weights[r][i] * x[b][i], for rows 0 <= r < num_rows of n weights (blocks: n / 32)
  // and 1 <= num_x <= kMaxProductRows inputs. block_sums[b][j] is the sum of x[b][32 j .. 32 j + 31].
  void (*multiply_q4)(const Q4Block* weights, std::int64_t num_rows, std::int64_t n, const float* const* x,
                      const float* const* block_sums, int num_x, float* out, std::int64_t out_stride);
  void (*multiply_q8)(const Q8Block* weights, std::int64_t num_rows, std::int64_t n, const float* const* x, int num_x,
                      float* out, std::int64_t out_stride);
  void (*multiply_bf16)(const c10::BFloat16* weights, std::int64_t num_rows, std::int64_t n, const float* const* x,
                        int num_x, float* out, std::int64_t out_stride);
  void (*multiply_f32)(const float* weights, std::int64_t num_rows, std::int64_t n, const float* const* x, int num_x,
                       float* out, std::int64_t out_stride);

  // Queries [num_queries][dim], already scaled and rotated, over keys and values [num_keys][dim]. `scores` is scratch
  // of num_queries * num_keys floats.
  void (*attend_f32)(const float* queries, int num_queries, const float* keys, const float* values,
                     std::int64_t num_keys, int dim, float* scores, AttentionPartial* out);
  void (*attend_bf16)(const float* queries, int num_queries, const c10::BFloat16* keys, const c10::BFloat16* values,
                      std::int64_t num_keys, int dim, float* scores, AttentionPartial* out);

  // Attention of many queries over the same keys: packed once, for as many calls as there are blocks of queries. The
  // order of what is packed is the instruction set's own. dim is a multiple of 16.
  //
  // Keys or values [num_keys][dim] to PackedPairs(num_keys, dim) pairs.
  void (*pack_keys)(const c10::BFloat16* keys, std::int64_t num_keys, int dim, std::uint32_t* out);
  void (*pack_values)(const c10::BFloat16* values, std::int64_t num_keys, int dim, std::uint32_t* out);
  // 1 to kQueryBlock rotated queries [num_queries][dim]; query i sees the first first_visible + i keys, at least one.
  // Scores are divided by sqrt(dim). Row i of the result is at out + i * out_stride.
  void (*attend_packed)(const c10::BFloat16* queries, int num_queries, const std::uint32_t* keys,
                        const std::uint32_t* values, std::int64_t first_visible, int dim, float* scratch,
                        c10::BFloat16* out, std::int64_t out_stride);

  // Scores queries [num_queries][dims] with the codes [num_tokens][dims] of a run of tokens: for each query the highest
  // score and the sum of exp(score - maximum). `scratch` has num_tokens * (dims + 1) floats.
  void (*score_codes)(const float* queries, int num_queries, const std::int8_t* codes, std::int64_t num_tokens,
                      int dims, float* scratch, float* maxima, float* sums);
};

// The kernels for the best instruction set that this CPU has.
const CpuKernels& GetCpuKernels();

namespace cpu_baseline {
extern const CpuKernels kKernels;
}
namespace cpu_avx2 {
extern const CpuKernels kKernels;
}
namespace cpu_avx512 {
extern const CpuKernels kKernels;
}
namespace cpu_avx512_bf16 {
extern const CpuKernels kKernels;
}

// Overloads, so that templates can call the kernel of their type.
inline void AddRmsNorm(const CpuKernels& kernels, float* x, const float* delta, const float* weight, float epsilon,
                       std::int64_t n, float* out) {
  kernels.add_rms_norm_f32(x, delta, weight, epsilon, n, out);
}
inline void AddRmsNorm(const CpuKernels& kernels, float* x, const c10::BFloat16* delta, const float* weight,
                       float epsilon, std::int64_t n, c10::BFloat16* out) {
  kernels.add_rms_norm_bf16(x, delta, weight, epsilon, n, out);
}
inline void Swiglu(const CpuKernels& kernels, const float* gate_up, std::int64_t n, float* out) {
  kernels.swiglu_f32(gate_up, n, out);
}
inline void Swiglu(const CpuKernels& kernels, const c10::BFloat16* gate_up, std::int64_t n, c10::BFloat16* out) {
  kernels.swiglu_bf16(gate_up, n, out);
}
inline void RotateRow(const CpuKernels& kernels, const float* in, const float* cosines, const float* sines, float* out,
                      std::int64_t n) {
  kernels.rotate_f32(in, cosines, sines, out, n);
}
inline void RotateRow(const CpuKernels& kernels, const c10::BFloat16* in, const float* cosines, const float* sines,
                      c10::BFloat16* out, std::int64_t n) {
  kernels.rotate_bf16(in, cosines, sines, out, n);
}
inline void Attend(const CpuKernels& kernels, const float* queries, int num_queries, const float* keys,
                   const float* values, std::int64_t num_keys, int dim, float* scores, AttentionPartial* out) {
  kernels.attend_f32(queries, num_queries, keys, values, num_keys, dim, scores, out);
}
inline void Attend(const CpuKernels& kernels, const float* queries, int num_queries, const c10::BFloat16* keys,
                   const c10::BFloat16* values, std::int64_t num_keys, int dim, float* scores, AttentionPartial* out) {
  kernels.attend_bf16(queries, num_queries, keys, values, num_keys, dim, scores, out);
}

}  // namespace tome

#endif  // TOME_ENGINE_KERNELS_CPU_KERNELS_H_
