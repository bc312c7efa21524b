#include <ATen/ATen.h>

#include <utility>

#include "engine/base/digest.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/memory/memory_state.h"
#include "engine/model/llama_model.h"

namespace tome {

Memory::Memory(std::shared_ptr<const Model> model, std::shared_ptr<const MemoryState> state)
    : model_(std::move(model)), state_(std::move(state)) {}

absl::StatusOr<Memory> Memory::Create(std::shared_ptr<const Model> model, const MemoryOptions& options) {
  TOME_RETURN_IF_ERROR(ValidateMemoryOptions(options, model->info().config));
  TOME_ASSIGN_OR_RETURN(model, LlamaModel::WithEncoding(std::move(model), options.position_encoding));
  const Archive archive(ArchiveLayoutOf(*model, options), model->spill_folder());
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
std::size_t Memory::archive_spilled_bytes() const { return state_->archive().spilled_bytes(); }
std::size_t Memory::archive_resident_bytes() const { return state_->archive().resident_bytes(); }
void Memory::set_state(std::shared_ptr<const MemoryState> state) { state_ = std::move(state); }

std::string Memory::Digest() const { return Sha256Hex(Serialize()); }

}  // namespace tome
