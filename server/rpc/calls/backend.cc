#include "server/rpc/calls/backend.h"

#include <utility>

#include "server/base/errors.h"

namespace tome::server {

absl::Status StartingError() {
  return MakeError(absl::StatusCode::kUnavailable, "the server is starting",
                   {.reason = "STARTING", .retry_delay = absl::Seconds(1)});
}

absl::Status DrainingError() {
  return MakeError(absl::StatusCode::kUnavailable, "the server is shutting down",
                   {.reason = "DRAINING", .retry_delay = absl::Seconds(1)});
}

void Backend::Open(SessionManager* sessions) {
  const std::lock_guard lock(mutex_);
  sessions_ = sessions;
}

absl::StatusOr<SessionManager*> Backend::sessions() const {
  const std::lock_guard lock(mutex_);
  if (sessions_ == nullptr) return StartingError();
  return sessions_;
}

void Backend::Drain() {
  std::map<const DrainListener*, std::weak_ptr<DrainListener>> listeners;
  {
    const std::lock_guard lock(mutex_);
    draining_ = true;
    listeners = std::exchange(listeners_, {});
  }
  for (const auto& [key, weak] : listeners) {
    if (const auto listener = weak.lock()) listener->OnDrain();
  }
}

void Backend::Add(const std::shared_ptr<DrainListener>& listener) {
  {
    const std::lock_guard lock(mutex_);
    if (!draining_) {
      listeners_.emplace(listener.get(), listener);
      return;
    }
  }
  listener->OnDrain();
}

void Backend::Remove(const DrainListener* listener) {
  const std::lock_guard lock(mutex_);
  listeners_.erase(listener);
}

}  // namespace tome::server
