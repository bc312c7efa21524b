#include "engine/memory/region_memory.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace tome {

void MemoryRegion::SetMeanKeys() {
  mean_keys.clear();
  for (std::int64_t layer = 0; layer < block.keys().size(0); ++layer) {
    const at::Tensor means = block.LayerKeys(layer, at::kFloat).mean(1).cpu().contiguous();
    mean_keys.insert(mean_keys.end(), means.const_data_ptr<float>(), means.const_data_ptr<float>() + means.numel());
  }
}

std::size_t RegionMemory::bytes() const {
  std::size_t total = queries_.values.size() * sizeof(float);
  for (const Entry& entry : entries_) total += entry.region->bytes();
  return total;
}

std::vector<std::int64_t> RegionMemory::Select(std::int64_t layer, const float* queries, std::int64_t count,
                                               std::int64_t queries_stride) const {
  const auto most = std::min<std::int64_t>(options_.selected, size());
  std::vector<bool> chosen(entries_.size());
  std::vector<float> scores(entries_.size());
  std::vector<std::int64_t> order(entries_.size());
  for (std::int64_t query = 0; query < count; ++query) {
    const float* own = queries + query * queries_stride;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      const std::vector<float>& means = entries_[i].region->mean_keys;
      const auto width = static_cast<std::int64_t>(means.size()) / entries_[i].region->block.keys().size(0);
      scores[i] = std::inner_product(own, own + width, means.data() + layer * width, 0.0f);
    }
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + most, order.end(), [&](std::int64_t a, std::int64_t b) {
      return scores[a] != scores[b] ? scores[a] > scores[b] : a > b;
    });
    for (std::int64_t i = 0; i < most; ++i) chosen[order[i]] = true;
  }
  std::vector<std::int64_t> ascending;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i]) ascending.push_back(static_cast<std::int64_t>(i));
  }
  return ascending;
}

RegionMemory RegionMemory::Append(std::vector<std::shared_ptr<const MemoryRegion>> left,
                                  const std::vector<std::int64_t>& chosen, PooledQueries queries) const {
  RegionMemory next = *this;
  next.queries_ = std::move(queries);
  for (std::size_t i = 0; i < chosen.size(); ++i) next.entries_[i].selections += chosen[i];
  for (auto& region : left) next.entries_.push_back({.region = std::move(region)});
  next.Compress();
  return next;
}

void RegionMemory::Compress() {
  while (size() > options_.ring_regions + options_.pool_regions) {
    // The regions before the newest ring_regions: at least one, and one more than the pool has room for.
    const std::int64_t pool = size() - options_.ring_regions;
    if (options_.pool_regions > 0 && options_.compression == RegionCompression::kMerge) {
      MergeTwo(pool);
    } else {
      EvictOne(pool);
    }
  }
}

void RegionMemory::EvictOne(std::int64_t pool) {
  const auto score = [&](const Entry& entry) {
    return options_.retention == RetentionScore::kSelections ? static_cast<float>(entry.selections)
                                                             : ScoreRegion(entry.region->token_scores);
  };
  // Of equals the older one leaves.
  const auto worst = std::min_element(entries_.begin(), entries_.begin() + pool,
                                      [&](const Entry& a, const Entry& b) { return score(a) < score(b); });
  entries_.erase(worst);
}

void RegionMemory::MergeTwo(std::int64_t pool) {
  if (pool < 2) return EvictOne(pool);
  // The neighbours that lose least: whose tokens beyond the better half have the lowest sum of scores.
  const auto keep = static_cast<std::size_t>(region_tokens_);
  std::int64_t best = 0;
  double best_loss = 0;
  std::vector<float> joined;
  const auto join = [&](std::int64_t first) {
    joined = entries_[first].region->token_scores;
    const std::vector<float>& second = entries_[first + 1].region->token_scores;
    joined.insert(joined.end(), second.begin(), second.end());
  };
  for (std::int64_t first = 0; first + 1 < pool; ++first) {
    join(first);
    std::vector<float> sorted = joined;
    std::sort(sorted.begin(), sorted.end());
    const double loss = std::accumulate(sorted.begin(), sorted.end() - static_cast<std::ptrdiff_t>(keep), 0.0);
    if (first > 0 && loss >= best_loss) continue;
    best = first;
    best_loss = loss;
  }
  join(best);
  const MemoryRegion &older = *entries_[best].region, &newer = *entries_[best + 1].region;
  const auto split = static_cast<std::int64_t>(older.token_scores.size());
  std::vector<std::int64_t> of_older, of_newer;
  auto merged = std::make_shared<MemoryRegion>();
  for (const std::int64_t token : BestTokens(joined, keep)) {
    merged->token_scores.push_back(joined[token]);
    (token < split ? of_older : of_newer).push_back(token < split ? token : token - split);
  }
  merged->first_token = older.first_token;
  merged->block = StoredBlock::Join(older.block, of_older, newer.block, of_newer);
  merged->SetMeanKeys();
  entries_[best] = {.region = std::move(merged),
                    .selections = entries_[best].selections + entries_[best + 1].selections};
  entries_.erase(entries_.begin() + best + 1);
}

}  // namespace tome
