// A LLaMA's weights, ready to compute with.
#ifndef TOME_ENGINE_MODEL_WEIGHTS_H_
#define TOME_ENGINE_MODEL_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/model/packed_matrix.h"
#include "engine/model/rope.h"

namespace tome {

// Shapes: E hidden size, H query heads, KV key-value heads, D head dimension, F feed-forward size, V vocabulary.
// Rows of q and k are in halves order (i pairs with i + D/2) whatever the checkpoint's order was.
struct LayerWeights {
  // Matrices may be undefined on the CPU where the packed ones hold 4-bit or 8-bit blocks: products then expand those.
  at::Tensor attention_norm;  // [E] fp32
  at::Tensor qkv;             // [(H + 2 KV) D, E]: q, then k, then v
  at::Tensor attention_out;   // [E, H D]
  at::Tensor ffn_norm;        // [E] fp32
  at::Tensor gate_up;         // [2 F, E]: gate, then up
  at::Tensor down;            // [E, F]

  // The same for few rows, on the CPU only.
  PackedMatrix packed_qkv, packed_attention_out, packed_gate_up, packed_down;
};

// Immutable and thread-safe once loaded. Holds no reference to the checkpoint.
struct LlamaWeights {
  LlamaConfig config;
  at::ScalarType type = at::kFloat;  // of the matrices, activations and keys and values: fp32 or bf16
  at::Device device = at::kCPU;
  std::vector<LayerWeights> layers;
  at::Tensor final_norm;  // [E] fp32
  // On the CPU embedding and output are packed or shared with the tensors below, which are undefined when packed.
  at::Tensor embedding;  // [V, E]
  at::Tensor output;     // [V, E]; the embedding when tied
  PackedMatrix packed_embedding, packed_output;
  RopeTable rope;  // of all positions 0 .. context_length - 1

  const PackedMatrix& output_matrix() const { return config.tied_output ? packed_embedding : packed_output; }

  std::size_t bytes() const;
};

// FAILED_PRECONDITION when the tensors can't be moved to `device`; torch's out-of-memory as RESOURCE_EXHAUSTED.
absl::StatusOr<LlamaWeights> LoadWeights(const Checkpoint& checkpoint, at::ScalarType type, at::Device device);

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_WEIGHTS_H_
