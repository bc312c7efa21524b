// What stands behind the services: nothing while the server starts, then the sessions; and the streams that must end
// when it drains.
#ifndef TOME_SERVER_RPC_CALLS_BACKEND_H_
#define TOME_SERVER_RPC_CALLS_BACKEND_H_

#include <map>
#include <memory>
#include <mutex>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/session/session_manager.h"

namespace tome::server {

// A stream that would go on for as long as its client likes.
class DrainListener {
 public:
  virtual ~DrainListener() = default;
  // The server drains: end soon with DrainingError(). Called at most once, on any thread.
  virtual void OnDrain() = 0;
};

absl::Status StartingError();  // UNAVAILABLE, reason STARTING, with a retry delay
absl::Status DrainingError();  // UNAVAILABLE, reason DRAINING, with a retry delay

// Thread-safe.
class Backend {
 public:
  // From now on calls are served. `sessions` outlives all calls.
  void Open(SessionManager* sessions);

  // StartingError() before Open.
  absl::StatusOr<SessionManager*> sessions() const;

  // Tells all listeners, and those that are added later.
  void Drain();

  void Add(const std::shared_ptr<DrainListener>& listener);
  void Remove(const DrainListener* listener);

 private:
  mutable std::mutex mutex_;
  SessionManager* sessions_ = nullptr;                                      // guarded by mutex_
  bool draining_ = false;                                                   // guarded by mutex_
  std::map<const DrainListener*, std::weak_ptr<DrainListener>> listeners_;  // guarded by mutex_
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_CALLS_BACKEND_H_
