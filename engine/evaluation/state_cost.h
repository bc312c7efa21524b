// What a session costs in memory as it reads on: the state, which is bounded, and the archive, which grows, beside the
// keys and values that dense attention would hold.
#ifndef TOME_ENGINE_EVALUATION_STATE_COST_H_
#define TOME_ENGINE_EVALUATION_STATE_COST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace tome {

struct CostPoint {
  std::int64_t tokens = 0;
  std::size_t state_bytes = 0, archive_bytes = 0;
  double tokens_per_second = 0;  // since the point before
  bool projected = false;        // not read: the state at its maximum, the archive at its bytes for each token so far
};

struct StateCost {
  std::vector<CostPoint> points;  // at powers of two, and where reading ended
  std::size_t max_state_bytes = 0;
  std::size_t dense_bytes_per_token = 0;  // keys and values of all layers in bf16
};

// Reads `text` and looks at the memory on the way; then projects the figures to powers of two up to `until` tokens.
absl::StatusOr<StateCost> MeasureStateCost(std::shared_ptr<const Model> model, const MemoryOptions& options,
                                           const std::string& text, std::int64_t until);

std::string FormatStateCost(const StateCost& cost);
nlohmann::json ToJson(const StateCost& cost);
// Bytes by tokens read, both logarithmic.
std::string DrawStateCost(const StateCost& cost);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_STATE_COST_H_
