// What the RPC layer reports of each call. A leaf, as observer.h.
#ifndef TOME_SERVER_TELEMETRY_CALL_OBSERVER_H_
#define TOME_SERVER_TELEMETRY_CALL_OBSERVER_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace tome::server {

// One call, from its arrival to its end.
struct CallRecord {
  std::string_view method;  // "CreateSession"; static
  std::string session;      // "sessions/{id}" as the client wrote it; empty where the method has none
  std::string peer;         // "ipv4:127.0.0.1:54321"
  absl::Duration duration;
  absl::StatusCode code = absl::StatusCode::kOk;  // what was sent, or kCancelled when the client was gone before
  std::string message;                            // of an error
};

// Thread-safe; must not block.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  virtual void OnCallFinished(const CallRecord& /*record*/) {}
};

}  // namespace tome::server

#endif  // TOME_SERVER_TELEMETRY_CALL_OBSERVER_H_
