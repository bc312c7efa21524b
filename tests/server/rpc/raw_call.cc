#include "tests/server/rpc/raw_call.h"

#include <vector>

#include "grpcpp/generic/generic_stub.h"

namespace tome::testing {

grpc::Status RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                     const std::string& request, std::string* response) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  grpc::Slice slice(request);
  const auto call = stub.PrepareUnaryCall(&context, method, grpc::ByteBuffer(&slice, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer reply;
  grpc::Status status;
  call->Finish(&reply, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  response->clear();
  std::vector<grpc::Slice> slices;
  if (!status.ok() || !reply.Dump(&slices).ok()) return status;
  for (const grpc::Slice& part : slices) response->append(reinterpret_cast<const char*>(part.begin()), part.size());
  return status;
}

int Health(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  // HealthCheckRequest {string service = 1}, HealthCheckResponse {ServingStatus status = 1}.
  const std::string request = std::string("\x0A") + static_cast<char>(service.size()) + service;
  std::string response;
  const grpc::Status status = RawCall(channel, "/grpc.health.v1.Health/Check", request, &response);
  return status.ok() && response.size() == 2 ? response[1] : 0;
}

}  // namespace tome::testing
