// A run: steps over a data set, with validation, checkpoints and a log.
#ifndef TOME_ENGINE_TRAINING_TRAINING_RUN_H_
#define TOME_ENGINE_TRAINING_TRAINING_RUN_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/training/adam_w.h"
#include "engine/training/data_set.h"
#include "engine/training/schedule.h"
#include "engine/training/training_layer.h"

namespace tome {

struct RunOptions {
  Schedule schedule;  // with the number of steps
  AdamWOptions adam;
  std::int64_t batch_sequences = 8;  // of one pass
  std::int64_t accumulation = 1;     // passes of one step
  double clip_norm = 1.0;            // gradients that are longer are cut to it; 0: never
  std::uint64_t seed = 1;            // of the order of sequences
  bool recompute = true;             // see PassOptions
  // Of CRD NTK: the factor grows to the encoding's in so many stages of equal length. The paper does not tell its
  // schedule; this is ours.
  std::int64_t crd_stages = 4;
  std::int64_t validate_every = 0;      // steps; 0: only at the end. Nothing without validation data
  std::int64_t checkpoint_every = 100;  // steps; 0: only at the end
  std::string folder;                   // of checkpoints, the log and the adapter
  // What else decides the numbers, for TrainingPlace::identity.
  std::map<std::string, std::string> identity;
};

struct StepReport {
  std::int64_t step = 0;                                  // that was taken, from 1 on
  double learning_rate = 0, loss = 0, gradient_norm = 0;  // nats per token that counts; of the whole step
  std::int64_t tokens = 0;                                // read since the run began, resumed runs included
  double seconds = 0;                                     // since this process began the run
  std::optional<double> validation_loss;
};

struct RunResult {
  std::int64_t steps = 0;
  bool interrupted = false;
  std::optional<double> validation_loss;  // the last one
};

// Takes all steps, from the newest checkpoint of the folder on where there is one; runs that were ended at any moment
// and go on give bit for bit what they would have given. Each step is a line of `folder`/losses.csv. In the end the
// adapter is in `folder`/adapter. When `stop` becomes true, a checkpoint is written after the step and the run ends.
// INTERNAL, with the step and the sequences, for a loss that is no finite number; INVALID_ARGUMENT for options that do
// not fit; errors of the file system and of RestoreTrainingCheckpoint. Throws what torch throws.
absl::StatusOr<RunResult> RunTraining(const TrainingModel& model, const DataSet& data, const DataSet& validation,
                                      const RunOptions& options, const std::function<void(const StepReport&)>& report,
                                      const std::atomic<bool>* stop = nullptr);

// Nats per token that counts, without gradients.
absl::StatusOr<double> ValidationLoss(const TrainingModel& model, const DataSet& data, std::int64_t batch_sequences);

}  // namespace tome

#endif  // TOME_ENGINE_TRAINING_TRAINING_RUN_H_
