// What a session remembers.
#ifndef TOME_ENGINE_MEMORY_MEMORY_H_
#define TOME_ENGINE_MEMORY_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/types.h"
#include "engine/files/byte_stream.h"
#include "engine/memory/memory_options.h"
#include "engine/memory/read_range.h"
#include "engine/model/model.h"

namespace tome {

class Archive;      // of all that was read; see memory/archive.h
class MemoryState;  // immutable, shared by forks

// The attention state of everything that a session has read. Keys are kept un-rotated; at use the kept tokens get
// compact positions 0..n-1, so no position leaves the trained range however much is read. Copying is an O(1) fork that
// shares all tensors; a later read replaces only the writer's blocks. Copies may be used from different threads.
class Memory {
 public:
  // An empty memory of `model`. INVALID_ARGUMENT for options that do not fit it.
  static absl::StatusOr<Memory> Create(std::shared_ptr<const Model> model, const MemoryOptions& options);

  const std::shared_ptr<const Model>& model() const { return model_; }
  const MemoryOptions& options() const;

  std::int64_t tokens_read() const;   // since the session began, BOS included
  std::int64_t tokens_kept() const;   // in sink and window
  std::size_t state_bytes() const;    // of keys and values held, and of what chooses among them
  std::int64_t num_regions() const;   // in the archive
  std::size_t archive_bytes() const;  // grows by about 40 bytes with each token read
  // Of the archive: what is in files, and what is in memory, with all that finds its parts. The latter is at most
  // ModelOptions::archive_resident_bytes, as long as the disk takes the rest and no more than 7/8 of it finds parts
  // (a few hundred bytes for each segment).
  std::size_t archive_spilled_bytes() const;
  std::size_t archive_resident_bytes() const;
  // The most that state_bytes() can become with these options, known before anything is read.
  static std::size_t MaxStateBytes(const LlamaConfig& config, const MemoryOptions& options, Precision precision);
  // The most that they can be once `tokens` were read; never falls with more, and ends at MaxStateBytes.
  static std::size_t MaxStateBytesAfter(std::int64_t tokens, const LlamaConfig& config, const MemoryOptions& options,
                                        Precision precision);

  // Which bytes were read, in reading order, as few ranges as possible.
  std::vector<ReadRange> ReadRanges() const;
  // Where the bytes of the tokens in sink and window are, tokens_kept() of them, in order.
  std::vector<TokenSpan> KeptSpans() const;

  // Canonical: the same state gives the same bytes. Versioned, checksummed; see memory/state_format.h. Empty when
  // memory runs out.
  std::string Serialize() const;
  // The same in pieces of a few MB at most. An error is the sink's, or RESOURCE_EXHAUSTED when memory runs out.
  absl::Status Serialize(const ByteSink& sink) const;
  // FAILED_PRECONDITION when it was made by another model or other options (the message has both values);
  // DATA_LOSS when damaged.
  static absl::StatusOr<Memory> Parse(std::shared_ptr<const Model> model, std::string_view bytes);
  // The same of all bytes of a source, whose errors it gives. Where the stems of its words are of another version they
  // are made anew from the tokens, about a million tokens in a second, without the model; `observer` may be null.
  static absl::StatusOr<Memory> Parse(std::shared_ptr<const Model> model, SizedByteSource& source,
                                      const RestoreObserver& observer = nullptr);
  // SHA-256 of Serialize(), hex.
  std::string Digest() const;

  // For the engine's own parts.
  Memory(std::shared_ptr<const Model> model, std::shared_ptr<const MemoryState> state);
  const std::shared_ptr<const MemoryState>& state() const { return state_; }
  void set_state(std::shared_ptr<const MemoryState> state);

 private:
  std::shared_ptr<const Model> model_;
  std::shared_ptr<const MemoryState> state_;
};

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_MEMORY_H_
