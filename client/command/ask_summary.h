// What stands below an answer.
#ifndef TOME_CLIENT_COMMAND_ASK_SUMMARY_H_
#define TOME_CLIENT_COMMAND_ASK_SUMMARY_H_

#include <string>

#include "tome/v1/tome.pb.h"

namespace tome::command {

// One line: how the answer ended, usage, timings, and what of the session it could see.
std::string FormatAskSummary(const v1::AskResult& result);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_ASK_SUMMARY_H_
