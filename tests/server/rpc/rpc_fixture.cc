#include "tests/server/rpc/rpc_fixture.h"

#include <utility>

#include "engine/base/status.h"
#include "server/rpc/library_logs.h"

namespace tome::testing {

RpcFixture::RpcFixture() {
  server::RouteLibraryLogs();
  auto rpc = server::RpcServer::Start({.listen = "127.0.0.1:0", .server_version = "test"}, recorder_);
  if (!rpc.ok()) {
    ADD_FAILURE() << rpc.status();
    std::abort();
  }
  rpc_ = *std::move(rpc);
  grpc::ChannelArguments arguments;
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel_ = grpc::CreateCustomChannel(fmt::format("127.0.0.1:{}", rpc_->port()), grpc::InsecureChannelCredentials(),
                                       arguments);
  stub_ = v1::SessionService::NewStub(channel_);
  model_stub_ = v1::ModelService::NewStub(channel_);
}

}  // namespace tome::testing
