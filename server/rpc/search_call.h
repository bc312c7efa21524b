// One Search call.
#ifndef TOME_SERVER_RPC_SEARCH_CALL_H_
#define TOME_SERVER_RPC_SEARCH_CALL_H_

#include <memory>
#include <mutex>

#include "grpcpp/support/server_callback.h"
#include "server/rpc/call.h"
#include "server/session/session_manager.h"

namespace tome::server {

// Hands a search to the session layer and replies with its page. When the client cancels or its deadline passes, the
// search is cancelled, and the call ends once the session layer has let go of it. Owns itself until OnDone.
class SearchCall final : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<SearchCall> {
 public:
  static grpc::ServerUnaryReactor* Start(const CallEnvironment& environment, grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request, grpc::ByteBuffer* response);

  // Of gRPC.
  void OnCancel() override;
  void OnDone() override;

 private:
  SearchCall(const CallEnvironment& environment, grpc::CallbackServerContext* context, grpc::ByteBuffer* response);

  absl::Status Search(const grpc::ByteBuffer& bytes);
  void Reply(const absl::StatusOr<SearchPage>& page);
  // Cancels the search, if it has been started and the client is gone. Without mutex_.
  void CancelSearch();

  CallEnvironment environment_;
  grpc::ByteBuffer* response_;
  std::shared_ptr<SearchCall> self_;  // until OnDone

  std::mutex mutex_;
  // Guarded by mutex_.
  CallTrace trace_;
  std::shared_ptr<Question> search_;
  bool client_gone_ = false;
  bool finished_ = false;
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_SEARCH_CALL_H_
