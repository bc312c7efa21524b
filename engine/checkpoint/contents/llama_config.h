// The shape of a LLaMA model, as its checkpoint states it.
#ifndef TOME_ENGINE_CHECKPOINT_CONTENTS_LLAMA_CONFIG_H_
#define TOME_ENGINE_CHECKPOINT_CONTENTS_LLAMA_CONFIG_H_

#include <cstdint>
#include <string>

namespace tome {

// Scaling of rotary embeddings: what checkpoints name (config.json "rope_scaling", GGUF "llama.rope.scaling.*"), and
// kNtk and kCrdNtk, which only a position encoding can choose. See model/rope.h.
struct RopeScaling {
  enum class Kind { kNone, kLinear, kDynamicNtk, kYarn, kLlama3, kNtk, kCrdNtk };
  Kind kind = Kind::kNone;
  double factor = 1.0;
  std::int64_t original_context_length = 0;  // the length trained on; 0 = context_length
  double low_freq_factor = 1.0;              // kLlama3
  double high_freq_factor = 4.0;             // kLlama3
  double beta_fast = 32.0;                   // kYarn
  double beta_slow = 1.0;                    // kYarn
  double attention_factor = 0.0;             // kYarn: 0 = 0.1 ln(factor) + 1

  friend bool operator==(const RopeScaling&, const RopeScaling&) = default;
};

struct LlamaConfig {
  std::string name;  // "SmolLM2 135M Instruct"; may be empty
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 0;
  std::int64_t num_heads = 0;     // query heads
  std::int64_t num_kv_heads = 0;  // divides num_heads
  std::int64_t head_dim = 0;      // even
  std::int64_t ffn_size = 0;
  std::int64_t context_length = 0;  // positions the model was trained on (or extended to by rope_scaling)
  double rms_norm_epsilon = 1e-5;
  double rope_theta = 10000.0;
  RopeScaling rope_scaling;
  bool tied_output = false;  // the output layer is the embedding
  // Row order of q_proj and k_proj within a head: false, Hugging Face's halves (i pairs with i + head_dim / 2);
  // true, the paper's neighbours (2i pairs with 2i + 1), as GGUF and llama2.c store them.
  bool rope_interleaved = false;

  friend bool operator==(const LlamaConfig&, const LlamaConfig&) = default;
};

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CONTENTS_LLAMA_CONFIG_H_
