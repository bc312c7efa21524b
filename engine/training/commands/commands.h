// The commands of tome-train. They print tables on stdout and progress on stderr.
#ifndef TOME_ENGINE_TRAINING_COMMANDS_COMMANDS_H_
#define TOME_ENGINE_TRAINING_COMMANDS_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <functional>

#include "absl/status/status.h"

namespace tome {

// Each adds its command to `app`; when it was chosen, parsing sets `run` to it.
void AddTrainCommand(CLI::App& app, std::function<absl::Status()>* run);
void AddMergeCommand(CLI::App& app, std::function<absl::Status()>* run);

}  // namespace tome

#endif  // TOME_ENGINE_TRAINING_COMMANDS_COMMANDS_H_
