#include "client/command/context.h"

#include <algorithm>

#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "fmt/format.h"

namespace tome::command {

void Context::PrintJson(const Json& json) const { out << Dump(json) << std::endl; }

absl::StatusOr<std::string> SessionName(const std::string& argument) {
  constexpr std::string_view kPrefix = "sessions/";
  const std::string id = argument.starts_with(kPrefix) ? argument.substr(kPrefix.size()) : argument;
  const bool plain =
      std::all_of(id.begin(), id.end(), [](unsigned char c) { return c > 0x20 && c < 0x7F && c != '/'; });
  if (id.empty() || !plain) {
    return UsageError(
        fmt::format("'{}' is no session: expected an id such as k3xq-9v2m, or sessions/k3xq-9v2m "
                    "(tome list shows them)",
                    Printable(argument)));
  }
  return std::string(kPrefix) + id;
}

}  // namespace tome::command
