// tome-server: flags -> options -> wiring -> run -> drain.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/engine.h"
#include "server/build_info.h"
#include "server/memory_defaults.h"
#include "server/rpc/library_logs.h"
#include "server/rpc/rpc_server.h"
#include "server/server_config.h"
#include "server/session/session_manager.h"
#include "server/signals.h"
#include "server/storage/folder_check.h"
#include "server/telemetry/logging.h"
#include "server/telemetry/memory_watch.h"
#include "server/telemetry/metrics_endpoint.h"
#include "server/telemetry/telemetry.h"

namespace tome::server {
namespace {

// Exit codes.
constexpr int kFailed = 1;
constexpr int kUsage = 2;

// On a stop, for writing to disk what was read, also when running answers took all of the grace.
constexpr absl::Duration kLeastSnapshotTime = absl::Seconds(3);

std::string VersionAndRevision() { return fmt::format("{} ({})", BuildVersion(), BuildRevision()); }

void PrintVersion() {
  fmt::print("tome-server {}\nrevision {}\nengine {}\ncpu {}\n", BuildVersion(), BuildRevision(), EngineBuildInfo(),
             CpuFeatures());
}

// A line for each problem; the exit code.
int Verify(const std::string& path) {
  const absl::StatusOr<FolderReport> report = CheckDataFolder(path);
  if (!report.ok()) {
    fmt::print(stderr, "tome-server: {}\n", std::string(report.status().message()));
    return kFailed;
  }
  for (const FolderProblem& problem : report->problems) fmt::print("{}: {}\n", problem.session, problem.what);
  fmt::print("{} sessions, {} documents of {} bytes, {} snapshots: {} problems\n", report->sessions, report->documents,
             report->document_bytes, report->snapshots, report->problems.size());
  return report->problems.empty() ? 0 : kFailed;
}

// Everything that serves, in the order in which it is started. It is torn down in the reverse order.
struct Running {
  std::unique_ptr<Telemetry> telemetry;
  std::unique_ptr<MetricsEndpoint> metrics;
  std::unique_ptr<SessionManager> sessions;
  std::unique_ptr<RpcServer> rpc;
  std::unique_ptr<MemoryWatch> memory;
};

// A reader of the file never sees half of it.
absl::Status WritePortFile(const std::string& path, const Running& running) {
  const std::string temporary = path + ".tmp";
  std::ofstream file(temporary, std::ios::trunc);
  file << "grpc=" << running.rpc->port() << "\n";
  if (running.metrics != nullptr) file << "metrics=" << running.metrics->port() << "\n";
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(temporary, path, error);
  if (!file || error) return absl::UnavailableError(fmt::format("--port-file: cannot write {}", path));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Model>> LoadModel(ServerConfig* config) {
  TOME_ASSIGN_OR_RETURN(auto model, Model::Load(config->ToModelOptions()));
  TOME_RETURN_IF_ERROR(FitMemory(model->info().config, model->info().precision, config));
  return model;
}

void LogReady(const ServerConfig& config, const Running& running) {
  LogEvent(LogLevel::kInfo, "configuration",
           {{"version", BuildVersion()}, {"revision", BuildRevision()}, {"effective", config.ToToml()}});
  const ModelInfo& info = running.sessions->model()->info();
  LogEvent(LogLevel::kInfo, "model",
           {{"path", info.path},
            {"format", info.format},
            {"parameters", info.num_parameters},
            {"device", std::string(DeviceName(info.device))},
            {"precision", std::string(PrecisionName(info.precision))},
            {"precision_reason", info.precision_reason},
            {"decode_weights", info.decode_weights},
            {"weight_bytes", static_cast<std::int64_t>(info.weight_bytes)},
            {"threads", std::int64_t{info.num_threads}},
            {"profile_digest", info.profile_digest}});
  for (const std::string& warning : info.warnings) {
    LogEvent(LogLevel::kWarning, "model_file", {{"detail", warning}});
  }
  if (!config.fitted.empty()) LogEvent(LogLevel::kInfo, "memory_fitted", {{"detail", config.fitted}});
  if (running.sessions->model()->profile().empty()) {
    LogEvent(LogLevel::kWarning, "no_model_profile",
             {{"detail", "text is found by its words and by reranking, not by attention; see --profile"}});
  }
  std::vector<LogField> ready = {{"listen", config.listen}, {"port", std::int64_t{running.rpc->port()}}};
  if (running.metrics != nullptr) ready.push_back({"metrics_port", std::int64_t{running.metrics->port()}});
  ready.push_back({"data_dir", config.data_dir});
  LogEvent(LogLevel::kInfo, "ready", ready);
}

// Ports first: they are the cheapest to find taken, and nothing is changed on disk before everything else is well.
// Logs nothing: when it fails, the error is the one line that is printed.
// Fills in what of the configuration follows from the model.
absl::StatusOr<Running> Start(ServerConfig* own_config) {
  const ServerConfig& config = *own_config;
  Running running;
  running.telemetry =
      std::make_unique<Telemetry>(Metrics::Build{.version = BuildVersion(), .revision = BuildRevision()});
  TOME_ASSIGN_OR_RETURN(running.rpc,
                        RpcServer::Start(config.ToRpcServerOptions(VersionAndRevision()), *running.telemetry));
  if (!config.metrics_listen.empty()) {
    TOME_ASSIGN_OR_RETURN(running.metrics,
                          MetricsEndpoint::Start(config.metrics_listen, running.telemetry->registry()));
  }
  TOME_ASSIGN_OR_RETURN(auto model, LoadModel(own_config));
  TOME_ASSIGN_OR_RETURN(running.sessions,
                        SessionManager::Open(config.ToSessionManagerOptions(), std::move(model), *running.telemetry));
  running.memory = std::make_unique<MemoryWatch>(*running.telemetry);
  running.rpc->Open(*running.sessions);
  if (!config.port_file.empty()) TOME_RETURN_IF_ERROR(WritePortFile(config.port_file, running));
  return running;
}

// A model may take minutes to load, and a large data folder to be opened. Neither can be interrupted, and neither
// writes what is not whole at every moment, so a signal ends the program as it stands.
absl::StatusOr<Running> StartUnlessStopped(const StopSignals& signals, ServerConfig* config) {
  const ExitOnStopSignal exit_on_signal(signals, [] { LogEvent(LogLevel::kInfo, "stopped", {{"while", "starting"}}); });
  return Start(config);
}

// Not ready -> refuse new work -> finish what runs, within the grace -> stop.
void Drain(const ServerConfig& config, const StopSignals& signals, Running& running) {
  LogEvent(LogLevel::kInfo, "draining", {{"grace_seconds", std::int64_t{config.grace_seconds}}});
  running.sessions->BeginDrain();
  running.rpc->Drain();
  const absl::Time end = absl::Now() + absl::Seconds(config.grace_seconds);
  bool drained = false, hurry = false;
  while (!drained && absl::Now() < end && !hurry) {
    drained = running.sessions->WaitUntilDrained(std::min(end - absl::Now(), absl::Milliseconds(200)));
    hurry = signals.Arrived();
  }
  // A second signal leaves what was read since the last snapshots to be read again.
  running.sessions->Shutdown(signals.Arrived() ? absl::ZeroDuration()
                                               : std::max(end - absl::Now(), kLeastSnapshotTime));
  // What the clients have not yet taken of their last messages.
  running.rpc->Stop(absl::Seconds(1));
  LogEvent(LogLevel::kInfo, "stopped", {{"answers_cut_short", std::int64_t{drained ? 0 : 1}}});
}

// OpenMP's threads spin for milliseconds at each barrier, so two programs that compute on the same cores slow each
// other down a hundredfold. Its library reads the setting before main, hence the program starts itself anew with it: by
// its path, because ps and pkill call a process by the last part of it.
void LetComputeThreadsSleep(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv("GOMP_SPINCOUNT", "1000", /*overwrite=*/0);
  std::error_code error;
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe", error);
  execv(own.c_str(), argv);  // returns only when it cannot; then the program is just less considerate
}

int Run(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  absl::StatusOr<ServerConfig> config =
      ParseServerConfig(arguments, [](const std::string& name) -> std::optional<std::string> {
        const char* const value = std::getenv(name.c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
      });
  if (!config.ok()) {
    fmt::print(stderr, "tome-server: {} (see --help)\n", config.status().message().data());
    return kUsage;
  }
  if (config->help) return fmt::print("{}", *config->help), 0;
  if (!config->verify.empty()) return Verify(config->verify);
  if (config->version) return PrintVersion(), 0;
  if (config->print_config) return fmt::print("{}", config->ToToml()), 0;

  const StopSignals signals;  // before any thread is started
  SetUpLogging(config->ToLogLevel(), config->ToLogFormat());
  RouteLibraryLogs();
  absl::StatusOr<Running> running = StartUnlessStopped(signals, &*config);
  if (!running.ok()) {
    fmt::print(stderr, "tome-server: {}\n", std::string(running.status().message()));
    return kFailed;
  }
  LogReady(*config, *running);
  signals.Wait();
  Drain(*config, signals, *running);
  return 0;
}

}  // namespace
}  // namespace tome::server

int main(int argc, char** argv) {
  tome::server::LetComputeThreadsSleep(argv);
  return tome::server::Run(argc, argv);
}
