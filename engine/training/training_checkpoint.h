// What a run needs to go on as if it had not ended: the adapter, the optimizer's state, and how far it was.
#ifndef TOME_ENGINE_TRAINING_TRAINING_CHECKPOINT_H_
#define TOME_ENGINE_TRAINING_TRAINING_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/training/adam_w.h"
#include "engine/training/trainable.h"

namespace tome {

struct TrainingPlace {
  std::int64_t steps = 0;   // that were taken
  std::int64_t tokens = 0;  // that were read in them
  // What decides the numbers of a run, by name: a run goes on only where all are what they were.
  std::map<std::string, std::string> identity;
};

// Writes `folder`/checkpoint-STEPS, a folder that PEFT can load as an adapter, aside first and then renamed: after a
// crash it is whole or not there. Older checkpoints are removed then. Errors of the file system.
absl::Status WriteTrainingCheckpoint(const std::string& folder, const Trainable& trainable, const AdamW& optimizer,
                                     const TrainingPlace& place, const LlamaConfig& config);

// The newest checkpoint's folder; nullopt where there is none. Removes what a crash has left unfinished.
std::optional<std::string> FindTrainingCheckpoint(const std::string& folder);

// Puts a checkpoint's numbers, bit for bit, into what was made with the same options, and gives its place.
// FAILED_PRECONDITION where the identity differs (the message has both values); INVALID_ARGUMENT for damaged files.
absl::StatusOr<TrainingPlace> RestoreTrainingCheckpoint(const std::string& checkpoint,
                                                        const std::map<std::string, std::string>& identity,
                                                        const Trainable& trainable, AdamW* optimizer);

}  // namespace tome

#endif  // TOME_ENGINE_TRAINING_TRAINING_CHECKPOINT_H_
