#include "server/rpc/calls/append_call.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/rpc/wire/conversion.h"
#include "server/rpc/wire/session_name.h"
#include "server/rpc/wire/validation.h"

namespace tome::server {

void AppendCall::Begin() {
  ReadNext();
  ListenToDrain();
}

void AppendCall::OnMessage(grpc::ByteBuffer message) {
  const absl::Status status = TakeMessage(message);
  if (!status.ok()) return End(status);
  writer_->WhenRoom([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->ReadNext();
  });
}

absl::Status AppendCall::TakeMessage(const grpc::ByteBuffer& message) {
  v1::AppendRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(message, &request));
  if (writer_ == nullptr) {
    TOME_RETURN_IF_ERROR(Open(request));
  } else {
    TOME_RETURN_IF_ERROR(ValidateNext(request, first_));
  }
  {
    const std::lock_guard lock(mutex_);
    ++writes_to_store_;
  }
  writer_->Write(FromProto(std::move(request)),
                 [self = shared_from_this()](const absl::StatusOr<WriteResult>& result) { self->OnStored(result); });
  return absl::OkStatus();
}

absl::Status AppendCall::Open(const v1::AppendRequest& request) {
  SetSession(request.session());
  TOME_RETURN_IF_ERROR(ValidateFirst(request));
  first_.set_session(request.session());
  first_.set_document(request.document());
  first_.set_invalid_utf8(request.invalid_utf8());
  const SessionId id = *ParseSessionName(request.session());
  TOME_ASSIGN_OR_RETURN(SessionManager* const sessions, environment_.backend.sessions());
  TOME_ASSIGN_OR_RETURN(writer_, sessions->OpenDocument(id, request.document(), FromProto(request.invalid_utf8())));
  TOME_ASSIGN_OR_RETURN(subscription_,
                        sessions->Subscribe(id, [weak = weak_from_this()](const SessionProgress& progress) {
                          if (const auto self = weak.lock()) self->OnProgress(progress);
                        }));
  return absl::OkStatus();
}

void AppendCall::OnStored(const absl::StatusOr<WriteResult>& result) {
  const std::lock_guard lock(mutex_);
  --writes_to_store_;
  if (!result.ok()) return EndLocked(result.status());
  latest_.set_durable_offset(result->durable_offset);
  latest_.set_ingested_offset(std::max<std::uint64_t>(latest_.ingested_offset(), result->ingested_offset));
  latest_.set_sealed(result->sealed);
  stored_any_ = reply_waits_ = true;
  Advance();
}

void AppendCall::OnProgress(const SessionProgress& progress) {
  if (progress.deleted) {
    return End(MakeError(absl::StatusCode::kCancelled, "the session was deleted",
                         {.reason = "SESSION_DELETED", .metadata = {{"session", first_.session()}}}));
  }
  const std::lock_guard lock(mutex_);
  const DocumentInfo& document = progress.last_document;
  if (!stored_any_ || document.name != first_.document()) return;
  if (document.ingested_bytes <= latest_.ingested_offset()) return;
  latest_.set_ingested_offset(document.ingested_bytes);
  reply_waits_ = true;
  Advance();
}

std::optional<grpc::ByteBuffer> AppendCall::NextMessage() {
  if (!std::exchange(reply_waits_, false)) return std::nullopt;
  return SerializeMessage(latest_);
}

void AppendCall::Release() {
  subscription_.Reset();
  writer_.reset();
}

}  // namespace tome::server
