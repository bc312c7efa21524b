#include "server/rpc/watch_call.h"

#include <utility>

#include "engine/base/status.h"
#include "server/rpc/conversion.h"
#include "server/rpc/validation.h"

namespace tome::server {

grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchCall::Start(const CallEnvironment& environment,
                                                             grpc::CallbackServerContext* context,
                                                             const grpc::ByteBuffer* request) {
  const std::shared_ptr<WatchCall> call(new WatchCall(environment, context));
  call->self_ = call;
  const absl::Status status = call->Subscribe(*request);
  if (status.ok()) {
    environment.backend.Add(call);
  } else {
    const std::lock_guard lock(call->mutex_);
    call->ending_ = status;
    call->Advance();
  }
  return call.get();
}

WatchCall::WatchCall(const CallEnvironment& environment, grpc::CallbackServerContext* context)
    : environment_(environment), trace_("Watch", *context, environment) {}

absl::Status WatchCall::Subscribe(const grpc::ByteBuffer& bytes) {
  v1::WatchRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(bytes, &request));
  trace_.set_session(request.session());
  TOME_RETURN_IF_ERROR(Validate(request));
  until_ingested_bytes_ = request.until_ingested_bytes();
  TOME_ASSIGN_OR_RETURN(SessionManager* const sessions, environment_.backend.sessions());
  TOME_ASSIGN_OR_RETURN(subscription_, sessions->Subscribe(*ParseSessionName(request.session()),
                                                           [weak = weak_from_this()](const SessionProgress& progress) {
                                                             if (const auto self = weak.lock()) {
                                                               self->OnProgress(progress);
                                                             }
                                                           }));
  return absl::OkStatus();
}

void WatchCall::OnProgress(const SessionProgress& progress) {
  const std::lock_guard lock(mutex_);
  if (ending_) return;
  if (progress.deleted) {
    ending_ = absl::OkStatus();
  } else {
    latest_ = progress;
  }
  Advance();
}

void WatchCall::OnInterval() {
  const std::lock_guard lock(mutex_);
  alarm_.reset();
  Advance();
}

bool WatchCall::IsLast(const SessionProgress& progress) const {
  return progress.complete || progress.phase == SessionPhase::kFailed ||
         (until_ingested_bytes_ != 0 && progress.ingested_bytes >= until_ingested_bytes_);
}

void WatchCall::Advance() {
  if (finished_ || writing_) return;
  if (ending_ || client_gone_) {
    finished_ = true;
    Finish(trace_.Finished(ending_.value_or(absl::CancelledError("the client is gone"))));
    return;
  }
  if (!latest_ || alarm_ != nullptr) return;
  const absl::Duration wait = next_write_ - environment_.clock.Elapsed();
  if (wait > absl::ZeroDuration()) {
    alarm_ = std::make_unique<grpc::Alarm>();
    alarm_->Set(absl::ToChronoTime(absl::Now() + wait), [weak = weak_from_this()](bool /*expired*/) {
      if (const auto self = weak.lock()) self->OnInterval();
    });
    return;
  }
  next_write_ = environment_.clock.Elapsed() + kInterval;
  outgoing_ = SerializeMessage(ToProto(*latest_));
  if (IsLast(*latest_)) ending_ = absl::OkStatus();
  latest_.reset();
  writing_ = true;
  StartWrite(&outgoing_);
}

void WatchCall::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  client_gone_ = client_gone_ || !ok;
  Advance();
}

void WatchCall::OnCancel() {
  const std::lock_guard lock(mutex_);
  client_gone_ = true;
  Advance();
}

void WatchCall::OnDrain() {
  const std::lock_guard lock(mutex_);
  if (!ending_) ending_ = DrainingError();
  Advance();
}

void WatchCall::OnDone() {
  const std::shared_ptr<WatchCall> self = std::move(self_);
  environment_.backend.Remove(this);
  subscription_.Reset();
  const std::lock_guard lock(mutex_);
  alarm_.reset();
  trace_.Done();
}

}  // namespace tome::server
