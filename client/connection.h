// A channel to one server, and how each call on it is set up, cancelled and repeated.
#ifndef TOME_CLIENT_CONNECTION_H_
#define TOME_CLIENT_CONNECTION_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cancellation.h"
#include "client/errors.h"
#include "client/retry.h"
#include "grpcpp/grpcpp.h"
#include "tome/v1/tome.grpc.pb.h"

namespace tome::client {

struct TlsOptions {
  // PEM texts. No root certificates: those of the system. The other two are given together or not at all.
  std::string root_certificates;
  std::string client_certificate;
  std::string client_key;
};

struct ConnectOptions {
  // "host:port", or any target that gRPC understands.
  std::string address = "127.0.0.1:7440";
  // None: plain text.
  std::optional<TlsOptions> tls;
  // Of each call that answers with one message. Streams have none of their own.
  std::chrono::milliseconds unary_deadline{30'000};
  // For calls that can be repeated without harm.
  RetryPolicy retry;
  // How to wait before a retry.
  Sleeper sleeper = RealSleeper();
  // Of the jitter.
  std::uint64_t seed = std::random_device()();
};

// Of one call.
struct CallOptions {
  // Ends the call with CANCELLED. May be null; outlives the call.
  Cancellation* cancellation = nullptr;
  // The whole call, retries included, ends with DEADLINE_EXCEEDED by then.
  std::optional<std::chrono::system_clock::time_point> deadline;
  // Told before each wait for a retry. On a thread of the call.
  std::function<void(const RetryNotice&)> on_retry;
};

// Immutable once opened; thread-safe.
struct Connection {
  ConnectOptions options;
  std::unique_ptr<v1::SessionService::Stub> sessions;
  std::unique_ptr<v1::ModelService::Stub> models;

  // Makes the channel without connecting yet: a wrong address is told by the first call. INVALID_ARGUMENT for an empty
  // address or half a client certificate.
  static absl::StatusOr<std::unique_ptr<const Connection>> Open(ConnectOptions options);
};

// A gRPC context that follows CallOptions while it lives. `limit`: an extra deadline from now on.
class CallContext {
 public:
  explicit CallContext(const CallOptions& options, std::optional<std::chrono::milliseconds> limit = std::nullopt);
  grpc::ClientContext* get() { return &context_; }
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  Cancellation::Registration registration_;
};

// CANCELLED when the caller cancelled, else `status` in this library's form.
absl::Status CallStatus(const grpc::Status& status, const CallOptions& options);

// Tells the caller of `error` and waits before another attempt. Not OK when no other attempt is due: `error` itself
// when the backoff or the deadline gives up, CANCELLED when the caller cancelled.
absl::Status WaitBeforeRetry(const Connection& connection, const CallOptions& options, Backoff& backoff,
                             const absl::Status& error);

// Calls `attempt` until it succeeds, fails for good, or the connection's policy gives up.
absl::Status RunWithRetries(const Connection& connection, const CallOptions& options,
                            const std::function<absl::Status()>& attempt);

// A call of one request and one response, repeated after transient errors. `limit`: of each attempt.
template <typename Response, typename Stub, typename Request>
absl::StatusOr<Response> CallWithin(std::optional<std::chrono::milliseconds> limit, const Connection& connection,
                                    const CallOptions& options, Stub& stub,
                                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                    const Request& request) {
  Response response;
  const absl::Status status = RunWithRetries(connection, options, [&] {
    CallContext context(options, limit);
    return CallStatus((stub.*method)(context.get(), request, &response), options);
  });
  if (!status.ok()) return status;
  return response;
}

// The same within the connection's deadline for such calls.
template <typename Response, typename Stub, typename Request>
absl::StatusOr<Response> CallUnary(const Connection& connection, const CallOptions& options, Stub& stub,
                                   grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                   const Request& request) {
  return CallWithin<Response>(connection.options.unary_deadline, connection, options, stub, method, request);
}

}  // namespace tome::client

#endif  // TOME_CLIENT_CONNECTION_H_
