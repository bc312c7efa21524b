// The state behind a Memory: the keys and values of the sink and the window, as immutable blocks that forks share, and
// the archive of all that was read.
//
// Shapes: L layers, KV key-value heads, D head dimension, n tokens.
#ifndef TOME_ENGINE_MEMORY_MEMORY_STATE_H_
#define TOME_ENGINE_MEMORY_MEMORY_STATE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/memory/archive.h"
#include "engine/model/rope.h"

namespace tome {

// Keys and values of consecutive tokens, [L, KV, n, D] each, contiguous. Keys are not rotated.
struct KeyValueBlock {
  at::Tensor keys;
  at::Tensor values;

  std::int64_t tokens() const { return keys.size(2); }
  std::size_t bytes() const { return keys.nbytes() + values.nbytes(); }

  static KeyValueBlock Allocate(const LlamaConfig& config, std::int64_t tokens, at::ScalarType type, at::Device device);
  // A copy of tokens first .. first + count - 1, which shares nothing.
  KeyValueBlock Slice(std::int64_t first, std::int64_t count) const;
};

class MemoryState {
 public:
  // Of an empty archive.
  explicit MemoryState(const MemoryOptions& options, Archive archive = Archive({}))
      : options_(options), archive_(std::move(archive)) {}

  // Parts that a serialized state had. `sink` may be empty (null) when nothing was read.
  MemoryState(const MemoryOptions& options, std::int64_t tokens_read, std::shared_ptr<const KeyValueBlock> sink,
              std::vector<std::shared_ptr<const KeyValueBlock>> window, Archive archive);

  const MemoryOptions& options() const { return options_; }
  std::int64_t tokens_read() const { return tokens_read_; }
  std::int64_t sink_tokens() const { return sink_ == nullptr ? 0 : sink_->tokens(); }
  std::int64_t window_tokens() const { return window_tokens_; }
  std::int64_t tokens_kept() const { return sink_tokens() + window_tokens(); }
  std::size_t bytes() const;  // of keys and values
  const Archive& archive() const { return archive_; }

  // The blocks in order: the sink, then the window, oldest first.
  std::vector<const KeyValueBlock*> blocks() const;

  // The state after reading the tokens of `block`, which follow all that was read: the sink fills up first, the rest
  // goes to the window, and the window's oldest tokens beyond window_tokens leave. `archived`: the same tokens.
  std::shared_ptr<const MemoryState> Append(KeyValueBlock block, std::shared_ptr<const ArchiveBlock> archived) const;

  // Copies one layer's keys, rotated to compact positions 0 .. tokens_kept() - 1, and its values to the first
  // tokens_kept() rows of `keys` and `values` [KV, >= tokens_kept(), D].
  void Gather(std::int64_t layer, const RopeTable& rope, const at::Tensor& keys, const at::Tensor& values) const;

 private:
  void TrimWindow();

  MemoryOptions options_;
  std::int64_t tokens_read_ = 0;
  std::int64_t window_tokens_ = 0;
  std::shared_ptr<const KeyValueBlock> sink_;
  std::vector<std::shared_ptr<const KeyValueBlock>> window_;
  Archive archive_;
};

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_MEMORY_STATE_H_
