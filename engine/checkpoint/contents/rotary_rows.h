// The two orders in which checkpoints and adapters keep the rows of q_proj and k_proj.
#ifndef TOME_ENGINE_CHECKPOINT_CONTENTS_ROTARY_ROWS_H_
#define TOME_ENGINE_CHECKPOINT_CONTENTS_ROTARY_ROWS_H_

#include <cstdint>
#include <vector>

namespace tome {

// For each row in halves order, the same row in neighbours order (see LlamaConfig::rope_interleaved): within a head,
// halves row i is neighbours row 2i, and halves row i + D/2 is neighbours row 2i + 1.
inline std::vector<std::int64_t> HalvesOrder(std::int64_t num_heads, std::int64_t head_dim) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(num_heads * head_dim));
  for (std::int64_t row = 0; row < num_heads * head_dim; ++row) {
    const std::int64_t head = row / head_dim, i = row % head_dim, half = head_dim / 2;
    order[static_cast<std::size_t>(row)] = head * head_dim + (i < half ? 2 * i : 2 * (i - half) + 1);
  }
  return order;
}

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CONTENTS_ROTARY_ROWS_H_
