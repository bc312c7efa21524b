#include "server/rpc/calls/import_call.h"

#include <utility>

#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/rpc/wire/conversion.h"
#include "server/rpc/wire/validation.h"

namespace tome::server {

void ImportCall::Begin(grpc::ByteBuffer* response) {
  response_ = response;
  ReadNext();
  ListenToDrain();
}

void ImportCall::OnMessage(grpc::ByteBuffer message) {
  if (const absl::Status status = TakeMessage(message); !status.ok()) End(status);
}

absl::Status ImportCall::TakeMessage(const grpc::ByteBuffer& message) {
  v1::ImportSessionRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(message, &request));
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

void ImportCall::OnHalfClose() {
  if (importer_ == nullptr) {
    return End(MakeError(absl::StatusCode::kInvalidArgument,
                         "expected a bundle that tome export wrote, found an empty file",
                         {.reason = "ARCHIVE_CONTENT"}));
  }
  {
    const std::lock_guard lock(mutex_);
    if (ended()) return;
    finishing_ = true;
  }
  importer_->Finish([self = shared_from_this()](const absl::StatusOr<SessionInfo>& info) { self->OnFinished(info); });
}

void ImportCall::OnFinished(const absl::StatusOr<SessionInfo>& info) {
  const std::lock_guard lock(mutex_);
  finishing_ = false;
  if (info.ok()) *response_ = SerializeMessage(ToProto(*info));
  EndLocked(info.status());
}

}  // namespace tome::server
