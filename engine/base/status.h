// Errors are values: helpers that build absl::Status with fmt formatting, and macros that pass them on.
//
// A message says what was expected, what was found, and where: "model.gguf: tensor 'output.weight': expected 2
// dimensions, found 3". Thread-safe: no state.
#ifndef TOME_ENGINE_BASE_STATUS_H_
#define TOME_ENGINE_BASE_STATUS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"

namespace tome {

template <typename... Args>
absl::Status InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
absl::Status NotFound(fmt::format_string<Args...> format, Args&&... args) {
  return absl::NotFoundError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
absl::Status FailedPrecondition(fmt::format_string<Args...> format, Args&&... args) {
  return absl::FailedPreconditionError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
absl::Status OutOfRange(fmt::format_string<Args...> format, Args&&... args) {
  return absl::OutOfRangeError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
absl::Status ResourceExhausted(fmt::format_string<Args...> format, Args&&... args) {
  return absl::ResourceExhaustedError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
absl::Status DataLoss(fmt::format_string<Args...> format, Args&&... args) {
  return absl::DataLossError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
absl::Status Internal(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InternalError(fmt::format(format, std::forward<Args>(args)...));
}

// `status` with "prefix: " before its message; OK stays OK. The code and the payloads are kept.
absl::Status Annotate(const absl::Status& status, const std::string& prefix);

}  // namespace tome

#define TOME_CONCAT_INNER_(a, b) a##b
#define TOME_CONCAT_(a, b) TOME_CONCAT_INNER_(a, b)

// Returns the error of `expression` (an absl::Status) from the calling function, if it is one.
#define TOME_RETURN_IF_ERROR(expression)                                                   \
  do {                                                                                     \
    if (absl::Status tome_status_ = (expression); !tome_status_.ok()) return tome_status_; \
  } while (false)

// TOME_ASSIGN_OR_RETURN(auto value, MakeValue()): unwraps an absl::StatusOr or returns its error.
#define TOME_ASSIGN_OR_RETURN(declaration, expression) \
  TOME_ASSIGN_OR_RETURN_INNER_(TOME_CONCAT_(tome_status_or_, __LINE__), declaration, expression)
#define TOME_ASSIGN_OR_RETURN_INNER_(holder, declaration, expression) \
  auto holder = (expression);                                         \
  if (!holder.ok()) return std::move(holder).status();                \
  declaration = *std::move(holder)

#endif  // TOME_ENGINE_BASE_STATUS_H_
