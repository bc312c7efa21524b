// Following how a session is read.
#ifndef TOME_CLIENT_WATCH_H_
#define TOME_CLIENT_WATCH_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "client/connection.h"

namespace tome::client {

// Takes one report; false ends the watching.
using WatchCallback = std::function<bool(const v1::WatchResponse&)>;

// Calls `on_report` with the progress now and at every change, on the calling thread, until it returns false or the
// server has nothing more to tell (see Watch in the contract): OK then. A lost connection is opened again
// as `policy` says.
absl::Status WatchSession(const Connection& connection, const v1::WatchRequest& request, const WatchCallback& on_report,
                          const RetryPolicy& policy, const CallOptions& options);

// What WaitUntilRead waits for.
struct ReadingGoal {
  std::string session;
  // Bytes of the session, summed over its documents.
  std::uint64_t ingested_bytes = 0;
  // A document that is still open can end in a part that is too short to be read yet: then an idle session is enough.
  bool idle_is_enough = false;
};

// Waits until the goal is reached. `on_report` (may be empty) gets every report. NOT_FOUND when the session is deleted
// meanwhile; INTERNAL with the session's problem when reading failed.
absl::Status WaitUntilRead(const Connection& connection, const ReadingGoal& goal,
                           const std::function<void(const v1::WatchResponse&)>& on_report, const RetryPolicy& policy,
                           const CallOptions& options);

}  // namespace tome::client

#endif  // TOME_CLIENT_WATCH_H_
