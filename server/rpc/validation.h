// Checks requests against what the comments of tome.proto allow, field by field, before anything is done. Whether a
// session exists, or an offset fits, is not asked here.
//
// Errors are INVALID_ARGUMENT with every field at fault (see field_violations.h). Thread-safe.
#ifndef TOME_SERVER_RPC_VALIDATION_H_
#define TOME_SERVER_RPC_VALIDATION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/session/types.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

inline constexpr std::size_t kMaxAppendBytes = std::size_t{1} << 20;    // of data in one AppendRequest
inline constexpr std::size_t kMaxPatternBytes = 512;                    // of MemoryOptions' patterns and encodings
inline constexpr std::size_t kMaxTokenizeBytes = std::size_t{1} << 20;  // of TokenizeRequest.text
inline constexpr int kMaxPageSize = 1000;
inline constexpr int kDefaultPageSize = 50;
inline constexpr int kMaxSearchPageSize = 256;
inline constexpr int kDefaultSearchPageSize = 10;
inline constexpr std::uint32_t kMaxCitations = 64;
inline constexpr std::size_t kMaxImportBytes = std::size_t{2} << 20;  // of data in one ImportSessionRequest
inline constexpr std::size_t kMaxFilterBytes = 1024;
inline constexpr std::size_t kMaxBundleNameBytes = 256;

// The id in "sessions/{id}"; nullopt when the name is not of this form.
std::optional<SessionId> ParseSessionName(std::string_view name);
std::string SessionName(const SessionId& id);

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

#endif  // TOME_SERVER_RPC_VALIDATION_H_
