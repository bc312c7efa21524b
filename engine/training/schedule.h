// The learning rate of each step.
#ifndef TOME_ENGINE_TRAINING_SCHEDULE_H_
#define TOME_ENGINE_TRAINING_SCHEDULE_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace tome {

enum class ScheduleKind {
  kConstant,
  kLinear,  // falls evenly to 0 after the last step
  kCosine,  // falls as half a cosine wave
};
absl::StatusOr<ScheduleKind> ParseScheduleKind(std::string_view name);  // "constant", "linear", "cosine"
std::string_view ScheduleKindName(ScheduleKind kind);

struct Schedule {
  ScheduleKind kind = ScheduleKind::kConstant;
  double learning_rate = 2e-5;     // the highest
  std::int64_t warmup_steps = 20;  // it rises evenly from learning_rate / warmup_steps
  std::int64_t steps = 0;          // of the whole run

  // Of step 0 .. steps - 1.
  double At(std::int64_t step) const;
};

}  // namespace tome

#endif  // TOME_ENGINE_TRAINING_SCHEDULE_H_
