// Between the messages of the wire and the types of the session layer. Requests are validated before. Thread-safe.
#ifndef TOME_SERVER_RPC_CONVERSION_H_
#define TOME_SERVER_RPC_CONVERSION_H_

#include <string>

#include "engine/engine.h"
#include "server/session/types.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

CreateRequest FromProto(const v1::CreateSessionRequest& request);
UpdateRequest FromProto(const v1::UpdateSessionRequest& request);
QuestionRequest FromProto(const v1::AskRequest& request);
SearchRequest FromProto(const v1::SearchRequest& request);
WriteRequest FromProto(v1::AppendRequest&& request);  // takes `data` over
Utf8Policy FromProto(v1::InvalidUtf8Policy policy);

v1::Session ToProto(const SessionInfo& info);
v1::WatchResponse ToProto(const SessionProgress& progress);
v1::AskProgress ToProto(const QuestionProgress& progress);
v1::AskResult ToProto(const QuestionResult& result);
v1::SearchResponse ToProto(const SearchPage& page);
v1::MemoryOptions ToProto(const MemoryOptions& options);

// Adds a delta to one that was not sent yet.
void MergeDelta(const AnswerDelta& delta, const Tokenizer& tokenizer, v1::AskDelta* into);

// What the server computes with. `server_version`: "0.1.0 (a1b2c3d)".
v1::Model ToProto(const ModelInfo& info, const ModelProfile& profile, const MemoryOptions& default_options,
                  const std::string& server_version);

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_CONVERSION_H_
