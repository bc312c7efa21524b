#include "client/command/error_text.h"

#include <string_view>

#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/errors.h"
#include "fmt/format.h"

namespace tome::command {
namespace {

std::string Unavailable(const std::string& message, const client::ErrorDetails& details, const std::string& server) {
  if (!details.present) {
    return fmt::format("cannot reach a server at {}: start one with tome-server, or name another with --server ({})",
                       server, message);
  }
  return fmt::format("the server at {} is not available: {}", server, message);
}

// What to do about it, where that is known.
std::string Advice(const absl::Status& status, const client::ErrorDetails& details) {
  if (details.reason == "INVALID_UTF8") {
    return "; see --replace-invalid-utf8";
  }
  if (details.reason == "DOCUMENT_UNFINISHED") return "; append the rest of that document first, without --no-finish";
  if (details.reason == "DOCUMENT_SEALED" || details.reason == "CONTENT_MISMATCH")
    return "; choose another --document for other text";
  if (details.reason == "MEMORY_OPTIONS") return "; see --window, --segment, --sink, --region and --region-memory";
  if (details.reason == "SESSION_NOT_FOUND") return "; tome list shows the sessions there are";
  if (absl::IsDeadlineExceeded(status)) return "; --timeout gives it longer";
  return "";
}

}  // namespace

std::string DescribeError(const absl::Status& status, const std::string& server) {
  const client::ErrorDetails details = client::DetailsOf(status);
  std::string message(status.message());
  if (IsUsageError(status)) return Printable(message);
  std::string text;
  if (absl::IsUnavailable(status)) {
    text = Unavailable(message, details, server);
  } else if (absl::IsDeadlineExceeded(status)) {
    text = fmt::format("the server at {} did not answer in time", server);
  } else if (message.empty()) {
    text = absl::StatusCodeToString(status.code());
  } else {
    text = message;
  }
  for (const auto& violation : details.field_violations) {
    std::string_view told = violation.description;
    if (told.ends_with("...")) told.remove_suffix(3);  // a long one was cut
    if (message.find(told) != std::string::npos) continue;
    text += fmt::format("; {}: {}", violation.field, violation.description);
  }
  text += Advice(status, details);
  if (details.retry_delay.has_value()) {
    text += fmt::format("; try again in {}", FormatDuration(*details.retry_delay));
  }
  return Printable(text);
}

}  // namespace tome::command
