// How much of dense attention the choice of regions keeps. A text within the trained range is read densely; of the
// attention that falls on regions beyond sink and window, each way of choosing k of them keeps a share.
//
// Ways, all scoring un-rotated keys by the pooled queries (summed over the heads of a key-value head) of the query
// region before, so that no choice has seen the tokens that attend:
//   mean      the product with the region's mean key
//   max       the largest product with one of its keys, for each key-value head
//   quest     the largest product that keys between the region's smallest and largest in each channel could have
//   (Quest,
//             arXiv 2406.10774, equation 1)
//   mean-own  as mean, by the queries that attend: what the wait for one query region costs
//   memory    what the region memory attends to: the union of the choices of all query regions of the run before
//   random, recent
//   best      the regions with most attention: no choice keeps more
//
// Shapes: L layers, H query heads, KV key-value heads, D head dimension.
#ifndef TOME_ENGINE_EVALUATION_ATTENTION_RECALL_H_
#define TOME_ENGINE_EVALUATION_ATTENTION_RECALL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace tome {

inline constexpr const char* kSelectionWays[] = {"mean",   "max",    "quest",  "mean-own",
                                                 "memory", "random", "recent", "best"};

struct AttentionRecallOptions {
  MemoryOptions memory;  // sizes of sink, window, segments, regions, query regions and runs; precision of regions
  std::vector<int> selected = {4, 8, 16, 32};
  std::uint64_t seed = 1;  // of the random choice
};

// Of a way of choosing, for each of `selected`.
struct WayRecall {
  std::vector<double> kept;     // share of the attention beyond sink and window
  std::vector<double> regions;  // mean number of regions attended to
};

struct LayerRecall {
  double beyond = 0;            // share of all attention that falls on the regions
  std::vector<WayRecall> ways;  // as kSelectionWays
};

struct AttentionRecall {
  std::int64_t tokens = 0;
  std::int64_t query_regions = 0;  // measured: those with at least twice as many regions as are chosen
  std::int64_t fewest_regions = 0, most_regions = 0;
  std::vector<int> selected;
  std::vector<LayerRecall> layers;
  LayerRecall all;  // attention summed over the layers
};

// INVALID_ARGUMENT when `tokens` do not fit the model's context, or leave too few regions to choose from. `progress`:
// told the layers done.
absl::StatusOr<AttentionRecall> MeasureAttentionRecall(std::shared_ptr<const Model> model,
                                                       const std::vector<TokenId>& tokens,
                                                       const AttentionRecallOptions& options,
                                                       const std::function<void(std::int64_t)>& progress = nullptr);

// Tables of the shares kept, over all layers and by layer.
std::string FormatAttentionRecall(const AttentionRecall& recall);
nlohmann::json ToJson(const AttentionRecall& recall);
// Lines: the share kept by layer, and by the number of regions.
std::string DrawAttentionRecall(const AttentionRecall& recall);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_ATTENTION_RECALL_H_
