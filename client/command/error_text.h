// Errors in words: what happened and what to do.
#ifndef TOME_CLIENT_COMMAND_ERROR_TEXT_H_
#define TOME_CLIENT_COMMAND_ERROR_TEXT_H_

#include <string>

#include "absl/status/status.h"

namespace tome::command {

// One line, without a line end and without control characters. `server` is its address.
std::string DescribeError(const absl::Status& status, const std::string& server);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_ERROR_TEXT_H_
