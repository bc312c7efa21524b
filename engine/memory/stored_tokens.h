// Which tokens' keys and values a state still holds, and gathering those of any of them.
#ifndef TOME_ENGINE_MEMORY_STORED_TOKENS_H_
#define TOME_ENGINE_MEMORY_STORED_TOKENS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/memory/memory_state.h"
#include "engine/model/rope.h"

namespace tome {

// Tokens first <= i < end of all that was read.
struct TokenRange {
  std::int64_t first = 0;
  std::int64_t end = 0;

  std::int64_t tokens() const { return end - first; }
  friend bool operator==(const TokenRange&, const TokenRange&) = default;
};

// The tokens of sink and window, which every state holds: ascending, disjoint ranges, none empty.
std::vector<TokenRange> KeptTokens(const MemoryState& state);

class StoredTokens {
 public:
  // `state` outlives this.
  explicit StoredTokens(const MemoryState& state);

  // Whether sink, window or region memory hold keys and values of every token of the range. A region that was merged
  // with another one holds only half of the tokens of both, and counts as none.
  bool Hold(const TokenRange& range) const;

  // Copies one layer's keys of the tokens of `ranges`, rotated to compact positions from 0, and their values to the
  // first rows of `keys` and `values` [KV, >= n, D]. The ranges are ascending, disjoint, and held.
  void Gather(std::int64_t layer, const RopeTable& rope, absl::Span<const TokenRange> ranges, const at::Tensor& keys,
              const at::Tensor& values) const;

 private:
  // Tokens side by side in one place: an exact block or a stored one.
  struct Place {
    TokenRange tokens;
    const KeyValueBlock* exact = nullptr;
    const StoredBlock* stored = nullptr;
  };
  // The place that has the token; null when there is none.
  const Place* Find(std::int64_t token) const;

  std::vector<Place> places_;  // ascending, disjoint
};

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_STORED_TOKENS_H_
