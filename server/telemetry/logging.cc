#include "server/telemetry/logging.h"

#include <chrono>
#include <cmath>
#include <ctime>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace tome::server {
namespace {

// spdlog carries an event as one string. Fields follow the message, each as kFieldStart key kValueStart type value.
constexpr char kFieldStart = '\x1f';
constexpr char kValueStart = '\x1e';
constexpr char kNumber = 'n';
constexpr char kString = 's';

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

std::string WithoutSeparators(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c == kFieldStart || c == kValueStart) c = ' ';
  }
  return result;
}

std::string Encode(const LogField& field) {
  std::string result = fmt::format("{}{}{}", kFieldStart, field.key, kValueStart);
  if (const auto* text = std::get_if<std::string>(&field.value)) return result + kString + WithoutSeparators(*text);
  if (const auto* integer = std::get_if<std::int64_t>(&field.value)) return result + kNumber + fmt::to_string(*integer);
  const double number = std::get<double>(field.value);
  if (!std::isfinite(number)) return result + kString + fmt::to_string(number);  // JSON has no such number
  return result + kNumber + fmt::format("{:.6g}", number);
}

std::string JsonString(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// One line of valid UTF-8: as JsonString, but quotes stay as they are.
std::string OneLine(std::string_view text) {
  const std::string quoted = JsonString(text);
  std::string result;
  for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
    const bool escaped = quoted[i] == '\\';
    if (escaped && quoted[i + 1] != '"') result += '\\';
    if (escaped) ++i;
    result += quoted[i];
  }
  return result;
}

std::string Timestamp(spdlog::log_clock::time_point time) {
  const auto since_epoch = time.time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_epoch);
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch - seconds);
  const std::time_t clock = seconds.count();
  std::tm utc{};
  gmtime_r(&clock, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, millis.count());
}

std::string_view LevelName(spdlog::level::level_enum level) {
  const auto name = spdlog::level::to_string_view(level);
  return {name.data(), name.size()};
}

// Appends to `line` the fields encoded in `fields`, which starts with kFieldStart or is empty.
void AppendFields(LogFormat format, std::string_view fields, std::string* line) {
  while (!fields.empty()) {
    fields.remove_prefix(1);
    const std::string_view field = fields.substr(0, fields.find(kFieldStart));
    fields.remove_prefix(field.size());
    const std::size_t value_start = field.find(kValueStart);
    if (value_start == std::string_view::npos || value_start + 1 >= field.size()) continue;
    const std::string_view key = field.substr(0, value_start);
    const std::string_view value = field.substr(value_start + 2);
    const std::string rendered = field[value_start + 1] == kNumber ? std::string(value) : JsonString(value);
    *line += format == LogFormat::kJson ? fmt::format(",{}:{}", JsonString(key), rendered)
                                        : fmt::format(" {}={}", key, rendered);
  }
}

class EventFormatter : public spdlog::formatter {
 public:
  explicit EventFormatter(LogFormat format) : format_(format) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string_view payload(message.payload.data(), message.payload.size());
    const std::string_view text = payload.substr(0, payload.find(kFieldStart));
    const std::string time = Timestamp(message.time);
    std::string line = format_ == LogFormat::kJson
                           ? fmt::format(R"({{"time":"{}","level":"{}","message":{})", time, LevelName(message.level),
                                         JsonString(text))
                           : fmt::format("{} {:<7} {}", time, LevelName(message.level), OneLine(text));
    AppendFields(format_, payload.substr(text.size()), &line);
    line += format_ == LogFormat::kJson ? "}\n" : "\n";
    out.append(line.data(), line.data() + line.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<EventFormatter>(format_); }

 private:
  LogFormat format_;
};

}  // namespace

std::unique_ptr<spdlog::formatter> MakeLogFormatter(LogFormat format) {
  return std::make_unique<EventFormatter>(format);
}

void SetUpLogging(LogLevel level, LogFormat format) {
  auto logger = std::make_shared<spdlog::logger>("tome", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(MakeLogFormatter(format));
  logger->set_level(ToSpdlog(level));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

void LogEvent(LogLevel level, std::string_view message, const std::vector<LogField>& fields) {
  spdlog::logger* logger = spdlog::default_logger_raw();
  if (!logger->should_log(ToSpdlog(level))) return;
  std::string payload = WithoutSeparators(message);
  for (const LogField& field : fields) payload += Encode(field);
  logger->log(ToSpdlog(level), spdlog::string_view_t(payload.data(), payload.size()));
}

}  // namespace tome::server
