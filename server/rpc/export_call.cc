#include "server/rpc/export_call.h"

#include <utility>

#include "engine/base/status.h"
#include "server/rpc/validation.h"

namespace tome::server {

grpc::ServerWriteReactor<grpc::ByteBuffer>* ExportCall::Start(const CallEnvironment& environment,
                                                              grpc::CallbackServerContext* context,
                                                              const grpc::ByteBuffer* request) {
  const std::shared_ptr<ExportCall> call(new ExportCall(environment, context));
  call->self_ = call;
  if (const absl::Status status = call->Begin(*request); !status.ok()) call->End(status);
  return call.get();
}

ExportCall::ExportCall(const CallEnvironment& environment, grpc::CallbackServerContext* context)
    : environment_(environment), trace_("ExportSession", *context, environment) {}

absl::Status ExportCall::Begin(const grpc::ByteBuffer& bytes) {
  v1::ExportSessionRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(bytes, &request));
  trace_.set_session(request.name());
  TOME_RETURN_IF_ERROR(Validate(request));
  TOME_ASSIGN_OR_RETURN(SessionManager* const sessions, environment_.backend.sessions());
  sessions->Export(*ParseSessionName(request.name()), !request.without_snapshot(),
                   [self = shared_from_this()](absl::StatusOr<std::unique_ptr<SessionExporter>> exporter) {
                     if (!exporter.ok()) return self->End(exporter.status());
                     {
                       const std::lock_guard lock(self->mutex_);
                       self->exporter_ = *std::move(exporter);
                     }
                     self->ReadNext();
                   });
  return absl::OkStatus();
}

void ExportCall::ReadNext() {
  std::shared_ptr<SessionExporter> exporter;
  {
    const std::lock_guard lock(mutex_);
    if (!client_gone_) exporter = exporter_;
  }
  if (exporter == nullptr) return End(absl::CancelledError("the client has gone"));
  exporter->Next([self = shared_from_this()](const absl::StatusOr<std::string>& piece) { self->OnPiece(piece); });
}

void ExportCall::OnPiece(const absl::StatusOr<std::string>& piece) {
  if (!piece.ok() || piece->empty()) return End(piece.status());
  v1::ExportSessionResponse response;
  response.set_data(*piece);
  const std::lock_guard lock(mutex_);
  outgoing_ = SerializeMessage(response);
  StartWrite(&outgoing_);
}

void ExportCall::OnWriteDone(bool ok) {
  if (!ok) {
    const std::lock_guard lock(mutex_);
    client_gone_ = true;
  }
  ReadNext();
}

void ExportCall::OnCancel() {
  const std::lock_guard lock(mutex_);
  client_gone_ = true;
}

void ExportCall::End(const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(finished_, true)) return;
  exporter_.reset();
  Finish(trace_.Finished(status));
}

void ExportCall::OnDone() {
  const std::shared_ptr<ExportCall> self = std::move(self_);
  const std::lock_guard lock(mutex_);
  trace_.Done();
}

}  // namespace tome::server
