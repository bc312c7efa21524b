// SessionService.ImportSession.
#ifndef TOME_SERVER_RPC_CALLS_IMPORT_CALL_H_
#define TOME_SERVER_RPC_CALLS_IMPORT_CALL_H_

#include <memory>

#include "server/rpc/calls/stream_call.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

// Takes the next message once the one before is on the disk. A stream that is cut off leaves nothing, and so does one
// that is not at its end when the server drains.
class ImportCall final : public ReadingCall<StreamCall<ImportCall, grpc::ServerReadReactor<grpc::ByteBuffer>>> {
 private:
  friend StreamCall;

  ImportCall(const CallEnvironment& environment, grpc::CallbackServerContext* context)
      : ReadingCall("ImportSession", environment, context) {}

  void Begin(grpc::ByteBuffer* response);
  void OnMessage(grpc::ByteBuffer message) override;
  void OnHalfClose() override;
  bool IsBusy() const override { return finishing_; }
  bool EndsOnDrain() const override { return !finishing_; }
  void Release() override { importer_.reset(); }

  absl::Status TakeMessage(const grpc::ByteBuffer& message);
  void OnFinished(const absl::StatusOr<SessionInfo>& info);

  grpc::ByteBuffer* response_ = nullptr;
  std::unique_ptr<SessionImporter> importer_;  // on the read path, which runs one at a time
  bool finishing_ = false;  // guarded by mutex_: all was taken, and the session will be there in a moment
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_CALLS_IMPORT_CALL_H_
