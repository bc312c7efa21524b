// The HTTP endpoint that Prometheus scrapes: GET /metrics.
#ifndef TOME_SERVER_TELEMETRY_METRICS_ENDPOINT_H_
#define TOME_SERVER_TELEMETRY_METRICS_ENDPOINT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "prometheus/exposer.h"
#include "prometheus/registry.h"

namespace tome::server {

// Serves from the time it is started until it is destroyed, on threads of its own. It answers HTTP without TLS or
// login, so it belongs on a loopback or private address.
class MetricsEndpoint {
 public:
  // `address`: "host:port" with an IP address ("127.0.0.1:7441", "[::1]:7441", "0.0.0.0:7441"); port 0 takes any free
  // one. UNAVAILABLE when the port is in use or the address is not this machine's.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(const std::string& address,
                                                                std::shared_ptr<prometheus::Registry> registry);

  int port() const { return port_; }

 private:
  MetricsEndpoint(std::shared_ptr<prometheus::Registry> registry, std::unique_ptr<prometheus::Exposer> exposer);

  std::shared_ptr<prometheus::Registry> registry_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  int port_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_TELEMETRY_METRICS_ENDPOINT_H_
