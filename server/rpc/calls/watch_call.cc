#include "server/rpc/calls/watch_call.h"

#include <utility>

#include "engine/base/status.h"
#include "server/rpc/wire/conversion.h"
#include "server/rpc/wire/session_name.h"
#include "server/rpc/wire/validation.h"

namespace tome::server {

void WatchCall::Begin(const grpc::ByteBuffer* request) {
  if (const absl::Status status = Subscribe(*request); !status.ok()) return End(status);
  ListenToDrain();
}

absl::Status WatchCall::Subscribe(const grpc::ByteBuffer& bytes) {
  v1::WatchRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(bytes, &request));
  SetSession(request.session());
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
  if (ended()) return;
  if (progress.deleted) return EndLocked(absl::OkStatus());
  latest_ = progress;
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

std::optional<grpc::ByteBuffer> WatchCall::NextMessage() {
  if (!latest_ || ended() || alarm_ != nullptr) return std::nullopt;
  const absl::Duration wait = next_write_ - environment_.clock.Elapsed();
  if (wait > absl::ZeroDuration()) {
    alarm_ = std::make_unique<grpc::Alarm>();
    alarm_->Set(absl::ToChronoTime(absl::Now() + wait), [weak = weak_from_this()](bool /*expired*/) {
      if (const auto self = weak.lock()) self->OnInterval();
    });
    return std::nullopt;
  }
  next_write_ = environment_.clock.Elapsed() + kInterval;
  const SessionProgress progress = *std::exchange(latest_, std::nullopt);
  if (IsLast(progress)) ending_ = absl::OkStatus();
  return SerializeMessage(ToProto(progress));
}

void WatchCall::Release() {
  subscription_.Reset();
  const std::lock_guard lock(mutex_);
  alarm_.reset();
}

}  // namespace tome::server
