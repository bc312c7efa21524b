// SessionService.ImportSession.
#ifndef TOME_SERVER_RPC_IMPORT_CALL_H_
#define TOME_SERVER_RPC_IMPORT_CALL_H_

#include <memory>
#include <mutex>
#include <string>

#include "server/rpc/call.h"
#include "tome/v1/tome.grpc.pb.h"

namespace tome::server {

// Takes the next message once the one before is on the disk. A stream that is cut off leaves nothing. Lifetime as of
// AppendCall.
class ImportCall final : public grpc::ServerReadReactor<grpc::ByteBuffer>,
                         public std::enable_shared_from_this<ImportCall> {
 public:
  static grpc::ServerReadReactor<grpc::ByteBuffer>* Start(const CallEnvironment& environment,
                                                          grpc::CallbackServerContext* context,
                                                          grpc::ByteBuffer* response);

  void OnReadDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  ImportCall(const CallEnvironment& environment, grpc::CallbackServerContext* context, grpc::ByteBuffer* response);

  bool client_gone();
  absl::Status TakeMessage();
  void ReadNext();
  void Complete();
  void End(const absl::Status& status);

  CallEnvironment environment_;
  std::shared_ptr<ImportCall> self_;  // until OnDone
  grpc::ByteBuffer* const response_;
  grpc::ByteBuffer incoming_;                  // on the read path
  std::unique_ptr<SessionImporter> importer_;  // on the read path, which runs one at a time

  std::mutex mutex_;
  // Guarded by mutex_.
  CallTrace trace_;
  bool client_gone_ = false;
  bool finished_ = false;
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_IMPORT_CALL_H_
