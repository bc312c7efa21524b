#include "client/connection.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"

namespace tome::client {
namespace {

// A page of sessions or an answer with log-probabilities can be larger than gRPC's 4 MiB.
constexpr int kMaxReceiveBytes = 64 << 20;

bool IsLoopback(const std::string& address) {
  return address.starts_with("127.") || address.starts_with("localhost:") || address.starts_with("[::1]");
}

grpc::ChannelArguments ChannelArgumentsFor(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  arguments.SetUserAgentPrefix("tome-client");
  // The waiting between attempts is ours; gRPC shall try again soon when asked to.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // Finds out about a server that vanished without a word, as it does when its machine loses power.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  if (IsLoopback(address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Connection>> Connection::Open(ConnectOptions options) {
  if (options.address.empty()) return InvalidArgument("the server's address is empty; expected host:port");
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (options.tls.has_value()) {
    if (options.tls->client_certificate.empty() != options.tls->client_key.empty()) {
      return InvalidArgument("a client certificate and its key are given together or not at all");
    }
    credentials = grpc::SslCredentials(
        {options.tls->root_certificates, options.tls->client_key, options.tls->client_certificate});
  }
  const auto channel = grpc::CreateCustomChannel(options.address, credentials, ChannelArgumentsFor(options.address));
  auto connection = std::make_unique<Connection>();
  connection->options = std::move(options);
  connection->sessions = v1::SessionService::NewStub(channel);
  connection->models = v1::ModelService::NewStub(channel);
  return connection;
}

CallContext::CallContext(const CallOptions& options, std::optional<std::chrono::milliseconds> limit) {
  auto deadline = std::chrono::system_clock::time_point::max();
  if (options.deadline.has_value()) deadline = *options.deadline;
  if (limit.has_value()) deadline = std::min(deadline, std::chrono::system_clock::now() + *limit);
  if (deadline != std::chrono::system_clock::time_point::max()) context_.set_deadline(deadline);
  if (options.cancellation != nullptr) {
    registration_ = options.cancellation->OnCancel([this] { context_.TryCancel(); });
  }
}

absl::Status CallStatus(const grpc::Status& status, const CallOptions& options) {
  if (!status.ok() && options.cancellation != nullptr && options.cancellation->cancelled()) {
    return absl::CancelledError("cancelled");
  }
  return FromGrpc(status);
}

absl::Status WaitBeforeRetry(const Connection& connection, const CallOptions& options, Backoff& backoff,
                             const absl::Status& error) {
  const auto cancelled = [&] { return options.cancellation != nullptr && options.cancellation->cancelled(); };
  if (cancelled()) return absl::CancelledError("cancelled");
  const auto delay = backoff.Next(DetailsOf(error).retry_delay);
  if (!delay.has_value()) return error;
  if (options.deadline.has_value() && std::chrono::system_clock::now() + *delay >= *options.deadline) return error;
  if (options.on_retry) options.on_retry({error, *delay});
  connection.options.sleeper(*delay, options.cancellation);
  return cancelled() ? absl::CancelledError("cancelled") : absl::OkStatus();
}

absl::Status RunWithRetries(const Connection& connection, const CallOptions& options,
                            const std::function<absl::Status()>& attempt) {
  Backoff backoff(connection.options.retry, connection.options.seed);
  while (true) {
    const absl::Status status = attempt();
    if (status.ok() || !IsTransient(status)) return status;
    TOME_RETURN_IF_ERROR(WaitBeforeRetry(connection, options, backoff, status));
  }
}

}  // namespace tome::client
