// What all calls have in common: messages, the record of the call, and the unary call itself.
//
// Messages arrive as bytes and are parsed here, not by gRPC: it answers a message that cannot be parsed with
// UNIMPLEMENTED, and ends a stream as if the client had half-closed it.
#ifndef TOME_SERVER_RPC_CALLS_CALL_H_
#define TOME_SERVER_RPC_CALLS_CALL_H_

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/calls/backend.h"
#include "server/rpc/wire/status.h"
#include "server/rpc/wire/validation.h"
#include "server/scheduling/clock.h"
#include "server/telemetry/call_observer.h"

namespace tome::server {

// INVALID_ARGUMENT with reason MALFORMED_MESSAGE when the bytes are not such a message, or one of its strings is not
// UTF-8.
absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);
grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message);

// What calls work with. All of it outlives them.
struct CallEnvironment {
  Backend& backend;
  CallObserver& observer;
  const Clock& clock;
};

// Follows one call for its record. Not thread-safe.
class CallTrace {
 public:
  // `method` is static.
  CallTrace(std::string_view method, const grpc::CallbackServerContext& context, const CallEnvironment& environment);

  void set_session(std::string session) { record_.session = std::move(session); }
  // The status that the call ends with; turns it into what is sent.
  grpc::Status Finished(const absl::Status& status);
  // The call has ended: tells the observer.
  void Done();

 private:
  const grpc::CallbackServerContext& context_;
  CallObserver& observer_;
  const Clock& clock_;
  absl::Duration start_;
  CallRecord record_;
};

// A unary call; deletes itself when it has ended.
template <typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(CallTrace trace, grpc::ByteBuffer* response) : trace_(std::move(trace)), response_(response) {}

  void set_session(std::string session) { trace_.set_session(std::move(session)); }

  // Ends the call. Exactly once, on any thread.
  void Reply(const absl::StatusOr<Response>& response) {
    if (response.ok()) *response_ = SerializeMessage(*response);
    Finish(trace_.Finished(response.status()));
  }

  void OnDone() override {
    trace_.Done();
    delete this;
  }

 private:
  CallTrace trace_;
  grpc::ByteBuffer* response_;
};

template <typename Response>
using ReplyFunction = std::function<void(absl::StatusOr<Response>)>;

// The session that a request is about, for the record.
template <typename Request>
std::string SessionOf(const Request& request) {
  if constexpr (requires { request.name(); }) return request.name();
  if constexpr (requires { request.session().name(); }) return request.session().name();
  return "";
}

// Parses and validates a request and, if all is well, gives it to `handle`, which calls its reply function exactly
// once, now or later.
template <typename Request, typename Response, typename Handler>
grpc::ServerUnaryReactor* RunUnary(std::string_view method, const CallEnvironment& environment,
                                   grpc::CallbackServerContext* context, const grpc::ByteBuffer* request_bytes,
                                   grpc::ByteBuffer* response, Handler&& handle) {
  auto* call = new UnaryCall<Response>(CallTrace(method, *context, environment), response);
  Request request;
  absl::Status status = ParseMessage(*request_bytes, &request);
  if (status.ok()) {
    call->set_session(SessionOf(request));
    status = Validate(request);
  }
  if (!status.ok()) {
    call->Reply(status);
    return call;
  }
  const absl::StatusOr<SessionManager*> sessions = environment.backend.sessions();
  if (!sessions.ok()) {
    call->Reply(sessions.status());
    return call;
  }
  handle(**sessions, request, [call](absl::StatusOr<Response> reply) { call->Reply(reply); });
  return call;
}

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_CALLS_CALL_H_
