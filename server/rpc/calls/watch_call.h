// One Watch stream.
#ifndef TOME_SERVER_RPC_CALLS_WATCH_CALL_H_
#define TOME_SERVER_RPC_CALLS_WATCH_CALL_H_

#include <memory>
#include <optional>

#include "grpcpp/alarm.h"
#include "server/rpc/calls/stream_call.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

// Sends the latest progress, at most one message in kInterval; what changes in between is not queued but overtaken.
class WatchCall final : public WritingCall<StreamCall<WatchCall, grpc::ServerWriteReactor<grpc::ByteBuffer>>> {
 public:
  static constexpr absl::Duration kInterval = absl::Milliseconds(100);

 private:
  friend StreamCall;

  WatchCall(const CallEnvironment& environment, grpc::CallbackServerContext* context)
      : WritingCall("Watch", environment, context) {}

  void Begin(const grpc::ByteBuffer* request);
  std::optional<grpc::ByteBuffer> NextMessage() override;
  void Release() override;

  absl::Status Subscribe(const grpc::ByteBuffer& bytes);
  void OnProgress(const SessionProgress& progress);
  void OnInterval();
  // Whether nothing follows this progress.
  bool IsLast(const SessionProgress& progress) const;

  std::uint64_t until_ingested_bytes_ = 0;
  Subscription subscription_;

  // Guarded by mutex_.
  std::optional<SessionProgress> latest_;  // not sent yet
  std::unique_ptr<grpc::Alarm> alarm_;     // set while the next message must wait
  absl::Duration next_write_;              // by the clock's Elapsed()
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_CALLS_WATCH_CALL_H_
