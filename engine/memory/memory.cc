#include <ATen/ATen.h>

#include <utility>

#include "engine/base/digest.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/memory/memory_state.h"

namespace tome {

absl::Status ValidateMemoryOptions(const MemoryOptions& options, const LlamaConfig& config) {
  if (options.sink_tokens < 0) return InvalidArgument("sink_tokens: expected 0 or more, found {}", options.sink_tokens);
  if (options.window_tokens < 1) {
    return InvalidArgument("window_tokens: expected 1 or more, found {}", options.window_tokens);
  }
  if (options.segment_tokens < 1) {
    return InvalidArgument("segment_tokens: expected 1 or more, found {}", options.segment_tokens);
  }
  if (options.region_tokens < 8 || options.region_tokens > 4096) {
    return InvalidArgument("region_tokens: expected 8 to 4096, found {}", options.region_tokens);
  }
  const std::int64_t sum = std::int64_t{options.sink_tokens} + options.window_tokens + options.segment_tokens;
  if (sum > config.context_length) {
    return InvalidArgument(
        "sink_tokens {} + window_tokens {} + segment_tokens {} = {} tokens are attended at once, but the model was "
        "trained on {}; make window_tokens smaller",
        options.sink_tokens, options.window_tokens, options.segment_tokens, sum, config.context_length);
  }
  return absl::OkStatus();
}

Memory::Memory(std::shared_ptr<const Model> model, std::shared_ptr<const MemoryState> state)
    : model_(std::move(model)), state_(std::move(state)) {}

absl::StatusOr<Memory> Memory::Create(std::shared_ptr<const Model> model, const MemoryOptions& options) {
  TOME_RETURN_IF_ERROR(ValidateMemoryOptions(options, model->info().config));
  const Archive archive(ArchiveLayoutOf(*model, options));
  return Memory(std::move(model), std::make_shared<const MemoryState>(options, archive));
}

ArchiveLayout ArchiveLayoutOf(const Model& model, const MemoryOptions& options) {
  return {.region_tokens = options.region_tokens,
          .vocab_size = static_cast<int>(model.info().config.vocab_size),
          .code_bytes = model.profile().code_bytes()};
}

const MemoryOptions& Memory::options() const { return state_->options(); }
std::int64_t Memory::tokens_read() const { return state_->tokens_read(); }
std::int64_t Memory::tokens_kept() const { return state_->tokens_kept(); }
std::size_t Memory::state_bytes() const { return state_->bytes(); }
std::int64_t Memory::num_regions() const { return state_->archive().num_regions(); }
std::size_t Memory::archive_bytes() const { return state_->archive().bytes(); }
void Memory::set_state(std::shared_ptr<const MemoryState> state) { state_ = std::move(state); }

std::size_t Memory::MaxStateBytes(const LlamaConfig& config, const MemoryOptions& options, Precision precision) {
  const std::size_t value_bytes = precision == Precision::kBf16 ? 2 : 4;
  const std::size_t tokens = static_cast<std::size_t>(options.sink_tokens) + options.window_tokens;
  return tokens * 2 * config.num_layers * config.num_kv_heads * config.head_dim * value_bytes;
}

std::string Memory::Digest() const { return Sha256Hex(Serialize()); }

}  // namespace tome
