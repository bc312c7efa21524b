// Calls made of bytes, for messages that no stub would send and services without headers here.
#ifndef TOME_TESTS_SERVER_RPC_RAW_CALL_H_
#define TOME_TESTS_SERVER_RPC_RAW_CALL_H_

#include <memory>
#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/grpcpp.h"

namespace tome::testing {

// Sends one message, half-closes and waits for one reply, whose bytes go to `response`. "/package.Service/Method".
grpc::Status RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                     const std::string& request, std::string* response);

// grpc.health.v1.Health/Check: 1 is SERVING, 2 is NOT_SERVING; 0 when the call fails.
int Health(const std::shared_ptr<grpc::Channel>& channel, const std::string& service);

// The first detail of this type; an empty one when there is none.
template <typename Detail>
Detail DetailOf(const grpc::Status& status) {
  google::rpc::Status proto;
  proto.ParseFromString(status.error_details());
  Detail detail;
  for (const auto& any : proto.details()) {
    if (any.UnpackTo(&detail)) return detail;
  }
  return {};
}

inline std::string ReasonOf(const grpc::Status& status) { return DetailOf<google::rpc::ErrorInfo>(status).reason(); }

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_RPC_RAW_CALL_H_
