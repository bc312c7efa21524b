// One Search call.
#ifndef TOME_SERVER_RPC_CALLS_SEARCH_CALL_H_
#define TOME_SERVER_RPC_CALLS_SEARCH_CALL_H_

#include "server/rpc/calls/stream_call.h"

namespace tome::server {

// Hands a search to the session layer and replies with its page. A drain of the server lets it come to its end.
class SearchCall final : public QuestionCall<StreamCall<SearchCall, grpc::ServerUnaryReactor>> {
 private:
  friend StreamCall;

  SearchCall(const CallEnvironment& environment, grpc::CallbackServerContext* context)
      : QuestionCall("Search", environment, context) {}

  void Begin(const grpc::ByteBuffer* request, grpc::ByteBuffer* response);
  absl::Status Search(const grpc::ByteBuffer& bytes);
  void Reply(const absl::StatusOr<SearchPage>& page);

  grpc::ByteBuffer* response_ = nullptr;
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_CALLS_SEARCH_CALL_H_
