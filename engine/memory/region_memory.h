// The region memory: keys and values of regions that left the window, for later segments to attend to.
//
// Select: a query region of a segment chooses, in each layer, the regions whose mean key has the largest product with
// its pooled queries, summed over heads. Merge: neighbouring query regions attend to the union of their choices. A
// choice is made by the queries of the merged query regions before, never by the tokens' own, so that no token depends
// on a later one. Recurse: the newest regions stand in a ring, older ones in a pool; when the pool is full the region
// with the lowest score leaves, or two neighbours give up the lower half of their tokens and become one.
//
// Shapes: L layers, KV key-value heads, D head dimension, n tokens of a region, Q query regions.
#ifndef TOME_ENGINE_MEMORY_REGION_MEMORY_H_
#define TOME_ENGINE_MEMORY_REGION_MEMORY_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/memory/key_value_block.h"
#include "engine/memory/memory_options.h"
#include "engine/memory/retention.h"

namespace tome {

struct MemoryRegion {
  std::int64_t first_token = 0;  // of all that was read; of its first token
  StoredBlock block;
  std::vector<float> token_scores;  // [n]
  std::vector<float> mean_keys;     // [L, KV, D], of the keys as stored

  // Sets mean_keys.
  void SetMeanKeys();
  std::size_t bytes() const { return block.bytes() + (token_scores.size() + mean_keys.size()) * sizeof(float); }
};

// The queries of query regions, un-rotated, averaged over tokens and summed over the heads of a key-value head.
struct PooledQueries {
  std::int64_t count = 0;     // Q
  std::vector<float> values;  // [Q, L, KV, D]
};

// An immutable value: copies share all regions.
class RegionMemory {
 public:
  struct Entry {
    std::shared_ptr<const MemoryRegion> region;
    std::int64_t selections = 0;  // how many segments, layers counted apart, have attended to it
  };

  RegionMemory(const RegionMemoryOptions& options, int region_tokens)
      : options_(options), region_tokens_(region_tokens) {}
  // Parts that a serialized state had, oldest region first.
  RegionMemory(const RegionMemoryOptions& options, int region_tokens, std::vector<Entry> entries, PooledQueries queries)
      : options_(options), region_tokens_(region_tokens), entries_(std::move(entries)), queries_(std::move(queries)) {}

  const RegionMemoryOptions& options() const { return options_; }
  bool enabled() const { return options_.selected > 0; }
  std::int64_t size() const { return static_cast<std::int64_t>(entries_.size()); }
  const MemoryRegion& region(std::int64_t index) const { return *entries_[index].region; }
  const std::vector<Entry>& entries() const { return entries_; }
  const PooledQueries& queries() const { return queries_; }
  std::size_t bytes() const;

  // Tokens of a query region, and of the query regions that attend together.
  std::int64_t query_region_tokens() const { return options_.query_region_tokens; }
  std::int64_t merged_tokens() const { return std::int64_t{options_.query_region_tokens} * options_.merge; }

  // The regions, ascending, that the queries [count, KV, D] of one layer choose: the union of `selected` for each.
  std::vector<std::int64_t> Select(std::int64_t layer, const float* queries, std::int64_t count,
                                   std::int64_t queries_stride) const;

  // After a segment: with the regions that left the window, oldest first, how often each region was chosen, and the
  // segment's last pooled queries.
  RegionMemory Append(std::vector<std::shared_ptr<const MemoryRegion>> left, const std::vector<std::int64_t>& chosen,
                      PooledQueries queries) const;

 private:
  void Compress();
  void EvictOne(std::int64_t pool);
  void MergeTwo(std::int64_t pool);

  RegionMemoryOptions options_;
  int region_tokens_;
  std::vector<Entry> entries_;  // pool, then ring
  PooledQueries queries_;
};

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_REGION_MEMORY_H_
