// The one place where errors become what clients see: a gRPC code, a message and google.rpc details (AIP-193).
#ifndef TOME_SERVER_RPC_WIRE_STATUS_H_
#define TOME_SERVER_RPC_WIRE_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace tome::server {

// The domain of ErrorInfo.
inline constexpr char kErrorDomain[] = "tome";

// The table in status.cc gives the code, and the reason and the retry delay of errors that name none themselves.
// The details, in grpc-status-details-bin:
//   ErrorInfo           always: reason, domain "tome", metadata
//   BadRequest          INVALID_ARGUMENT where a field is known to be at fault
//   RetryInfo           where waiting helps
//   ResourceInfo        NOT_FOUND and ALREADY_EXISTS of a session or document
//   PreconditionFailure FAILED_PRECONDITION
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_WIRE_STATUS_H_
