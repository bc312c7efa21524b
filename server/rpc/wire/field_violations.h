// Collects what is wrong with the fields of a request.
#ifndef TOME_SERVER_RPC_WIRE_FIELD_VIOLATIONS_H_
#define TOME_SERVER_RPC_WIRE_FIELD_VIOLATIONS_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace tome::server {

struct FieldViolation {
  std::string field;        // path in the request: "session.labels", "generation.stop[2]"
  std::string description;  // what is allowed, and what was found

  friend bool operator==(const FieldViolation&, const FieldViolation&) = default;
};

// Not thread-safe.
class FieldViolations {
 public:
  void Add(std::string field, std::string description) {
    violations_.push_back({std::move(field), std::move(description)});
  }

  // OK when there are none; else INVALID_ARGUMENT with reason INVALID_FIELD, naming the first in its message and
  // carrying all of them (see GetFieldViolations).
  absl::Status ToStatus() const;

 private:
  std::vector<FieldViolation> violations_;
};

// `status` with violations added to it; the code and the message stay.
absl::Status WithFieldViolations(absl::Status status, const std::vector<FieldViolation>& violations);

// The violations that a status carries; empty when it carries none.
std::vector<FieldViolation> GetFieldViolations(const absl::Status& status);

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_WIRE_FIELD_VIOLATIONS_H_
