#include "server/rpc/rpc_server.h"

#include <chrono>
#include <fstream>
#include <iterator>
#include <limits>
#include <utility>

#include "engine/base/status.h"
#include "engine/files/file_kind.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace tome::server {
namespace {

constexpr char kLiveness[] = "liveness";
constexpr const char* kReadiness[] = {"", "tome.v1.SessionService", "tome.v1.ModelService"};

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) return InvalidArgument("{}: expected a PEM file, found none that can be read", path);
  if (bytes.find("-----BEGIN ") != std::string::npos) return bytes;
  return InvalidArgument("{}: expected a PEM file, found {}", path, DescribeFile(bytes));
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> Credentials(const RpcServerOptions& options) {
  if (options.tls_cert_file.empty() != options.tls_key_file.empty()) {
    return InvalidArgument("TLS needs both a certificate and a key");
  }
  if (options.tls_cert_file.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  TOME_ASSIGN_OR_RETURN(pair.private_key, ReadPem(options.tls_key_file));
  TOME_ASSIGN_OR_RETURN(pair.cert_chain, ReadPem(options.tls_cert_file));
  grpc::SslServerCredentialsOptions ssl;
  ssl.pem_key_cert_pairs.push_back(std::move(pair));
  return grpc::SslServerCredentials(ssl);
}

void SetArguments(const RpcServerOptions& options, grpc::ServerBuilder* builder) {
  const auto milliseconds = [](absl::Duration duration) {
    return static_cast<int>(absl::ToInt64Milliseconds(duration));
  };
  // Two servers on one port would share its calls by chance.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  // A peer that vanished is found within 80 seconds; clients may ping every 10 seconds, also between calls.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(absl::Seconds(60)));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(absl::Seconds(20)));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, milliseconds(absl::Seconds(10)));
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
}

}  // namespace

RpcServer::RpcServer(const RpcServerOptions& options, CallObserver& observer, const Clock& clock)
    : session_service_({.backend = backend_, .observer = observer, .clock = clock}),
      model_service_({.backend = backend_, .observer = observer, .clock = clock}, options.server_version) {}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const RpcServerOptions& options, CallObserver& observer,
                                                            const Clock& clock) {
  static const bool plugins = [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  static_cast<void>(plugins);
  if (options.max_message_bytes > std::size_t{std::numeric_limits<int>::max()}) {
    return InvalidArgument("the largest message: expected less than 2 GiB, found {} bytes", options.max_message_bytes);
  }
  TOME_ASSIGN_OR_RETURN(const auto credentials, Credentials(options));
  std::unique_ptr<RpcServer> rpc(new RpcServer(options, observer, clock));
  grpc::ServerBuilder builder;
  SetArguments(options, &builder);
  builder.AddListeningPort(options.listen, credentials, &rpc->port_);
  builder.RegisterService(&rpc->session_service_);
  builder.RegisterService(&rpc->model_service_);
  rpc->server_ = builder.BuildAndStart();
  if (rpc->server_ == nullptr || rpc->port_ == 0) {
    return absl::UnavailableError(
        fmt::format("cannot listen on {}: the port is in use, or the address is not this machine's", options.listen));
  }
  rpc->SetReady(false);
  rpc->server_->GetHealthCheckService()->SetServingStatus(kLiveness, true);
  return rpc;
}

RpcServer::~RpcServer() { Stop(absl::ZeroDuration()); }

void RpcServer::SetReady(bool ready) {
  for (const char* service : kReadiness) server_->GetHealthCheckService()->SetServingStatus(service, ready);
}

void RpcServer::Open(SessionManager& sessions) {
  backend_.Open(&sessions);
  SetReady(true);
}

void RpcServer::Drain() {
  SetReady(false);
  backend_.Drain();
}

void RpcServer::Stop(absl::Duration grace) {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(grace));
  server_->Wait();
  server_.reset();
}

}  // namespace tome::server
