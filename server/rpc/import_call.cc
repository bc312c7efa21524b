#include "server/rpc/import_call.h"

#include <utility>

#include "engine/base/status.h"
#include "server/rpc/conversion.h"
#include "server/rpc/validation.h"

namespace tome::server {

grpc::ServerReadReactor<grpc::ByteBuffer>* ImportCall::Start(const CallEnvironment& environment,
                                                             grpc::CallbackServerContext* context,
                                                             grpc::ByteBuffer* response) {
  const std::shared_ptr<ImportCall> call(new ImportCall(environment, context, response));
  call->self_ = call;
  call->ReadNext();
  return call.get();
}

ImportCall::ImportCall(const CallEnvironment& environment, grpc::CallbackServerContext* context,
                       grpc::ByteBuffer* response)
    : environment_(environment), response_(response), trace_("ImportSession", *context, environment) {}

void ImportCall::ReadNext() {
  const std::lock_guard lock(mutex_);
  if (!finished_) StartRead(&incoming_);
}

void ImportCall::OnReadDone(bool ok) {
  if (!ok) return Complete();
  if (const absl::Status status = TakeMessage(); !status.ok()) End(status);
}

absl::Status ImportCall::TakeMessage() {
  v1::ImportSessionRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(incoming_, &request));
  TOME_RETURN_IF_ERROR(Validate(request, /*first=*/importer_ == nullptr));
  if (importer_ == nullptr) {
    TOME_ASSIGN_OR_RETURN(SessionManager* const sessions, environment_.backend.sessions());
    TOME_ASSIGN_OR_RETURN(importer_, sessions->Import(request.session_id()));
  }
  importer_->Take(std::move(*request.mutable_data()), [self = shared_from_this()](const absl::Status& status) {
    if (!status.ok()) return self->End(status);
    self->ReadNext();
  });
  return absl::OkStatus();
}

void ImportCall::Complete() {
  {
    const std::lock_guard lock(mutex_);
    if (finished_) return;
  }
  if (client_gone()) return End(absl::CancelledError("the client has gone"));
  if (importer_ == nullptr) return End(InvalidArgument("expected an archive, found nothing"));
  importer_->Finish([self = shared_from_this()](const absl::StatusOr<SessionInfo>& info) {
    if (info.ok()) *self->response_ = SerializeMessage(ToProto(*info));
    self->End(info.status());
  });
}

bool ImportCall::client_gone() {
  const std::lock_guard lock(mutex_);
  return client_gone_;
}

void ImportCall::OnCancel() {
  const std::lock_guard lock(mutex_);
  client_gone_ = true;
}

void ImportCall::End(const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(finished_, true)) return;
  Finish(trace_.Finished(status));
}

void ImportCall::OnDone() {
  const std::shared_ptr<ImportCall> self = std::move(self_);
  importer_.reset();
  const std::lock_guard lock(mutex_);
  trace_.Done();
}

}  // namespace tome::server
