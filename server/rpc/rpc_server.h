// The gRPC server: the services of tome.proto, health (grpc.health.v1) and reflection, on one port.
#ifndef TOME_SERVER_RPC_RPC_SERVER_H_
#define TOME_SERVER_RPC_RPC_SERVER_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/server.h"
#include "server/rpc/calls/backend.h"
#include "server/rpc/model_service.h"
#include "server/rpc/session_service.h"
#include "server/scheduling/clock.h"
#include "server/session/session_manager.h"
#include "server/telemetry/call_observer.h"

namespace tome::server {

struct RpcServerOptions {
  std::string listen = "127.0.0.1:7440";  // "host:port"; port 0 takes any free one
  // A longer message ends its call with RESOURCE_EXHAUSTED, by gRPC itself, without details.
  std::size_t max_message_bytes = std::size_t{4} << 20;
  // TLS with these PEM files; both or none. They are read once, at the start.
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string server_version;  // what Model.server_version says
};

// Health, by service name: "liveness" is SERVING from the start; "", "tome.v1.SessionService" and
// "tome.v1.ModelService" (readiness) from Open until Drain.
//
// Life: Start -> Open -> Drain -> Stop. Call these from one thread.
class RpcServer {
 public:
  // Binds the port and answers: all calls but health and reflection with UNAVAILABLE, reason STARTING, until Open.
  // INVALID_ARGUMENT for an address that is none or files that are no key pair, UNAVAILABLE when the port is in use.
  // `observer` and `clock` outlive the server.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const RpcServerOptions& options, CallObserver& observer,
                                                          const Clock& clock = Clock::Real());
  // Stops with a grace of zero.
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  int port() const { return port_; }

  // Serves `sessions`, which outlives the server, or at least Stop.
  void Open(SessionManager& sessions);

  // Not ready any more. Append, Watch, ExportSession and ImportSession end with UNAVAILABLE, reason DRAINING, once what
  // they hold is stored; of them an import that has all of its bytes comes to its end.
  // What refuses new work is SessionManager::BeginDrain.
  void Drain();

  // Takes no more calls, waits at most `grace` for those that run, then cancels them. Returns when none runs.
  void Stop(absl::Duration grace);

 private:
  RpcServer(const RpcServerOptions& options, CallObserver& observer, const Clock& clock);
  void SetReady(bool ready);

  Backend backend_;
  SessionService session_service_;
  ModelService model_service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_RPC_SERVER_H_
