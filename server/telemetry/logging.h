// Structured logs on stderr: one event a line, as text or as a JSON object.
//
//   text  2026-01-31T12:00:00.123Z info  call method="GetSession" code="OK" duration_ms=0.4
//   json  {"time":"2026-01-31T12:00:00.123Z","level":"info","message":"call","method":"GetSession",...}
//
// Lines that other code writes through spdlog's default logger come out in the same form, without fields. Whatever a
// message or a value holds, a line stays one line and JSON stays valid: control characters are escaped, bytes that are
// not UTF-8 become U+FFFD.
#ifndef TOME_SERVER_TELEMETRY_LOGGING_H_
#define TOME_SERVER_TELEMETRY_LOGGING_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "spdlog/formatter.h"

namespace tome::server {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat { kText, kJson };

// Makes spdlog's default logger write to stderr in this form. Call it once, before other threads log.
void SetUpLogging(LogLevel level, LogFormat format);

struct LogField {
  std::string_view key;  // [a-z0-9_]+
  std::variant<std::string, std::int64_t, double> value;
};

// Thread-safe. `message` names the kind of event and stays the same for all events of a kind.
void LogEvent(LogLevel level, std::string_view message, const std::vector<LogField>& fields = {});

// The formatter behind SetUpLogging.
std::unique_ptr<spdlog::formatter> MakeLogFormatter(LogFormat format);

}  // namespace tome::server

#endif  // TOME_SERVER_TELEMETRY_LOGGING_H_
