#include "engine/memory/memory.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "engine/base/digest.h"
#include "engine/base/status.h"
#include "engine/memory/memory_state.h"
#include "engine/model/guard.h"
#include "engine/model/llama_model.h"

namespace tome {

Memory::Memory(std::shared_ptr<const Model> model, std::shared_ptr<const MemoryState> state)
    : model_(std::move(model)), state_(std::move(state)) {}

absl::StatusOr<Memory> Memory::Create(std::shared_ptr<const Model> model, const MemoryOptions& options) {
  TOME_RETURN_IF_ERROR(ValidateMemoryOptions(options, model->info().config));
  return Guarded([&]() -> absl::StatusOr<Memory> {
    TOME_ASSIGN_OR_RETURN(model, LlamaModel::WithEncoding(std::move(model), options.position_encoding));
    const Archive archive(ArchiveLayoutOf(*model, options), model->spill_folder());
    return Memory(std::move(model), std::make_shared<const MemoryState>(options, archive));
  });
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
std::size_t Memory::archive_spilled_bytes() const { return state_->archive().spilled_bytes(); }
std::size_t Memory::archive_resident_bytes() const { return state_->archive().resident_bytes(); }
void Memory::set_state(std::shared_ptr<const MemoryState> state) { state_ = std::move(state); }

std::vector<ReadRange> Memory::ReadRanges() const {
  const Archive& archive = state_->archive();
  std::vector<ReadRange> ranges;
  for (std::int64_t i = 0; i < archive.num_blocks(); ++i) {
    const ArchiveBlock& block = archive.block(i);
    if (ranges.empty() || ranges.back().document != block.document() || ranges.back().end != block.begin()) {
      ranges.push_back({.document = block.document(), .begin = block.begin(), .end = block.begin(), .tokens = 0});
    }
    ranges.back().end = block.end();
    ranges.back().tokens += block.num_tokens();
  }
  return ranges;
}

std::vector<TokenSpan> Memory::KeptSpans() const {
  const Archive& archive = state_->archive();
  std::vector<TokenSpan> spans;
  // Tokens first .. end - 1 of all that were read.
  const auto add = [&](std::int64_t first, std::int64_t end) {
    std::int64_t begin = 0;
    for (std::int64_t i = 0; i < archive.num_blocks() && begin < end; begin += archive.block(i++).num_tokens()) {
      const ArchiveBlock& block = archive.block(i);
      const std::int64_t last = std::min<std::int64_t>(block.num_tokens(), end - begin);
      for (std::int64_t k = std::max<std::int64_t>(0, first - begin); k < last; ++k) {
        spans.push_back(block.Span(static_cast<int>(k), static_cast<int>(k) + 1));
      }
    }
  };
  add(0, state_->sink_tokens());
  add(tokens_read() - state_->window_tokens(), tokens_read());
  return spans;
}

std::string Memory::Serialize() const {
  std::string bytes;
  bytes.reserve(state_->bytes() + state_->archive().bytes() + 12 * state_->archive().num_blocks() + 1024);
  const absl::Status status = Serialize([&](std::string_view piece) {
    bytes += piece;
    return absl::OkStatus();
  });
  if (!status.ok()) bytes.clear();
  return bytes;
}

absl::StatusOr<Memory> Memory::Parse(std::shared_ptr<const Model> model, std::string_view bytes) {
  MemorySource source(bytes);
  return Parse(std::move(model), source);
}

std::string Memory::Digest() const {
  Sha256 digest;
  const absl::Status status = Serialize([&](std::string_view piece) {
    digest.Update(piece);
    return absl::OkStatus();
  });
  return status.ok() ? digest.FinishHex() : "";
}

}  // namespace tome
