#include "engine/evaluation/attention_recall.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>
#include <random>
#include <string_view>
#include <utility>

#include "engine/attention/causal_attention.h"
#include "engine/base/status.h"
#include "engine/memory/region_memory.h"
#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"

namespace tome {
namespace {

constexpr std::size_t kNumWays = std::size(kSelectionWays);
constexpr std::size_t kMaxCounts = 16;  // of AttentionRecallOptions::selected

// A run of queries that is measured, and the regions that have left the window when it is read.
struct QueryBlock {
  std::int64_t first = 0, end = 0;  // tokens
  std::int64_t regions = 0;
};

// The tokens of query region `index`, and how many regions its segment could choose from.
QueryBlock BlockAt(const MemoryOptions& memory, std::int64_t index, std::int64_t tokens) {
  const std::int64_t size = memory.regions.query_region_tokens;
  const std::int64_t segment = index * size / memory.segment_tokens * memory.segment_tokens;
  const std::int64_t left = segment - memory.sink_tokens - memory.window_tokens;
  return {.first = index * size,
          .end = std::min(tokens, (index + 1) * size),
          .regions = std::max<std::int64_t>(0, left) / memory.region_tokens};
}

std::vector<float> ToVector(const at::Tensor& values) {
  const at::Tensor flat = values.to(at::kFloat).cpu().contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

// The `count` indices with the highest scores; of equals the newer one, as in RegionMemory::Select.
std::vector<std::int64_t> Best(const std::vector<float>& scores, int count) {
  std::vector<std::int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::int64_t a, std::int64_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a > b; });
  order.resize(std::min(order.size(), static_cast<std::size_t>(count)));
  return order;
}

// One layer's regions and queries.
struct LayerKeys {
  std::vector<RegionMemory::Entry> entries;  // all regions, of one layer
  at::Tensor means, lowest, highest;         // [regions, KV, D]
  at::Tensor keys;                           // [regions, KV, tokens, D]
  std::vector<at::Tensor> pooled;            // of each query region [KV, D]
};

class Meter final : public SequenceAttention {
 public:
  Meter(const LlamaWeights& weights, const AttentionRecallOptions& options, std::int64_t tokens,
        const std::function<void(std::int64_t)>& progress)
      : weights_(weights), options_(options), tokens_(tokens), progress_(progress), random_(options.seed) {
    const int most = *std::max_element(options.selected.begin(), options.selected.end());
    const std::int64_t size = options.memory.regions.query_region_tokens;
    for (std::int64_t index = 1; index * size < tokens; ++index) {
      const QueryBlock block = BlockAt(options.memory, index, tokens);
      if (block.regions >= 2 * most) blocks_.push_back(index);
    }
  }

  const std::vector<std::int64_t>& blocks() const { return blocks_; }
  void Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) override;
  AttentionRecall TakeRecall();

 private:
  // Sums over query regions.
  struct Sums {
    double all = 0, beyond = 0;
    double kept[kNumWays][kMaxCounts] = {};
    double regions[kNumWays][kMaxCounts] = {};
    std::int64_t blocks = 0;
  };

  LayerKeys Prepare(const at::Tensor& queries, const at::Tensor& keys) const;
  std::vector<float> MassOfRegions(const QueryBlock& block, const at::Tensor& queries, const at::Tensor& keys) const;
  std::vector<float> Scores(std::string_view way, const LayerKeys& layer, std::int64_t index,
                            const std::vector<float>& mass);
  std::vector<std::int64_t> SelectAsMemory(const LayerKeys& layer, std::int64_t index, int selected) const;
  LayerRecall RecallOf(const Sums& sums) const;

  const LlamaWeights& weights_;
  const AttentionRecallOptions& options_;
  const std::int64_t tokens_;
  const std::function<void(std::int64_t)>& progress_;
  std::mt19937_64 random_;
  std::vector<std::int64_t> blocks_;  // query regions that are measured
  std::vector<Sums> sums_;            // of each layer
};

LayerKeys Meter::Prepare(const at::Tensor& queries, const at::Tensor& keys) const {
  const MemoryOptions& memory = options_.memory;
  const std::int64_t regions = BlockAt(memory, blocks_.back(), tokens_).regions, size = memory.region_tokens;
  const std::int64_t kv_heads = keys.size(0), dim = keys.size(2);
  LayerKeys layer;
  const at::Tensor own = keys.narrow(1, memory.sink_tokens, regions * size);
  layer.keys = own.to(at::kFloat).reshape({kv_heads, regions, size, dim}).transpose(0, 1).contiguous();
  layer.means = layer.keys.mean(2);
  layer.lowest = layer.keys.amin(2);
  layer.highest = layer.keys.amax(2);
  for (std::int64_t i = 0; i < regions; ++i) {
    auto region = std::make_shared<MemoryRegion>();
    const at::Tensor block = own.narrow(1, i * size, size).unsqueeze(0).contiguous();
    region->block = StoredBlock::Encode({.keys = block, .values = block}, memory.regions.precision);
    region->SetMeanKeys();
    layer.entries.push_back({.region = std::move(region)});
  }
  const std::int64_t query_size = memory.regions.query_region_tokens;
  for (std::int64_t first = 0; first < tokens_; first += query_size) {
    const at::Tensor block = queries.narrow(1, first, std::min(query_size, tokens_ - first)).to(at::kFloat);
    layer.pooled.push_back(block.mean(1).view({kv_heads, -1, dim}).sum(1));
  }
  return layer;
}

// The attention of a block's queries, over all heads, that falls on each region. `queries` [H, T, D] and `keys` [KV, T,
// D] are rotated.
std::vector<float> Meter::MassOfRegions(const QueryBlock& block, const at::Tensor& queries,
                                        const at::Tensor& keys) const {
  const std::int64_t count = block.end - block.first, kv_heads = keys.size(0), dim = keys.size(2);
  const at::Tensor own = queries.narrow(1, block.first, count).to(at::kFloat).contiguous().view({kv_heads, -1, dim});
  const at::Tensor seen = keys.narrow(1, 0, block.end).to(at::kFloat);
  const at::Tensor scores = at::bmm(own, seen.transpose(1, 2)).div_(std::sqrt(static_cast<double>(dim)));
  const at::Tensor later = at::ones({count, count}, at::kBool).triu(1).to(scores.device());
  scores.view({queries.size(0), count, block.end})
      .narrow(2, block.first, count)
      .masked_fill_(later, -std::numeric_limits<float>::infinity());
  const at::Tensor mass = at::softmax(scores, -1).sum(at::IntArrayRef{0, 1});
  const std::int64_t size = options_.memory.region_tokens;
  return ToVector(mass.narrow(0, options_.memory.sink_tokens, block.regions * size).view({block.regions, size}).sum(1));
}

std::vector<float> Meter::Scores(std::string_view way, const LayerKeys& layer, std::int64_t index,
                                 const std::vector<float>& mass) {
  const auto regions = static_cast<std::int64_t>(mass.size());
  const at::Tensor& query = layer.pooled[way == "mean-own" ? index : index - 1];
  if (way == "mean" || way == "mean-own") {
    return ToVector(layer.means.narrow(0, 0, regions).mul(query).sum(at::IntArrayRef{1, 2}));
  }
  if (way == "max") {
    return ToVector(std::get<0>(layer.keys.narrow(0, 0, regions).mul(query.unsqueeze(1)).sum(3).max(2)).sum(1));
  }
  if (way == "quest") {
    const at::Tensor low = layer.lowest.narrow(0, 0, regions).mul(query);
    const at::Tensor high = layer.highest.narrow(0, 0, regions).mul(query);
    return ToVector(at::maximum(low, high).sum(at::IntArrayRef{1, 2}));
  }
  if (way == "best") return mass;
  std::vector<float> scores(mass.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    scores[i] = way == "recent" ? static_cast<float>(i) : static_cast<float>(random_() >> 40);
  }
  return scores;
}

// As SegmentAttention: the run of merged query regions before chooses, each of its query regions for itself.
std::vector<std::int64_t> Meter::SelectAsMemory(const LayerKeys& layer, std::int64_t index, int selected) const {
  const MemoryOptions& memory = options_.memory;
  RegionMemoryOptions options = memory.regions;
  options.selected = selected;
  const std::int64_t regions = BlockAt(memory, index, tokens_).regions;
  const RegionMemory choosing(options, memory.region_tokens, {layer.entries.begin(), layer.entries.begin() + regions},
                              {});
  const std::int64_t run = index / options.merge;
  std::vector<float> queries;
  for (std::int64_t i = (run - 1) * options.merge; i < run * options.merge; ++i) {
    const std::vector<float> own = ToVector(layer.pooled[i]);
    queries.insert(queries.end(), own.begin(), own.end());
  }
  const auto stride = static_cast<std::int64_t>(queries.size()) / options.merge;
  return choosing.Select(0, queries.data(), options.merge, stride);
}

void Meter::Attend(std::int64_t layer, const at::Tensor& qkv, const at::Tensor& out) {
  const QueryKeyValue own = QueryKeyValue::Split(qkv, weights_.config), rotated = own.Rotated(weights_.rope);
  CausalAttention(rotated.queries, rotated.keys, rotated.values, out);

  const LayerKeys prepared = Prepare(own.queries, own.keys);
  Sums& sums = sums_.emplace_back();
  for (const std::int64_t index : blocks_) {
    const QueryBlock block = BlockAt(options_.memory, index, tokens_);
    const std::vector<float> mass = MassOfRegions(block, rotated.queries, rotated.keys);
    sums.all += static_cast<double>((block.end - block.first) * weights_.config.num_heads);
    sums.beyond += std::accumulate(mass.begin(), mass.end(), 0.0);
    ++sums.blocks;
    for (std::size_t way = 0; way < kNumWays; ++way) {
      const std::string_view name = kSelectionWays[way];
      std::vector<float> scores;
      if (name != "memory") scores = Scores(name, prepared, index, mass);
      for (std::size_t i = 0; i < options_.selected.size(); ++i) {
        const int selected = options_.selected[i];
        const auto chosen = name == "memory" ? SelectAsMemory(prepared, index, selected) : Best(scores, selected);
        for (const std::int64_t region : chosen) sums.kept[way][i] += mass[region];
        sums.regions[way][i] += static_cast<double>(chosen.size());
      }
    }
  }
  if (progress_) progress_(layer + 1);
}

LayerRecall Meter::RecallOf(const Sums& sums) const {
  LayerRecall recall{.beyond = sums.beyond / sums.all};
  for (std::size_t way = 0; way < kNumWays; ++way) {
    WayRecall& own = recall.ways.emplace_back();
    for (std::size_t i = 0; i < options_.selected.size(); ++i) {
      own.kept.push_back(sums.beyond > 0 ? sums.kept[way][i] / sums.beyond : 0);
      own.regions.push_back(sums.regions[way][i] / static_cast<double>(sums.blocks));
    }
  }
  return recall;
}

AttentionRecall Meter::TakeRecall() {
  AttentionRecall recall{.tokens = tokens_,
                         .query_regions = static_cast<std::int64_t>(blocks_.size()),
                         .fewest_regions = BlockAt(options_.memory, blocks_.front(), tokens_).regions,
                         .most_regions = BlockAt(options_.memory, blocks_.back(), tokens_).regions,
                         .selected = options_.selected};
  Sums all;
  for (const Sums& sums : sums_) {
    recall.layers.push_back(RecallOf(sums));
    all.all += sums.all;
    all.beyond += sums.beyond;
    all.blocks += sums.blocks;
    for (std::size_t way = 0; way < kNumWays; ++way) {
      for (std::size_t i = 0; i < options_.selected.size(); ++i) {
        all.kept[way][i] += sums.kept[way][i];
        all.regions[way][i] += sums.regions[way][i];
      }
    }
  }
  recall.all = RecallOf(all);
  return recall;
}

absl::Status CheckRecallOptions(const AttentionRecallOptions& options, std::int64_t tokens, std::int64_t context) {
  if (options.selected.empty() || options.selected.size() > kMaxCounts) {
    return InvalidArgument("selected: expected 1 to {} numbers of regions, found {}", kMaxCounts,
                           options.selected.size());
  }
  for (const int selected : options.selected) {
    if (selected < 1) return InvalidArgument("selected: expected 1 or more, found {}", selected);
  }
  if (tokens > context) {
    return InvalidArgument("tokens: dense attention over {} is wanted, but the model was trained on {}", tokens,
                           context);
  }
  const MemoryOptions& memory = options.memory;
  const int run = memory.regions.query_region_tokens * memory.regions.merge;
  if (memory.segment_tokens % run != 0) {
    return InvalidArgument("a segment of {} tokens is no whole number of merged query regions of {}",
                           memory.segment_tokens, run);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AttentionRecall> MeasureAttentionRecall(std::shared_ptr<const Model> model,
                                                       const std::vector<TokenId>& tokens,
                                                       const AttentionRecallOptions& options,
                                                       const std::function<void(std::int64_t)>& progress) {
  const c10::InferenceMode inference;
  const auto count = static_cast<std::int64_t>(tokens.size());
  TOME_RETURN_IF_ERROR(CheckRecallOptions(options, count, model->info().config.context_length));
  TOME_RETURN_IF_ERROR(ValidateMemoryOptions(options.memory, model->info().config));
  const LlamaWeights& weights = LlamaModel::From(*model).weights();
  Meter meter(weights, options, count, progress);
  if (meter.blocks().empty()) {
    const int most = *std::max_element(options.selected.begin(), options.selected.end());
    return InvalidArgument(
        "{} tokens with a window of {} leave fewer than {} regions, twice the {} to be chosen; read more tokens, or "
        "take "
        "a smaller window or fewer regions",
        count, options.memory.window_tokens, 2 * most, most);
  }
  ForwardLayers(weights, tokens, weights.config.num_layers, meter);
  return meter.TakeRecall();
}

}  // namespace tome
