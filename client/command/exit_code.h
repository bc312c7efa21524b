// How the `tome` command ends.
#ifndef TOME_CLIENT_COMMAND_EXIT_CODE_H_
#define TOME_CLIENT_COMMAND_EXIT_CODE_H_

#include <string>

#include "absl/status/status.h"

namespace tome::command {

enum class ExitCode {
  kOk = 0,
  kServerError = 1,  // also everything unforeseen
  kUsage = 2,
  kNotFound = 3,
  kUnavailable = 4,
  kRefused = 5,
  kInterrupted = 130,
};

// A mistake in how the command was called: ends it with kUsage.
absl::Status UsageError(const std::string& message);
bool IsUsageError(const absl::Status& status);

ExitCode ExitCodeFor(const absl::Status& status);

// For --help.
std::string ExitCodeHelp();

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_EXIT_CODE_H_
