// Names of sessions, as clients write them.
#ifndef TOME_SERVER_RPC_WIRE_SESSION_NAME_H_
#define TOME_SERVER_RPC_WIRE_SESSION_NAME_H_

#include <optional>
#include <string>
#include <string_view>

#include "server/base/types.h"

namespace tome::server {

// The id in "sessions/{id}"; nullopt when the name is not of this form.
std::optional<SessionId> ParseSessionName(std::string_view name);
std::string SessionName(const SessionId& id);

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_WIRE_SESSION_NAME_H_
