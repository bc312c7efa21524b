// Rotary position embeddings (RoPE, arXiv 2104.09864) and their scalings.
//
// Pair i of a head, (x_i, x_{i + D/2}), is turned by position * inverse_frequency[i]. With base theta, head dimension
// D, the length L that was trained on and a factor s >= 1, for positions 0 .. s L - 1:
//   none         theta^(-2 i / D), i = 0 .. D/2 - 1; positions up to L - 1
//   linear       divided by s (position interpolation, arXiv 2306.15595, equation 4)
//   ntk          theta' = theta s^(D / (D - 2)) (arXiv 2309.00071, equation 16)
//   dynamic ntk  the same with s_n = s n / L - (s - 1) for a sequence of n > L tokens, 1 for shorter ones
//   yarn         pairs that turn fast are kept, slow ones divided by s, and cosines and sines multiplied by
//                0.1 ln s + 1 (arXiv 2309.00071, section 3.2 and equation 22)
//   llama 3      the same by wavelength, with two thresholds, as Meta's Llama 3.1
//   crd ntk      cyclic, randomly truncated, dynamically grown NTK (arXiv 2410.04211): theta' = theta s^(D / (D - 2)),
//   and
//                position p is turned as (p + shift) mod L, so that no angle leaves what was trained. In training the
//                shift is drawn anew for each sequence and s grows in stages (CrdStageFactor); at inference shift is 0
//                and s is fixed.
#ifndef TOME_ENGINE_MODEL_ROPE_H_
#define TOME_ENGINE_MODEL_ROPE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine/checkpoint/contents/llama_config.h"

namespace tome {

struct RopeFrequencies {
  std::vector<double> inverse;   // [D/2]
  double attention_scale = 1.0;  // cosines and sines are multiplied by it (YaRN's temperature, else 1)
};

// Of a sequence of `length` tokens, which only dynamic NTK looks at.
RopeFrequencies ComputeRopeFrequencies(const LlamaConfig& config, std::int64_t length);

// The factor of CRD NTK in stage 0 .. stages - 1 of training: grows evenly from 1 to `factor` of the last stage. One
// stage has `factor`.
double CrdStageFactor(double factor, std::int64_t stage, std::int64_t stages);

// Cosines and sines of positions 0 .. num_positions - 1 of a sequence of that length, times the attention scale. fp32
// [num_positions, D/2].
struct RopeTable {
  at::Tensor cosines;
  at::Tensor sines;

  // `shift`: of CRD NTK, 0 <= shift < L; others do not look at it.
  static RopeTable Make(const LlamaConfig& config, std::int64_t num_positions, at::Device device,
                        std::int64_t shift = 0);
};

// Writes `source` [..., n, D], turned by positions first_position .. first_position + n - 1, to `target`, of the same
// shape and type. The last dimension is contiguous; other strides are free. Source and target may be the same. Throws
// where the table ends before.
void RotateInto(const at::Tensor& source, const RopeTable& table, std::int64_t first_position,
                const at::Tensor& target);

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_ROPE_H_
