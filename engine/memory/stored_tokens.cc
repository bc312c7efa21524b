#include "engine/memory/stored_tokens.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace tome {

std::vector<TokenRange> KeptTokens(const MemoryState& state) {
  std::vector<TokenRange> ranges;
  if (state.sink_tokens() > 0) ranges.push_back({0, state.sink_tokens()});
  if (state.window_tokens() > 0) ranges.push_back({state.tokens_read() - state.window_tokens(), state.tokens_read()});
  return ranges;
}

StoredTokens::StoredTokens(const MemoryState& state) {
  std::vector<const KeyValueBlock*> blocks = state.blocks();
  auto block = blocks.begin();
  if (state.sink_tokens() > 0) places_.push_back({.tokens = {0, state.sink_tokens()}, .exact = *block++});
  const RegionMemory& regions = state.regions();
  const std::int64_t window = state.tokens_read() - state.window_tokens();
  for (std::int64_t i = 0; i < regions.size(); ++i) {
    const MemoryRegion& region = regions.region(i);
    const std::int64_t first = region.first_token, end = first + region.block.tokens();
    // Merging tiles the text: a region with a gap behind it has tokens of the next one in it, and lacks some of its
    // own.
    const std::int64_t next = i + 1 < regions.size() ? regions.region(i + 1).first_token : window;
    if (regions.options().compression == RegionCompression::kMerge && next != end) continue;
    places_.push_back({.tokens = {first, end}, .stored = &region.block});
  }
  for (std::int64_t first = window; block != blocks.end(); ++block) {
    places_.push_back({.tokens = {first, first + (*block)->tokens()}, .exact = *block});
    first += (*block)->tokens();
  }
}

const StoredTokens::Place* StoredTokens::Find(std::int64_t token) const {
  const auto after =
      std::upper_bound(places_.begin(), places_.end(), token,
                       [](std::int64_t value, const Place& place) { return value < place.tokens.first; });
  if (after == places_.begin()) return nullptr;
  const Place& place = *std::prev(after);
  return token < place.tokens.end ? &place : nullptr;
}

bool StoredTokens::Hold(const TokenRange& range) const {
  for (std::int64_t token = range.first; token < range.end;) {
    const Place* place = Find(token);
    if (place == nullptr) return false;
    token = place->tokens.end;
  }
  return true;
}

void StoredTokens::Gather(std::int64_t layer, const RopeTable& rope, absl::Span<const TokenRange> ranges,
                          const at::Tensor& keys, const at::Tensor& values) const {
  std::int64_t position = 0;
  for (const TokenRange& range : ranges) {
    for (std::int64_t token = range.first; token < range.end;) {
      const Place& place = *Find(token);
      const std::int64_t first = token - place.tokens.first, count = std::min(range.end, place.tokens.end) - token;
      const bool exact = place.exact != nullptr;
      const at::Tensor own_keys =
          exact ? place.exact->keys.select(0, layer) : place.stored->LayerKeys(layer, keys.scalar_type());
      const at::Tensor own_values =
          exact ? place.exact->values.select(0, layer) : place.stored->LayerValues(layer, values.scalar_type());
      RotateInto(own_keys.narrow(1, first, count), rope, position, keys.narrow(1, position, count));
      values.narrow(1, position, count).copy_(own_values.narrow(1, first, count));
      position += count;
      token += count;
    }
  }
}

}  // namespace tome
