// Between the messages of the wire and the types of the session layer, but for questions (question_conversion.h).
// Requests are validated before. Thread-safe.
#ifndef TOME_SERVER_RPC_WIRE_CONVERSION_H_
#define TOME_SERVER_RPC_WIRE_CONVERSION_H_

#include <cstddef>
#include <string>

#include "absl/time/time.h"
#include "engine/engine.h"
#include "server/base/types.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

CreateRequest FromProto(const v1::CreateSessionRequest& request);
AskedMemory FromProto(const v1::MemoryOptions& options);
UpdateRequest FromProto(const v1::UpdateSessionRequest& request);
ForkRequest FromProto(const v1::ForkSessionRequest& request);
WriteRequest FromProto(v1::AppendRequest&& request);  // takes `data` over
Utf8Policy FromProto(v1::InvalidUtf8Policy policy);

v1::Snapshot ToProto(const SnapshotInfo& info);
v1::Session ToProto(const SessionInfo& info);
v1::WatchResponse ToProto(const SessionProgress& progress);
v1::MemoryOptions ToProto(const MemoryOptions& options);

// What the server computes with. `server_version`: "0.1.0 (a1b2c3d)".
v1::Model ToProto(const ModelInfo& info, const ModelProfile& profile, const MemoryOptions& default_options,
                  const std::string& server_version);

// What a session with `options` costs, and how many of them, of `session_bytes` each, have room in
// `max_resident_bytes`.
v1::SessionCost ToProto(const SessionCost& cost, const MemoryOptions& options, std::size_t session_bytes,
                        std::size_t max_resident_bytes);

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_WIRE_CONVERSION_H_
