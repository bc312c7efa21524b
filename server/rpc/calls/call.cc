#include "server/rpc/calls/call.h"

#include <chrono>

#include "engine/base/status.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "server/base/errors.h"

namespace tome::server {
namespace {

bool DeadlineHasPassed(const grpc::CallbackServerContext& context) {
  // The deadline reached the server as a time span, so the client's comes first by as long as that took.
  return context.deadline() <= std::chrono::system_clock::now() + std::chrono::milliseconds(100);
}

}  // namespace

absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  grpc::ByteBuffer copy(bytes);  // shares the slices
  const grpc::Status status =
      grpc::GenericDeserialize<grpc::ProtoBufferReader, google::protobuf::Message>(&copy, message);
  if (status.ok()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument,
                   fmt::format("the message is not a {}: it is malformed, or one of its strings is not UTF-8",
                               message->GetTypeName()),
                   {.reason = "MALFORMED_MESSAGE", .metadata = {{"type", message->GetTypeName()}}});
}

grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message) {
  grpc::ByteBuffer bytes;
  bool own_buffer = false;
  grpc::GenericSerialize<grpc::ProtoBufferWriter, google::protobuf::Message>(message, &bytes, &own_buffer);
  return bytes;
}

CallTrace::CallTrace(std::string_view method, const grpc::CallbackServerContext& context,
                     const CallEnvironment& environment)
    : context_(context), observer_(environment.observer), clock_(environment.clock), start_(clock_.Elapsed()) {
  record_.method = method;
  record_.peer = context.peer();
}

grpc::Status CallTrace::Finished(const absl::Status& status) {
  record_.code = status.code();
  record_.message = std::string(status.message());
  if (context_.IsCancelled()) {
    const bool late = DeadlineHasPassed(context_);
    record_.code = late ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kCancelled;
    record_.message = late ? "the client's deadline passed" : "the client cancelled the call or is gone";
  }
  return ToGrpcStatus(status);
}

void CallTrace::Done() {
  record_.duration = clock_.Elapsed() - start_;
  observer_.OnCallFinished(record_);
}

}  // namespace tome::server
