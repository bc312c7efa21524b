// A LLaMA's weights, ready to compute with.
#ifndef TOME_ENGINE_MODEL_WEIGHTS_H_
#define TOME_ENGINE_MODEL_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/model/linear.h"
#include "engine/model/rope.h"

namespace tome {

// Shapes: E hidden size, H query heads, KV key-value heads, D head dimension, F feed-forward size, V vocabulary.
// Rows of q and k are in halves order (i pairs with i + D/2) whatever the checkpoint's order was.
struct LayerWeights {
  at::Tensor attention_norm;  // [E] fp32
  Linear qkv;                 // [(H + 2 KV) D, E]: q, then k, then v
  Linear attention_out;       // [E, H D]
  at::Tensor ffn_norm;        // [E] fp32
  Linear gate_up;             // [2 F, E]: gate, then up
  Linear down;                // [E, F]
};

// Immutable and thread-safe once loaded. Holds no reference to the checkpoint.
struct LlamaWeights {
  LlamaConfig config;
  at::ScalarType type = at::kFloat;  // of the matrices, activations and keys and values: fp32 or bf16
  at::Device device = at::kCPU;
  std::vector<LayerWeights> layers;
  at::Tensor final_norm;  // [E] fp32
  Linear embedding;       // [V, E]
  Linear untied_output;   // [V, E]; empty when the embedding is the output
  RopeTable rope;         // of all positions 0 .. context_length - 1

  const Linear& output() const { return config.tied_output ? embedding : untied_output; }

  std::size_t bytes() const;
};

// FAILED_PRECONDITION when the tensors can't be moved to `device`; torch's out-of-memory as RESOURCE_EXHAUSTED.
absl::StatusOr<LlamaWeights> LoadWeights(const Checkpoint& checkpoint, at::ScalarType type, at::Device device);

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_WEIGHTS_H_
