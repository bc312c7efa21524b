#include "server/telemetry/metrics_endpoint.h"

#include <exception>
#include <utility>

#include "engine/base/status.h"

namespace tome::server {

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(
    const std::string& address, std::shared_ptr<prometheus::Registry> registry) {
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(address, /*num_threads=*/2);
    if (exposer->GetListeningPorts().size() != 1) {
      return absl::UnavailableError(fmt::format("metrics: cannot listen on {}", address));
    }
    return std::unique_ptr<MetricsEndpoint>(new MetricsEndpoint(std::move(registry), std::move(exposer)));
  } catch (const std::exception&) {
    // The library's message is "null context when constructing CivetServer. Possible problem binding to port."
    return absl::UnavailableError(
        fmt::format("metrics: cannot listen on {}: the port is in use, or the address is not this machine's", address));
  }
}

MetricsEndpoint::MetricsEndpoint(std::shared_ptr<prometheus::Registry> registry,
                                 std::unique_ptr<prometheus::Exposer> exposer)
    : registry_(std::move(registry)), exposer_(std::move(exposer)), port_(exposer_->GetListeningPorts().front()) {
  exposer_->RegisterCollectable(registry_);
}

}  // namespace tome::server
