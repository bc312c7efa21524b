// What was read, and how far its words are made anew.
#ifndef TOME_ENGINE_MEMORY_READ_RANGE_H_
#define TOME_ENGINE_MEMORY_READ_RANGE_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "engine/base/types.h"

namespace tome {

// A part of one document that was read without a break.
struct ReadRange {
  std::uint32_t document = 0;
  ByteOffset begin = 0, end = 0;
  std::int64_t tokens = 0;

  friend bool operator==(const ReadRange&, const ReadRange&) = default;
};

// How far the stems of a restored memory's words are made anew, because another version of the engine made them.
struct StemsProgress {
  std::int64_t tokens = 0;
  std::int64_t of_tokens = 0;
};
// Is told after every segment; only then. An error ends the restoring.
using RestoreObserver = std::function<absl::Status(const StemsProgress&)>;

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_READ_RANGE_H_
