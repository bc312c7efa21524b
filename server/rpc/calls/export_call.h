// SessionService.ExportSession.
#ifndef TOME_SERVER_RPC_CALLS_EXPORT_CALL_H_
#define TOME_SERVER_RPC_CALLS_EXPORT_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "server/rpc/calls/stream_call.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

// Reads the next piece of the bundle when the last part of the one before is on its way, so that a slow client holds
// little. Sends it in parts that also a bad connection lets through before it is cut. Ends when the server drains: the
// client goes on where it was when the server is back.
class ExportCall final : public WritingCall<StreamCall<ExportCall, grpc::ServerWriteReactor<grpc::ByteBuffer>>> {
 private:
  friend StreamCall;

  ExportCall(const CallEnvironment& environment, grpc::CallbackServerContext* context)
      : WritingCall("ExportSession", environment, context) {}

  void Begin(const grpc::ByteBuffer* request);
  std::optional<grpc::ByteBuffer> NextMessage() override;
  void OnWritten() override { ReadPiece(); }
  void Release() override;

  absl::Status Export(const grpc::ByteBuffer& bytes);
  void OnBegun(absl::StatusOr<std::unique_ptr<SessionExporter>> exporter);
  // Unless it is too early, or too late.
  void ReadPiece();
  void OnPiece(const absl::StatusOr<std::string>& piece);
  // The bundle has come to its end. With mutex_ held.
  absl::Status EndOfBundle() const;

  // Guarded by mutex_.
  std::shared_ptr<SessionExporter> exporter_;
  std::uint64_t to_skip_ = 0;  // bytes that the client has
  std::string piece_;          // of which the bytes from unsent_ on are not sent yet
  std::size_t unsent_ = 0;
  bool reading_ = false;  // the next piece
  bool named_ = false;    // the client knows the bundle's name
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_CALLS_EXPORT_CALL_H_
