#include "server/rpc/append_call.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"
#include "server/rpc/conversion.h"
#include "server/rpc/validation.h"
#include "server/session/errors.h"

namespace tome::server {

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* AppendCall::Start(const CallEnvironment& environment,
                                                                               grpc::CallbackServerContext* context) {
  const std::shared_ptr<AppendCall> call(new AppendCall(environment, context));
  call->self_ = call;
  call->StartRead(&call->incoming_);
  environment.backend.Add(call);
  return call.get();
}

AppendCall::AppendCall(const CallEnvironment& environment, grpc::CallbackServerContext* context)
    : environment_(environment), trace_("Append", *context, environment) {}

void AppendCall::OnReadDone(bool ok) {
  if (!ok) return EndReading(absl::OkStatus());
  {
    const std::lock_guard lock(mutex_);
    if (ending_ || finished_) return;
  }
  const absl::Status status = TakeMessage();
  if (!status.ok()) return EndReading(status);
  writer_->WhenRoom([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->ReadNext();
  });
}

absl::Status AppendCall::TakeMessage() {
  v1::AppendRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(incoming_, &request));
  incoming_.Clear();
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
  {
    const std::lock_guard lock(mutex_);
    trace_.set_session(request.session());
  }
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

void AppendCall::ReadNext() {
  const std::lock_guard lock(mutex_);
  if (!ending_ && !finished_) StartRead(&incoming_);
}

void AppendCall::OnStored(const absl::StatusOr<WriteResult>& result) {
  const std::lock_guard lock(mutex_);
  --writes_to_store_;
  if (result.ok()) {
    latest_.set_durable_offset(result->durable_offset);
    latest_.set_ingested_offset(std::max<std::uint64_t>(latest_.ingested_offset(), result->ingested_offset));
    latest_.set_sealed(result->sealed);
    stored_any_ = reply_waits_ = true;
  } else if (!ending_ || ending_->ok()) {
    ending_ = result.status();
  }
  Advance();
}

void AppendCall::OnProgress(const SessionProgress& progress) {
  if (progress.deleted) {
    return EndReading(MakeError(absl::StatusCode::kCancelled, "the session was deleted",
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

void AppendCall::EndReading(const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  if (!ending_ || (ending_->ok() && !status.ok())) ending_ = status;
  Advance();
}

void AppendCall::Advance() {
  if (finished_ || replying_) return;
  if (!client_gone_ && reply_waits_) {
    reply_waits_ = false;
    replying_ = true;
    outgoing_ = SerializeMessage(latest_);
    StartWrite(&outgoing_);
    return;
  }
  if (!client_gone_ && (!ending_ || writes_to_store_ > 0)) return;
  finished_ = true;
  Finish(trace_.Finished(ending_.value_or(absl::CancelledError("the client is gone"))));
}

void AppendCall::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  replying_ = false;
  client_gone_ = client_gone_ || !ok;
  Advance();
}

void AppendCall::OnCancel() {
  const std::lock_guard lock(mutex_);
  client_gone_ = true;
  Advance();
}

void AppendCall::OnDrain() {
  const std::lock_guard lock(mutex_);
  if (!ending_) ending_ = DrainingError();
  Advance();
}

void AppendCall::OnDone() {
  const std::shared_ptr<AppendCall> self = std::move(self_);
  environment_.backend.Remove(this);
  subscription_.Reset();
  writer_.reset();
  const std::lock_guard lock(mutex_);
  trace_.Done();
}

}  // namespace tome::server
