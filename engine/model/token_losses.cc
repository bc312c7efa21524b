#include "engine/model/token_losses.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "engine/model/forward.h"

namespace tome {

std::vector<double> TokenLosses(const LlamaWeights& weights, const at::Tensor& hidden,
                                absl::Span<const TokenId> targets) {
  // Logits of a large vocabulary take 200 KB a row.
  constexpr std::int64_t kRows = 128;
  const auto all = static_cast<std::int64_t>(targets.size());
  std::vector<double> losses;
  losses.reserve(targets.size());
  for (std::int64_t first = 0; first < all; first += kRows) {
    const std::int64_t count = std::min(kRows, all - first);
    const at::Tensor logits = ComputeLogits(weights, hidden.narrow(0, first, count));
    const at::Tensor sums = at::logsumexp(logits, -1);
    const auto rows = logits.accessor<float, 2>();
    const auto row_sums = sums.accessor<float, 1>();
    for (std::int64_t row = 0; row < count; ++row) {
      losses.push_back(static_cast<double>(row_sums[row]) - static_cast<double>(rows[row][targets[first + row]]));
    }
  }
  return losses;
}

}  // namespace tome
