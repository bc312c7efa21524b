#include "engine/memory/memory_state.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace tome {

namespace {

RegionMemory RegionsOf(const MemoryOptions& options) { return RegionMemory(options.regions, options.region_tokens); }

std::shared_ptr<const TokenCounts> CountsOf(const MemoryOptions& options, const Archive& archive) {
  if (options.regions.selected == 0 || !NeedsCounts(options.regions.retention)) return nullptr;
  auto counts = std::make_shared<TokenCounts>(archive.layout().vocab_size);
  for (std::int64_t i = 0; i < archive.num_blocks(); ++i) counts->Add(archive.block(i));
  return counts;
}

}  // namespace

MemoryState::MemoryState(const MemoryOptions& options, Archive archive)
    : options_(options),
      regions_(RegionsOf(options)),
      archive_(std::move(archive)),
      counts_(CountsOf(options, archive_)) {}

MemoryState::MemoryState(const MemoryOptions& options, std::int64_t tokens_read,
                         std::shared_ptr<const KeyValueBlock> sink,
                         std::vector<std::shared_ptr<const KeyValueBlock>> window, RegionMemory regions,
                         Archive archive)
    : options_(options),
      tokens_read_(tokens_read),
      sink_(std::move(sink)),
      window_(std::move(window)),
      regions_(std::move(regions)),
      archive_(std::move(archive)),
      counts_(CountsOf(options, archive_)) {
  for (const auto& block : window_) window_tokens_ += block->tokens();
}

std::size_t MemoryState::bytes() const {
  std::size_t total = regions_.bytes() + (counts_ == nullptr ? 0 : counts_->bytes());
  for (const KeyValueBlock* block : blocks()) total += block->bytes();
  return total;
}

std::vector<const KeyValueBlock*> MemoryState::blocks() const {
  std::vector<const KeyValueBlock*> all;
  if (sink_ != nullptr) all.push_back(sink_.get());
  for (const auto& block : window_) all.push_back(block.get());
  return all;
}

std::shared_ptr<const MemoryState> MemoryState::Append(KeyValueBlock block,
                                                       std::shared_ptr<const ArchiveBlock> archived,
                                                       SegmentRouting routing) const {
  auto next = std::make_shared<MemoryState>(*this);
  if (counts_ != nullptr) {
    auto counts = std::make_shared<TokenCounts>(*counts_);
    counts->Add(*archived);
    next->counts_ = std::move(counts);
  }
  next->archive_.Append(std::move(archived));
  next->tokens_read_ += block.tokens();
  const std::int64_t to_sink = std::min(block.tokens(), options_.sink_tokens - sink_tokens());
  if (to_sink > 0) {
    KeyValueBlock grown = block.Slice(0, to_sink);
    if (sink_ != nullptr) {
      grown.keys = at::cat({sink_->keys, grown.keys}, 2);
      grown.values = at::cat({sink_->values, grown.values}, 2);
    }
    next->sink_ = std::make_shared<const KeyValueBlock>(std::move(grown));
  }
  if (const std::int64_t rest = block.tokens() - to_sink; rest > 0) {
    if (to_sink > 0) block = block.Slice(to_sink, rest);
    next->window_.push_back(std::make_shared<const KeyValueBlock>(std::move(block)));
    next->window_tokens_ += rest;
  }
  const std::int64_t surplus = std::max<std::int64_t>(0, next->window_tokens_ - options_.window_tokens);
  if (!regions_.enabled()) {
    next->DropOldest(surplus);
  } else {
    auto left = next->TakeRegions(surplus / options_.region_tokens, routing.queries.values);
    next->regions_ = regions_.Append(std::move(left), routing.chosen, std::move(routing.queries));
  }
  return next;
}

// Drops the window's oldest tokens.
void MemoryState::DropOldest(std::int64_t surplus) {
  window_tokens_ -= surplus;
  auto first = window_.begin();
  for (; surplus > 0 && (*first)->tokens() <= surplus; ++first) surplus -= (*first)->tokens();
  window_.erase(window_.begin(), first);
  if (surplus > 0) {
    const KeyValueBlock& oldest = *window_.front();
    window_.front() = std::make_shared<const KeyValueBlock>(oldest.Slice(surplus, oldest.tokens() - surplus));
  }
}

// A copy of the window's oldest tokens.
KeyValueBlock MemoryState::Oldest(std::int64_t count) const {
  const at::Tensor& front = window_.front()->keys;
  const std::int64_t shape[] = {front.size(0), front.size(1), count, front.size(3)};
  KeyValueBlock oldest = {AllocateKept(shape, front.scalar_type(), front.device()),
                          AllocateKept(shape, front.scalar_type(), front.device())};
  std::int64_t copied = 0;
  for (auto block = window_.begin(); copied < count; ++block) {
    const std::int64_t own = std::min(count - copied, (*block)->tokens());
    oldest.keys.narrow(2, copied, own).copy_((*block)->keys.narrow(2, 0, own));
    oldest.values.narrow(2, copied, own).copy_((*block)->values.narrow(2, 0, own));
    copied += own;
  }
  return oldest;
}

std::vector<std::shared_ptr<const MemoryRegion>> MemoryState::TakeRegions(std::int64_t count,
                                                                          absl::Span<const float> queries) {
  std::vector<std::shared_ptr<const MemoryRegion>> left;
  if (count == 0) return left;
  const std::int64_t size = options_.region_tokens;
  const KeyValueBlock leaving = Oldest(count * size);
  const std::int64_t first = tokens_read_ - window_tokens_;
  const std::vector<TokenId> ids = archive_.Tokens(first, count * size);
  // The first of several pooled queries [Q, L, KV, D]: [L, KV, D].
  const std::int64_t width = leaving.keys.numel() / leaving.tokens();
  for (std::int64_t i = 0; i < count; ++i) {
    const KeyValueBlock own = leaving.Slice(i * size, size);
    auto region = std::make_shared<MemoryRegion>();
    region->first_token = first + i * size;
    region->block = StoredBlock::Encode(own, options_.regions.precision);
    region->token_scores =
        ScoreTokens(options_.regions.retention, {.block = own,
                                                 .ids = absl::MakeConstSpan(ids).subspan(i * size, size),
                                                 .first_token = region->first_token,
                                                 .counts = counts_.get(),
                                                 .queries = queries.subspan(0, width)});
    region->SetMeanKeys();
    left.push_back(std::move(region));
  }
  DropOldest(count * size);
  return left;
}

std::int64_t MemoryState::Gather(std::int64_t layer, const RopeTable& rope, const at::Tensor& keys,
                                 const at::Tensor& values, const std::vector<std::int64_t>& regions) const {
  std::int64_t position = 0;
  const auto add = [&](const at::Tensor& own_keys, const at::Tensor& own_values) {
    const std::int64_t count = own_keys.size(1);
    RotateInto(own_keys, rope, position, keys.narrow(1, position, count));
    values.narrow(1, position, count).copy_(own_values);
    position += count;
  };
  const auto add_block = [&](const KeyValueBlock& block) {
    add(block.keys.select(0, layer), block.values.select(0, layer));
  };
  if (sink_ != nullptr) add_block(*sink_);
  for (const std::int64_t index : regions) {
    const StoredBlock& block = regions_.region(index).block;
    add(block.LayerKeys(layer, keys.scalar_type()), block.LayerValues(layer, values.scalar_type()));
  }
  for (const auto& block : window_) add_block(*block);
  return position;
}

}  // namespace tome
