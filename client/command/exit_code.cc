#include "client/command/exit_code.h"

#include "absl/strings/cord.h"

namespace tome::command {
namespace {

constexpr char kUsagePayload[] = "tome.command/usage";

}  // namespace

absl::Status UsageError(const std::string& message) {
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload(kUsagePayload, absl::Cord("1"));
  return status;
}

bool IsUsageError(const absl::Status& status) { return status.GetPayload(kUsagePayload).has_value(); }

ExitCode ExitCodeFor(const absl::Status& status) {
  if (IsUsageError(status)) return ExitCode::kUsage;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kUnavailable;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return ExitCode::kRefused;
    default:
      return ExitCode::kServerError;
  }
}

std::string ExitCodeHelp() {
  return "Exit codes:\n"
         "  0    done\n"
         "  1    the server failed, or something unforeseen happened\n"
         "  2    the command was called wrongly, or a file cannot be read\n"
         "  3    no such session or document\n"
         "  4    the server cannot be reached, is starting or shutting down, or took longer than --timeout\n"
         "  5    the server refused: a value it does not accept, a limit, a sealed document\n"
         "  130  stopped with Ctrl-C (143: by SIGTERM)\n";
}

}  // namespace tome::command
