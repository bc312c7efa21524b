#include "engine/memory/memory_state.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace tome {

KeyValueBlock KeyValueBlock::Allocate(const LlamaConfig& config, std::int64_t tokens, at::ScalarType type,
                                      at::Device device) {
  const auto options = at::TensorOptions().dtype(type).device(device);
  const auto make = [&] {
    return at::empty({config.num_layers, config.num_kv_heads, tokens, config.head_dim}, options);
  };
  return {make(), make()};
}

KeyValueBlock KeyValueBlock::Slice(std::int64_t first, std::int64_t count) const {
  const auto copy = [&](const at::Tensor& all) {
    return all.narrow(2, first, count).clone(at::MemoryFormat::Contiguous);
  };
  return {copy(keys), copy(values)};
}

MemoryState::MemoryState(const MemoryOptions& options, std::int64_t tokens_read,
                         std::shared_ptr<const KeyValueBlock> sink,
                         std::vector<std::shared_ptr<const KeyValueBlock>> window, Archive archive)
    : options_(options),
      tokens_read_(tokens_read),
      sink_(std::move(sink)),
      window_(std::move(window)),
      archive_(std::move(archive)) {
  for (const auto& block : window_) window_tokens_ += block->tokens();
}

std::size_t MemoryState::bytes() const {
  std::size_t total = 0;
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
                                                       std::shared_ptr<const ArchiveBlock> archived) const {
  auto next = std::make_shared<MemoryState>(*this);
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
    next->TrimWindow();
  }
  return next;
}

void MemoryState::TrimWindow() {
  std::int64_t surplus = window_tokens_ - options_.window_tokens;
  if (surplus <= 0) return;
  window_tokens_ -= surplus;
  auto first = window_.begin();
  for (; surplus > 0 && (*first)->tokens() <= surplus; ++first) surplus -= (*first)->tokens();
  window_.erase(window_.begin(), first);
  if (surplus > 0) {
    const KeyValueBlock& oldest = *window_.front();
    window_.front() = std::make_shared<const KeyValueBlock>(oldest.Slice(surplus, oldest.tokens() - surplus));
  }
}

void MemoryState::Gather(std::int64_t layer, const RopeTable& rope, const at::Tensor& keys,
                         const at::Tensor& values) const {
  std::int64_t position = 0;
  for (const KeyValueBlock* block : blocks()) {
    const std::int64_t count = block->tokens();
    RotateInto(block->keys.select(0, layer), rope, position, keys.narrow(1, position, count));
    values.narrow(1, position, count).copy_(block->values.select(0, layer));
    position += count;
  }
}

}  // namespace tome
