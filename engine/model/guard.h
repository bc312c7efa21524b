// Exceptions of libtorch and of the standard library, turned into errors before they reach the engine's door.
#ifndef TOME_ENGINE_MODEL_GUARD_H_
#define TOME_ENGINE_MODEL_GUARD_H_

#include <utility>

#include "absl/status/status.h"

namespace tome {

// The error of the exception that is being handled; for catch blocks only. RESOURCE_EXHAUSTED where memory ran out,
// else INTERNAL.
absl::Status StatusOfException();

// What `body` returns, an absl::Status or an absl::StatusOr, or the error of what it throws.
template <typename Body>
auto Guarded(Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (...) {
    return StatusOfException();
  }
}

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_GUARD_H_
