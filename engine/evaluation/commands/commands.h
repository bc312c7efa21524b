// The commands of tome-eval: options in, tables and JSON out.
#ifndef TOME_ENGINE_EVALUATION_COMMANDS_COMMANDS_H_
#define TOME_ENGINE_EVALUATION_COMMANDS_COMMANDS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace CLI {
class App;
}  // namespace CLI

namespace tome {

class Answerer;
// Connects to the server at an address.
using AnswererFactory = std::function<absl::StatusOr<std::unique_ptr<Answerer>>(const std::string& target)>;

// Each adds a subcommand that, when it was given, sets `run` to its work. `argv` lasts as long as the program.
// `connect`: for --target.
void AddCalibrateCommand(CLI::App& app, int argc, char** argv, std::function<absl::Status()>* run);
void AddNeedleCommand(CLI::App& app, const AnswererFactory& connect, std::function<absl::Status()>* run);
void AddQaCommand(CLI::App& app, const AnswererFactory& connect, std::function<absl::Status()>* run);
void AddStreamCommand(CLI::App& app, std::function<absl::Status()>* run);
void AddRecallCommand(CLI::App& app, std::function<absl::Status()>* run);
void AddCostCommand(CLI::App& app, std::function<absl::Status()>* run);
void AddPerplexityCommand(CLI::App& app, std::function<absl::Status()>* run);
void AddPatternCommand(CLI::App& app, std::function<absl::Status()>* run);
// Adds one for each of the synthetic tasks.
void AddTaskCommands(CLI::App& app, const AnswererFactory& connect, std::function<absl::Status()>* run);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_COMMANDS_COMMANDS_H_
