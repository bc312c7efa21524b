// The configuration of tome-server, from flags, the environment and a file.
//
// One precedence: flag > environment variable > file > default. The flag --sink-tokens is the variable TOME_SINK_TOKENS
// and the line "sink-tokens = 64" of the file that --config (or TOME_CONFIG) names, which is TOML without tables.
#ifndef TOME_SERVER_SERVER_CONFIG_H_
#define TOME_SERVER_SERVER_CONFIG_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/rpc/rpc_server.h"
#include "server/session/session_manager.h"
#include "server/telemetry/logging.h"

namespace tome::server {

// Defaults that belong to a part are those of its option struct.
struct ServerConfig {
  std::string config_file;

  std::string model;
  std::string tokenizer;
  std::string profile;
  std::string device{DeviceName(ModelOptions{}.device)};
  std::string precision{PrecisionName(ModelOptions{}.precision)};
  int threads = ModelOptions{}.num_threads;

  std::string data_dir = "tome-data";
  std::string archive_folder;  // "": within data_dir
  std::string listen = RpcServerOptions{}.listen;
  std::string metrics_listen = "127.0.0.1:7441";
  std::string port_file;
  std::string tls_cert;
  std::string tls_key;
  std::int64_t max_message_bytes = static_cast<std::int64_t>(RpcServerOptions{}.max_message_bytes);

  int sink_tokens = MemoryOptions{}.sink_tokens;
  int window_tokens = MemoryOptions{}.window_tokens;
  int segment_tokens = MemoryOptions{}.segment_tokens;
  int region_tokens = MemoryOptions{}.region_tokens;
  std::string region_memory = FormatRegionMemoryOptions(MemoryOptions{}.regions);
  std::int64_t session_state_bytes = 0;

  std::int64_t max_sessions = SessionManagerOptions{}.max_sessions;
  std::int64_t max_resident_bytes = static_cast<std::int64_t>(SessionManagerOptions{}.max_state_bytes);
  std::int64_t archive_resident_bytes = static_cast<std::int64_t>(ModelOptions{}.archive_resident_bytes);
  std::int64_t commit_bytes = static_cast<std::int64_t>(SessionManagerOptions{}.max_commit_bytes);
  std::int64_t commit_milliseconds = absl::ToInt64Milliseconds(SessionManagerOptions{}.max_commit_delay);
  int snapshot_segments = SnapshotPolicy{}.segments;
  std::int64_t snapshot_seconds = absl::ToInt64Seconds(SnapshotPolicy{}.interval);
  std::int64_t reading_turn_seconds = absl::ToInt64Seconds(SessionManagerOptions{}.reading_turn);
  int max_running_questions = SessionManagerOptions{}.max_running_questions;
  int max_queued_questions = SessionManagerOptions{}.max_waiting_questions;
  int grace_seconds = 25;

  std::string log_level = "info";
  std::string log_format = "text";

  // Names of the options ("window-tokens") that a flag, a variable or the file gave.
  std::set<std::string> given;
  // What FitMemory made of the options that nobody gave, in words; empty when they are as usual.
  std::string fitted;

  // What to do instead of serving.
  bool print_config = false;
  bool version = false;
  std::string verify;               // the data folder to check
  std::optional<std::string> help;  // the text to print

  ModelOptions ToModelOptions() const;
  SessionManagerOptions ToSessionManagerOptions() const;
  RpcServerOptions ToRpcServerOptions(std::string server_version) const;
  LogLevel ToLogLevel() const;
  LogFormat ToLogFormat() const;

  // As a configuration file that gives the same configuration. Memory options that nobody gave, and that therefore
  // follow the model, stand there as comments.
  std::string ToToml() const;
};

// The value of an environment variable; nullopt when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// `arguments`: without the program's name. INVALID_ARGUMENT, in one line, for an unknown flag, variable value or key of
// the file, or a value that is not allowed; the message names where it stands.
absl::StatusOr<ServerConfig> ParseServerConfig(const std::vector<std::string>& arguments,
                                               const Environment& environment);

// Flags of a session's memory: they follow the model where nobody gives them.
inline constexpr const char* kMemoryFlags[] = {"sink-tokens", "window-tokens", "segment-tokens", "region-tokens",
                                               "region-memory"};
std::string MemoryFlagText(const ServerConfig& config, std::string_view name);

// Whether the option with this name ("window-tokens") is one of a session's memory that nobody gave.
bool FollowsModel(const ServerConfig& config, const std::string& name);

}  // namespace tome::server

#endif  // TOME_SERVER_SERVER_CONFIG_H_
