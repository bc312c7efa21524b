// An RPC server on a free port before a fake session layer, and clients of it.
#ifndef TOME_TESTS_SERVER_RPC_RPC_FIXTURE_H_
#define TOME_TESTS_SERVER_RPC_RPC_FIXTURE_H_

#include <memory>
#include <string>
#include <vector>

#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "server/rpc/rpc_server.h"
#include "tests/server/rpc/fake_session_manager.h"
#include "tests/server/rpc/raw_call.h"
#include "tests/server/waiting.h"
#include "tome/v1/tome.grpc.pb.h"

namespace tome::testing {

class CallRecorder final : public server::CallObserver {
 public:
  void OnCallFinished(const server::CallRecord& record) override {
    records.Update([&](std::vector<server::CallRecord>& all) { all.push_back(record); });
  }
  // Waits for the next call to end.
  server::CallRecord First() {
    return records.WaitUntil([](const auto& all) { return !all.empty(); }).front();
  }

  Watched<std::vector<server::CallRecord>> records;
};

class RpcFixture : public ::testing::Test {
 protected:
  RpcFixture();

  void Open() { rpc_->Open(sessions_); }

  grpc::Status CallWithBytes(const std::string& method, const std::string& bytes) {
    std::string response;
    return RawCall(channel_, method, bytes, &response);
  }
  int Health(const std::string& service) { return tome::testing::Health(channel_, service); }

  FakeSessionManager sessions_;
  CallRecorder recorder_;
  std::unique_ptr<server::RpcServer> rpc_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::SessionService::Stub> stub_;
  std::unique_ptr<v1::ModelService::Stub> model_stub_;
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_RPC_RPC_FIXTURE_H_
