// What a server's error says, beyond its code and message.
//
// Every call of this library returns absl::Status. The google.rpc details that came with an error travel in a payload
// of the status; DetailsOf() reads them.
#ifndef TOME_CLIENT_ERRORS_H_
#define TOME_CLIENT_ERRORS_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace tome::client {

struct FieldViolation {
  std::string field;
  std::string description;
};

struct ErrorDetails {
  // True when the server sent any detail. An error of the connection, or one made here, has none.
  bool present = false;
  // Of google.rpc.ErrorInfo: a stable reason, and its metadata ("committed_offset", "byte_offset").
  std::string reason;
  std::map<std::string, std::string> metadata;
  // Of google.rpc.BadRequest.
  std::vector<FieldViolation> field_violations;
  // Of google.rpc.RetryInfo: the server asks not to be called again before.
  std::optional<std::chrono::milliseconds> retry_delay;

  // A metadata value as a number; none when it is missing or no number.
  std::optional<std::uint64_t> Number(const std::string& key) const;
};

// The same code and message; details, if any, become a payload.
absl::Status FromGrpc(const grpc::Status& status);

// Never fails: details that do not parse count as absent.
ErrorDetails DetailsOf(const absl::Status& status);

// Whether the same call may succeed later: the server or the connection was away, or the server named a delay.
bool IsTransient(const absl::Status& status);

}  // namespace tome::client

#endif  // TOME_CLIENT_ERRORS_H_
