#include "server/server_config.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <utility>

#include "CLI/CLI.hpp"
#include "engine/base/status.h"

namespace tome::server {
namespace {

constexpr char kDescription[] =
    "tome-server reads long documents once into durable sessions and answers questions about them over gRPC.";
constexpr char kFooter[] =
    "A flag goes before its environment variable (--sink-tokens: TOME_SINK_TOKENS), that before the line of the\n"
    "configuration file (sink-tokens = 64), that before the default. --print-config shows what comes of it.";

std::string CheckAddress(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
  const bool digits = !port.empty() && port.size() <= 5 &&
                      std::all_of(port.begin(), port.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  if (colon != 0 && digits && std::stoi(port) <= 65535) return "";
  return fmt::format("expected HOST:PORT with a port of 0 to 65535, found \"{}\"", address);
}

std::string CheckAddressOrNothing(const std::string& address) { return address.empty() ? "" : CheckAddress(address); }

std::string CheckNotEmpty(const std::string& value) { return value.empty() ? "expected a value, found nothing" : ""; }

void BindModel(CLI::App& app, ServerConfig& config) {
  app.add_option("--model", config.model, "GGUF file, Hugging Face folder or llama2.c .bin file (required)")
      ->check(CheckNotEmpty)
      ->group("Model");
  app.add_option("--tokenizer", config.tokenizer,
                 "llama2.c only: the vocabulary, if not tokenizer.bin beside the model")
      ->group("Model");
  app.add_option("--profile", config.profile,
                 "the model's profile, by which text is found; if not MODEL.profile.json or one that Tome ships")
      ->group("Model");
  app.add_option("--device", config.device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}))->group("Model");
  app.add_option("--precision", config.precision, "auto (the fastest on the device), fp32 or bf16")
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}))
      ->group("Model");
  app.add_option("--threads", config.threads, "compute threads; 0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->group("Model");
}

void BindService(CLI::App& app, ServerConfig& config) {
  app.add_option("--data-dir", config.data_dir, "folder of the sessions; made if only its last part is missing")
      ->check(CheckNotEmpty)
      ->group("Service");
  app.add_option("--archive-folder", config.archive_folder,
                 "folder for what is kept of long texts beyond --archive-resident-bytes; if not DATA-DIR/archive")
      ->group("Service");
  app.add_option("--listen", config.listen, "address of the gRPC service; port 0 takes any free one")
      ->check(CheckAddress)
      ->group("Service");
  app.add_option("--metrics-listen", config.metrics_listen,
                 "address of the Prometheus endpoint /metrics; \"\" for none; port 0 takes any free one")
      ->check(CheckAddressOrNothing)
      ->group("Service");
  app.add_option("--port-file", config.port_file,
                 "once ready, write the ports in use into this file: \"grpc=PORT\" and \"metrics=PORT\" lines")
      ->group("Service");
  app.add_option("--tls-cert", config.tls_cert, "PEM file with the certificate chain; with --tls-key")
      ->group("Service");
  app.add_option("--tls-key", config.tls_key, "PEM file with the private key")->group("Service");
  app.add_option("--max-message-bytes", config.max_message_bytes, "longest message taken")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::int64_t{64} << 10, std::int64_t{1} << 30))
      ->group("Service");
  app.add_option("--grace-seconds", config.grace_seconds,
                 "on SIGTERM or SIGINT, how long running answers may go on; a second signal ends them")
      ->check(CLI::Range(0, 86400))
      ->group("Service");
}

void BindSessions(CLI::App& app, ServerConfig& config) {
  const CLI::Range tokens(0, 1 << 30);
  app.add_option("--sink-tokens", config.sink_tokens, "first tokens of a session that stay attended; a default")
      ->check(tokens)
      ->group("Sessions");
  app.add_option("--window-tokens", config.window_tokens, "latest tokens that are attended; a default")
      ->check(tokens)
      ->group("Sessions");
  app.add_option("--segment-tokens", config.segment_tokens, "tokens read in one pass; a default")
      ->check(tokens)
      ->group("Sessions");
  app.add_option("--region-tokens", config.region_tokens, "tokens of a region, which is found and cited; a default")
      ->check(tokens)
      ->group("Sessions");
  app.add_option("--region-memory", config.region_memory,
                 "what segments attend to beyond the window: 'off', or settings like selected=16,ring=64; a default")
      ->check([](const std::string& settings) {
        return std::string(ParseRegionMemoryOptions(settings).status().message());
      })
      ->group("Sessions");
  app.add_option(
         "--session-state-bytes", config.session_state_bytes,
         "attention state of one session, to which its region memory is cut (\"128MiB\"); 0: as much as the other "
         "options say; a default")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 50))
      ->group("Sessions");
  app.add_option("--commit-bytes", config.commit_bytes, "of appended text that are committed to disk at once, at most")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 30))
      ->group("Sessions");
  app.add_option("--commit-milliseconds", config.commit_milliseconds,
                 "after a commit, how long fewer bytes wait for more; 0: not at all")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{10'000}))
      ->group("Sessions");
  app.add_option(
         "--snapshot-segments", config.snapshot_segments,
         "while a session is being read, write its state to disk after so many segments; 0: not for this reason")
      ->check(tokens)
      ->group("Sessions");
  app.add_option("--snapshot-seconds", config.snapshot_seconds,
                 "and when the latest on disk is so old; 0: not for this reason")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 31))
      ->group("Sessions");
  app.add_option(
         "--reading-turn-seconds", config.reading_turn_seconds,
         "while others wait for memory, a session is read for so long at least before it is written to disk and "
         "waits for its next turn")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 31))
      ->group("Sessions");
  app.add_option("--max-sessions", config.max_sessions, "sessions that the data folder may hold")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->group("Limits");
  app.add_option("--max-resident-bytes", config.max_resident_bytes,
                 "attention states and archives held in memory (\"4GiB\")")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::int64_t{1} << 10, std::int64_t{1} << 50))
      ->group("Limits");
  app.add_option("--archive-resident-bytes", config.archive_resident_bytes,
                 "archive of one session held in memory; what is older is in files")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::int64_t{64} << 10, std::int64_t{1} << 50))
      ->group("Limits");
  app.add_option("--max-running-questions", config.max_running_questions, "questions answered side by side")
      ->check(CLI::Range(1, 1024))
      ->group("Limits");
  app.add_option("--max-queued-questions", config.max_queued_questions, "questions that may wait for their turn")
      ->check(CLI::Range(0, 1 << 20))
      ->group("Limits");
}

void BindLogs(CLI::App& app, ServerConfig& config) {
  app.add_option("--log-level", config.log_level, "debug, info, warning, error or off")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->group("Logs");
  app.add_option("--log-format", config.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->group("Logs");
}

// Options with configurable(false) are flags only; --config is a flag or a variable.
std::unique_ptr<CLI::App> MakeApp(ServerConfig& config) {
  auto app = std::make_unique<CLI::App>(kDescription, "tome-server");
  app->footer(kFooter);
  app->option_defaults()->always_capture_default();
  app->get_formatter()->column_width(34);
  app->add_option("--config", config.config_file, "configuration file")->configurable(false);
  app->add_flag("--print-config", config.print_config, "print the effective configuration and exit")
      ->configurable(false);
  app->add_option("--verify", config.verify,
                  "check this data folder, which no server may have open, print each problem and exit: 0 for none, 1")
      ->configurable(false);
  app->add_flag("--version", config.version, "print version, revision, libraries and CPU features and exit")
      ->configurable(false);
  BindModel(*app, config);
  BindService(*app, config);
  BindSessions(*app, config);
  BindLogs(*app, config);
  return app;
}

// Puts `arguments` over what `config` has. Errors begin with `source`.
absl::Status Apply(std::vector<std::string> arguments, const std::string& source, ServerConfig* config) {
  const std::unique_ptr<CLI::App> app = MakeApp(*config);
  try {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app->parse(std::move(arguments));
    for (const CLI::Option* option : app->get_options()) {
      if (option->count() > 0) config->given.insert(option->get_single_name());
    }
  } catch (const CLI::CallForHelp&) {
    config->help = app->help();
  } catch (const CLI::Error& error) {
    std::string message = error.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    return InvalidArgument("{}{}", source, message);
  }
  return absl::OkStatus();
}

// "--name=" gives an empty value, which CLI11 would not see.
std::vector<std::string> SplitEmptyValues(const std::vector<std::string>& arguments) {
  std::vector<std::string> result;
  for (const std::string& argument : arguments) {
    if (argument.size() > 3 && argument.rfind("--", 0) == 0 && argument.back() == '=') {
      result.push_back(argument.substr(0, argument.size() - 1));
      result.emplace_back();
    } else {
      result.push_back(argument);
    }
  }
  return result;
}

std::string VariableName(const std::string& option) {
  std::string name = "TOME_";
  for (const unsigned char c : option) name += c == '-' ? '_' : static_cast<char>(std::toupper(c));
  return name;
}

absl::Status ApplyEnvironment(const Environment& environment, ServerConfig* config) {
  ServerConfig names_only;
  const std::unique_ptr<CLI::App> app = MakeApp(names_only);
  for (const CLI::Option* option : app->get_options()) {
    const std::string name = option->get_single_name();
    if (!option->get_configurable() && name != "config") continue;
    const std::string variable = VariableName(name);
    const std::optional<std::string> value = environment(variable);
    if (value) TOME_RETURN_IF_ERROR(Apply({"--" + name, *value}, variable + ": ", config));
  }
  return absl::OkStatus();
}

absl::Status ApplyFile(const std::string& path, ServerConfig* config) {
  std::vector<CLI::ConfigItem> items;
  try {
    if (!std::filesystem::is_regular_file(path)) return InvalidArgument("--config: no such file: {}", path);
    items = CLI::ConfigTOML().from_file(path);
  } catch (const std::exception& error) {
    return InvalidArgument("{}: {}", path, error.what());
  }
  ServerConfig names_only;
  const std::unique_ptr<CLI::App> app = MakeApp(names_only);
  for (const CLI::ConfigItem& item : items) {
    // The parser's marks of where a section begins and ends.
    if (item.name == "++" || item.name == "--") continue;
    const CLI::Option* option = app->get_option_no_throw("--" + item.name);
    if (!item.parents.empty() || option == nullptr || !option->get_configurable()) {
      return InvalidArgument("{}: unknown setting {}", path, item.fullname());
    }
    if (item.inputs.size() != 1) return InvalidArgument("{}: {}: expected one value", path, item.name);
    TOME_RETURN_IF_ERROR(Apply({"--" + item.name, item.inputs.front()}, path + ": ", config));
  }
  return absl::OkStatus();
}

std::string TomlString(const std::string& value) {
  const char quote = value.find('"') == std::string::npos ? '"' : '\'';
  return fmt::format("{}{}{}", quote, value, quote);
}

}  // namespace

absl::StatusOr<ServerConfig> ParseServerConfig(const std::vector<std::string>& arguments,
                                               const Environment& environment) {
  const std::vector<std::string> flags = SplitEmptyValues(arguments);
  ServerConfig from_flags;
  TOME_RETURN_IF_ERROR(Apply(flags, "", &from_flags));
  if (from_flags.help || from_flags.version) return from_flags;

  ServerConfig config;
  std::string file = from_flags.config_file;
  if (file.empty()) file = environment("TOME_CONFIG").value_or("");
  if (!file.empty()) TOME_RETURN_IF_ERROR(ApplyFile(file, &config));
  TOME_RETURN_IF_ERROR(ApplyEnvironment(environment, &config));
  TOME_RETURN_IF_ERROR(Apply(flags, "", &config));
  if (config.tls_cert.empty() != config.tls_key.empty()) {
    return InvalidArgument("--tls-cert and --tls-key: give both or none");
  }
  if (config.model.empty() && !config.print_config && config.verify.empty()) {
    return InvalidArgument("no model: give --model PATH, TOME_MODEL or a line \"model = ...\" of the --config file");
  }
  return config;
}

std::string ServerConfig::ToToml() const {
  ServerConfig copy = *this;
  const std::unique_ptr<CLI::App> app = MakeApp(copy);
  std::string toml;
  for (const CLI::Option* option : app->get_options()) {
    if (!option->get_configurable() || option->get_single_name() == "help") continue;
    const std::string value = option->get_default_str();
    const bool number =
        !value.empty() && std::all_of(value.begin(), value.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    toml += fmt::format("{}{} = {}\n", FollowsModel(*this, option->get_single_name()) ? "# " : "",
                        option->get_single_name(), number ? value : TomlString(value));
  }
  return toml;
}

ModelOptions ServerConfig::ToModelOptions() const {
  // The names were checked when they were parsed.
  return {.path = model,
          .tokenizer_path = tokenizer,
          .profile_path = profile,
          .device = *ParseDevice(device),
          .precision = *ParsePrecision(precision),
          .num_threads = threads,
          .archive_folder = archive_folder.empty() ? data_dir + "/archive" : archive_folder,
          .archive_resident_bytes = static_cast<std::size_t>(archive_resident_bytes)};
}

SessionManagerOptions ServerConfig::ToSessionManagerOptions() const {
  return {.data_folder = data_dir,
          .default_memory_options = {.sink_tokens = sink_tokens,
                                     .window_tokens = window_tokens,
                                     .segment_tokens = segment_tokens,
                                     .region_tokens = region_tokens,
                                     .regions = *ParseRegionMemoryOptions(region_memory)},
          .notes = fitted.empty() ? std::vector<std::string>() : std::vector<std::string>{fitted},
          .default_state_bytes = static_cast<std::size_t>(session_state_bytes),
          .max_sessions = max_sessions,
          .max_state_bytes = static_cast<std::size_t>(max_resident_bytes),
          .max_commit_bytes = static_cast<std::size_t>(commit_bytes),
          .max_commit_delay = absl::Milliseconds(commit_milliseconds),
          .max_running_questions = max_running_questions,
          .max_waiting_questions = max_queued_questions,
          .reading_turn = absl::Seconds(reading_turn_seconds),
          .snapshots = {.segments = snapshot_segments, .interval = absl::Seconds(snapshot_seconds)}};
}

RpcServerOptions ServerConfig::ToRpcServerOptions(std::string server_version) const {
  return {.listen = listen,
          .max_message_bytes = static_cast<std::size_t>(max_message_bytes),
          .tls_cert_file = tls_cert,
          .tls_key_file = tls_key,
          .server_version = std::move(server_version)};
}

LogLevel ServerConfig::ToLogLevel() const {
  if (log_level == "debug") return LogLevel::kDebug;
  if (log_level == "warning") return LogLevel::kWarning;
  if (log_level == "error") return LogLevel::kError;
  if (log_level == "off") return LogLevel::kOff;
  return LogLevel::kInfo;
}

LogFormat ServerConfig::ToLogFormat() const { return log_format == "json" ? LogFormat::kJson : LogFormat::kText; }

std::string MemoryFlagText(const ServerConfig& config, std::string_view name) {
  if (name == "sink-tokens") return std::to_string(config.sink_tokens);
  if (name == "window-tokens") return std::to_string(config.window_tokens);
  if (name == "segment-tokens") return std::to_string(config.segment_tokens);
  if (name == "region-tokens") return std::to_string(config.region_tokens);
  return config.region_memory;
}

bool FollowsModel(const ServerConfig& config, const std::string& name) {
  const auto* found = std::find(std::begin(kMemoryFlags), std::end(kMemoryFlags), name);
  return found != std::end(kMemoryFlags) && !config.given.contains(name) &&
         MemoryFlagText(config, name) == MemoryFlagText(ServerConfig(), name);
}

}  // namespace tome::server
