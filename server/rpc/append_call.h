// One Append stream.
#ifndef TOME_SERVER_RPC_APPEND_CALL_H_
#define TOME_SERVER_RPC_APPEND_CALL_H_

#include <memory>
#include <mutex>
#include <optional>

#include "grpcpp/support/server_callback.h"
#include "server/rpc/backend.h"
#include "server/rpc/call.h"
#include "server/session/session_manager.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

// Reads a message when the session's queue has room for one, hands it to the session, and replies with the latest
// offsets: a reply that waits for the stream is brought up to date rather than followed by another.
//
// The stream ends when the client has half-closed it, when a message is refused, or when the server drains; in each
// case after what was taken is stored and acknowledged. gRPC keeps the object alive until OnDone, callbacks of the
// session layer for as long as they need; nothing is asked of gRPC once the call is finished.
class AppendCall final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                         public DrainListener,
                         public std::enable_shared_from_this<AppendCall> {
 public:
  static grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Start(const CallEnvironment& environment,
                                                                            grpc::CallbackServerContext* context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void OnDrain() override;

 private:
  AppendCall(const CallEnvironment& environment, grpc::CallbackServerContext* context);

  // On the read path, which runs one at a time.
  absl::Status TakeMessage();
  absl::Status Open(const v1::AppendRequest& request);

  void ReadNext();
  void OnStored(const absl::StatusOr<WriteResult>& result);
  void OnProgress(const SessionProgress& progress);
  // No message is read any more; the stream ends with `status` once all that was taken is stored.
  void EndReading(const absl::Status& status);
  // Starts the next write or the end, if it is time. Needs mutex_.
  void Advance();

  CallEnvironment environment_;
  std::shared_ptr<AppendCall> self_;  // until OnDone

  // On the read path.
  grpc::ByteBuffer incoming_;
  v1::AppendRequest first_;  // without data
  std::unique_ptr<DocumentWriter> writer_;
  Subscription subscription_;

  std::mutex mutex_;
  // Guarded by mutex_.
  CallTrace trace_;
  v1::AppendResponse latest_;
  grpc::ByteBuffer outgoing_;
  int writes_to_store_ = 0;             // given to the writer, not yet stored
  bool stored_any_ = false;             // latest_ has a durable offset
  bool reply_waits_ = false;            // latest_ has news
  bool replying_ = false;               // a StartWrite is under way
  bool client_gone_ = false;            // cancelled, or a write failed
  std::optional<absl::Status> ending_;  // no message is read any more
  bool finished_ = false;
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_APPEND_CALL_H_
