// One Watch stream.
#ifndef TOME_SERVER_RPC_WATCH_CALL_H_
#define TOME_SERVER_RPC_WATCH_CALL_H_

#include <memory>
#include <mutex>
#include <optional>

#include "grpcpp/alarm.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/backend.h"
#include "server/rpc/call.h"
#include "server/session/session_manager.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

// Sends the latest progress, at most one message in kInterval; what changes in between is not queued but overtaken.
// Lifetime as of AppendCall.
class WatchCall final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                        public DrainListener,
                        public std::enable_shared_from_this<WatchCall> {
 public:
  static constexpr absl::Duration kInterval = absl::Milliseconds(100);

  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(const CallEnvironment& environment,
                                                           grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer* request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void OnDrain() override;

 private:
  WatchCall(const CallEnvironment& environment, grpc::CallbackServerContext* context);

  absl::Status Subscribe(const grpc::ByteBuffer& request);
  void OnProgress(const SessionProgress& progress);
  void OnInterval();
  // Whether nothing is to be told after this progress.
  bool IsLast(const SessionProgress& progress) const;
  // Starts the next write, the wait for it, or the end. Needs mutex_.
  void Advance();

  CallEnvironment environment_;
  std::shared_ptr<WatchCall> self_;  // until OnDone
  std::uint64_t until_ingested_bytes_ = 0;
  Subscription subscription_;

  std::mutex mutex_;
  // Guarded by mutex_.
  CallTrace trace_;
  std::optional<SessionProgress> latest_;  // not sent yet
  grpc::ByteBuffer outgoing_;
  std::unique_ptr<grpc::Alarm> alarm_;  // set while the next message must wait
  absl::Duration next_write_;           // by the clock's Elapsed()
  bool writing_ = false;
  bool client_gone_ = false;
  std::optional<absl::Status> ending_;
  bool finished_ = false;
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_WATCH_CALL_H_
