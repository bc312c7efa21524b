// Checks requests against what the comments of tome.proto allow, field by field, before anything is done. Whether a
// session exists, or an offset fits, is not asked here.
//
// Errors are INVALID_ARGUMENT with every field at fault (see field_violations.h). Thread-safe.
#ifndef TOME_SERVER_RPC_WIRE_VALIDATION_H_
#define TOME_SERVER_RPC_WIRE_VALIDATION_H_

#include "absl/status/status.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

absl::Status Validate(const v1::CreateSessionRequest& request);
absl::Status Validate(const v1::GetSessionRequest& request);
absl::Status Validate(const v1::ListSessionsRequest& request);
absl::Status Validate(const v1::UpdateSessionRequest& request);
absl::Status Validate(const v1::DeleteSessionRequest& request);
absl::Status Validate(const v1::SnapshotSessionRequest& request);
absl::Status Validate(const v1::RereadSessionRequest& request);
absl::Status Validate(const v1::ForkSessionRequest& request);
absl::Status Validate(const v1::ExportSessionRequest& request);
// `first`: of the first message of the stream; the others have data only.
absl::Status Validate(const v1::ImportSessionRequest& request, bool first);
absl::Status Validate(const v1::WatchRequest& request);
absl::Status Validate(const v1::AskRequest& request);
absl::Status Validate(const v1::SearchRequest& request);
absl::Status Validate(const v1::ScoreRequest& request);
absl::Status Validate(const v1::GetModelRequest& request);
absl::Status Validate(const v1::TokenizeRequest& request);

// The first message of an Append stream, and one that follows: it may repeat what `first` said, or leave it empty.
absl::Status ValidateFirst(const v1::AppendRequest& request);
absl::Status ValidateNext(const v1::AppendRequest& request, const v1::AppendRequest& first);

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_WIRE_VALIDATION_H_
