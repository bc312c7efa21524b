// SessionService.ExportSession.
#ifndef TOME_SERVER_RPC_EXPORT_CALL_H_
#define TOME_SERVER_RPC_EXPORT_CALL_H_

#include <memory>
#include <mutex>
#include <string>

#include "server/rpc/call.h"
#include "tome/v1/tome.grpc.pb.h"

namespace tome::server {

// Reads the next bytes once the last ones are on their way, so that a slow client holds no more than one piece.
// Lifetime as of AppendCall.
class ExportCall final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                         public std::enable_shared_from_this<ExportCall> {
 public:
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(const CallEnvironment& environment,
                                                           grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer* request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  ExportCall(const CallEnvironment& environment, grpc::CallbackServerContext* context);

  absl::Status Begin(const grpc::ByteBuffer& request);
  void ReadNext();
  void OnPiece(const absl::StatusOr<std::string>& piece);
  void End(const absl::Status& status);

  CallEnvironment environment_;
  std::shared_ptr<ExportCall> self_;  // until OnDone

  std::mutex mutex_;
  // Guarded by mutex_.
  CallTrace trace_;
  std::shared_ptr<SessionExporter> exporter_;
  grpc::ByteBuffer outgoing_;
  bool client_gone_ = false;
  bool finished_ = false;
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_EXPORT_CALL_H_
