#include "server/rpc/wire/session_name.h"

#include "server/base/names.h"

namespace tome::server {
namespace {

constexpr std::string_view kSessionPrefix = "sessions/";

}  // namespace

std::optional<SessionId> ParseSessionName(std::string_view name) {
  if (name.substr(0, kSessionPrefix.size()) != kSessionPrefix) return std::nullopt;
  const std::string_view id = name.substr(kSessionPrefix.size());
  if (!IsSessionId(id)) return std::nullopt;
  return SessionId(id);
}

std::string SessionName(const SessionId& id) { return std::string(kSessionPrefix) + id; }

}  // namespace tome::server
