// The state behind a Memory: the keys and values of the sink and the window, as immutable blocks that forks share, the
// region memory, and the archive of all that was read.
//
// Shapes: L layers, KV key-value heads, D head dimension, n tokens.
#ifndef TOME_ENGINE_MEMORY_MEMORY_STATE_H_
#define TOME_ENGINE_MEMORY_MEMORY_STATE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/memory/archive.h"
#include "engine/memory/key_value_block.h"
#include "engine/memory/region_memory.h"
#include "engine/model/rope.h"

namespace tome {

// What reading a segment leaves for the region memory.
struct SegmentRouting {
  std::vector<std::int64_t> chosen;  // for each region, in how many layers the segment attended to it; or empty
  PooledQueries queries;             // of the segment's last merged query regions
};

class MemoryState {
 public:
  // Of an empty archive.
  explicit MemoryState(const MemoryOptions& options, Archive archive = Archive({}));

  // Parts that a serialized state had. `sink` may be empty (null) when nothing was read.
  MemoryState(const MemoryOptions& options, std::int64_t tokens_read, std::shared_ptr<const KeyValueBlock> sink,
              std::vector<std::shared_ptr<const KeyValueBlock>> window, RegionMemory regions, Archive archive);

  const MemoryOptions& options() const { return options_; }
  std::int64_t tokens_read() const { return tokens_read_; }
  std::int64_t sink_tokens() const { return sink_ == nullptr ? 0 : sink_->tokens(); }
  std::int64_t window_tokens() const { return window_tokens_; }
  std::int64_t tokens_kept() const { return sink_tokens() + window_tokens(); }
  std::size_t bytes() const;  // all but the archive's
  const RegionMemory& regions() const { return regions_; }
  const Archive& archive() const { return archive_; }

  // The blocks in order: the sink, then the window, oldest first.
  std::vector<const KeyValueBlock*> blocks() const;

  // The state after reading the tokens of `block`, which follow all that was read: the sink fills up first, the rest
  // goes to the window, and the window's oldest tokens beyond window_tokens leave: with region memory whole regions,
  // which go there. `archived`: the same tokens. `routing`: what the segment chose and asked for.
  std::shared_ptr<const MemoryState> Append(KeyValueBlock block, std::shared_ptr<const ArchiveBlock> archived,
                                            SegmentRouting routing = {}) const;

  // Copies one layer's keys, rotated to compact positions from 0, and its values to the first rows of `keys` and
  // `values` [KV, >= n, D]: the sink, these regions, the window. Gives n.
  std::int64_t Gather(std::int64_t layer, const RopeTable& rope, const at::Tensor& keys, const at::Tensor& values,
                      const std::vector<std::int64_t>& regions = {}) const;

 private:
  void DropOldest(std::int64_t tokens);
  KeyValueBlock Oldest(std::int64_t tokens) const;
  // The window's oldest `count` regions, which leave it.
  std::vector<std::shared_ptr<const MemoryRegion>> TakeRegions(std::int64_t count, absl::Span<const float> queries);

  MemoryOptions options_;
  std::int64_t tokens_read_ = 0;
  std::int64_t window_tokens_ = 0;
  std::shared_ptr<const KeyValueBlock> sink_;
  std::vector<std::shared_ptr<const KeyValueBlock>> window_;
  RegionMemory regions_;
  Archive archive_;
  std::shared_ptr<const TokenCounts> counts_;  // null unless the region memory's score needs them
};

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_MEMORY_STATE_H_
