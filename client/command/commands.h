// The subcommands of `tome`. Each function adds its subcommands to the app and, when one of them is chosen on the
// command line, puts what it does into `*action`.
#ifndef TOME_CLIENT_COMMAND_COMMANDS_H_
#define TOME_CLIENT_COMMAND_COMMANDS_H_

#include <cstdint>
#include <string>

#include "CLI/CLI.hpp"
#include "client/command/context.h"

namespace tome::command {

void AddSessionCommands(CLI::App& app, Action* action);   // create, list, show, documents, rename, delete
void AddSnapshotCommands(CLI::App& app, Action* action);  // snapshot, reread
void AddForkCommand(CLI::App& app, Action* action);
void AddTransferCommands(CLI::App& app, Action* action);  // export, import
void AddExpireCommand(CLI::App& app, Action* action);
void AddVerifyCommand(CLI::App& app, Action* action);
void AddAppendCommand(CLI::App& app, Action* action);
void AddAskCommand(CLI::App& app, Action* action);
void AddSearchCommand(CLI::App& app, Action* action);
void AddScoreCommand(CLI::App& app, Action* action);
void AddWatchCommand(CLI::App& app, Action* action);
void AddModelCommands(CLI::App& app, Action* action);  // model, tokenize

// --effort of questions and searches: "fast", "balanced", "thorough", or empty for the server's default.
CLI::Option* AddEffortOption(CLI::App* command, std::string* effort);
v1::Effort EffortOf(const std::string& effort);
std::string EffortName(v1::Effort effort);

// --wait-for and --wait-for-all of questions and searches, and the bytes that they mean: 0 when neither is given.
void AddWaitOptions(CLI::App* command, std::string* wait_for);
absl::StatusOr<std::uint64_t> BytesToWaitFor(const std::string& wait_for, const std::string& session, Context& context);

// "90s", "30m", "12h", "7d" or a number of seconds. A usage error that names `option` for anything else, and for less
// than a second or more than 100 years.
absl::StatusOr<google::protobuf::Duration> ParseTimeToLive(const std::string& option, const std::string& text);

// The short name of an enum value of the contract: "reading" for PHASE_READING.
std::string PhaseName(v1::Session::Phase phase);
// The same, with the place of a session that waits for memory.
std::string PhaseText(v1::Session::Phase phase, std::uint32_t queue_position);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_COMMANDS_H_
