// Rotary position embeddings (RoPE, arXiv 2104.09864) and the scalings that checkpoints name.
//
// Pair i of a head, (x_i, x_{i + D/2}), is turned by position * inverse_frequency[i]. Without scaling
//   inverse_frequency[i] = theta^(-2 i / D), i = 0 .. D/2 - 1.
#ifndef TOME_ENGINE_MODEL_ROPE_H_
#define TOME_ENGINE_MODEL_ROPE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine/checkpoint/llama_config.h"

namespace tome {

struct RopeFrequencies {
  std::vector<double> inverse;   // [D/2]
  double attention_scale = 1.0;  // cosines and sines are multiplied by it (YaRN's temperature, else 1)
};

// Linear: arXiv 2306.15595, inverse / factor. YaRN: arXiv 2309.00071, the NTK-by-parts blend. Llama 3: Meta's blend by
// wavelength. Dynamic NTK changes nothing within the trained range, which compact positions never leave.
RopeFrequencies ComputeRopeFrequencies(const LlamaConfig& config);

// Cosines and sines of positions 0 .. num_positions - 1, times the attention scale. fp32 [num_positions, D/2].
struct RopeTable {
  at::Tensor cosines;
  at::Tensor sines;

  static RopeTable Make(const LlamaConfig& config, std::int64_t num_positions, at::Device device);
};

// Writes `source` [..., n, D], turned by positions first_position .. first_position + n - 1, to `target`, of the same
// shape and type. The last dimension is contiguous; other strides are free. Source and target may be the same.
void RotateInto(const at::Tensor& source, const RopeTable& table, std::int64_t first_position,
                const at::Tensor& target);

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_ROPE_H_
