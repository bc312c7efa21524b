// Small files that a command line names.
#ifndef TOME_CLIENT_COMMAND_INPUT_FILE_H_
#define TOME_CLIENT_COMMAND_INPUT_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace tome::command {

// All bytes of the file, at most 16 MiB. Usage errors that name the file and what it is.
absl::StatusOr<std::string> ReadInputFile(const std::string& path);

// The same of UTF-8 text.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_INPUT_FILE_H_
