// One Append stream.
#ifndef TOME_SERVER_RPC_CALLS_APPEND_CALL_H_
#define TOME_SERVER_RPC_CALLS_APPEND_CALL_H_

#include <memory>
#include <optional>

#include "server/rpc/calls/stream_call.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

// Reads a message when the session's queue has room for one, hands it to the session, and replies with the latest
// offsets: a reply that waits for the stream is brought up to date rather than followed by another.
//
// The stream ends when the client has half-closed it, when a message is refused, or when the server drains; in each
// case after what was taken is stored and acknowledged.
class AppendCall final
    : public ReadingCall<
          WritingCall<StreamCall<AppendCall, grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>>>> {
 private:
  friend StreamCall;

  AppendCall(const CallEnvironment& environment, grpc::CallbackServerContext* context)
      : ReadingCall("Append", environment, context) {}

  void Begin();
  void OnMessage(grpc::ByteBuffer message) override;
  void OnHalfClose() override { End(absl::OkStatus()); }
  std::optional<grpc::ByteBuffer> NextMessage() override;
  bool IsBusy() const override { return !client_gone_ && writes_to_store_ > 0; }
  void Release() override;

  // On the read path, which runs one at a time.
  absl::Status TakeMessage(const grpc::ByteBuffer& message);
  absl::Status Open(const v1::AppendRequest& request);

  void OnStored(const absl::StatusOr<WriteResult>& result);
  void OnProgress(const SessionProgress& progress);

  // On the read path.
  v1::AppendRequest first_;  // without data
  std::unique_ptr<DocumentWriter> writer_;
  Subscription subscription_;

  // Guarded by mutex_.
  v1::AppendResponse latest_;
  int writes_to_store_ = 0;   // given to the writer, not yet stored
  bool stored_any_ = false;   // latest_ has a durable offset
  bool reply_waits_ = false;  // latest_ has news
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_CALLS_APPEND_CALL_H_
