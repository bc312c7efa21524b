// What a session would cost, as people read it.
#ifndef TOME_CLIENT_COMMAND_SESSION_COST_H_
#define TOME_CLIENT_COMMAND_SESSION_COST_H_

#include <string>

#include "tome/v1/tome.pb.h"

namespace tome::command {

// The parts, and a table of what they come to at the lengths that the server names.
std::string FormatSessionCost(const v1::SessionCost& cost);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_SESSION_COST_H_
