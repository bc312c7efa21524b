#include "engine/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/base/status.h"

namespace tome {

absl::StatusOr<ScheduleKind> ParseScheduleKind(std::string_view name) {
  for (const ScheduleKind kind : {ScheduleKind::kConstant, ScheduleKind::kLinear, ScheduleKind::kCosine}) {
    if (ScheduleKindName(kind) == name) return kind;
  }
  return InvalidArgument("unknown schedule '{}': expected constant, linear or cosine", name);
}

std::string_view ScheduleKindName(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::kConstant:
      return "constant";
    case ScheduleKind::kLinear:
      return "linear";
    case ScheduleKind::kCosine:
      return "cosine";
  }
  return "unknown";
}

double Schedule::At(std::int64_t step) const {
  if (step < warmup_steps) {
    return learning_rate * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  }
  const double left = static_cast<double>(std::max<std::int64_t>(1, steps - warmup_steps));
  const double done = std::min(1.0, static_cast<double>(step - warmup_steps) / left);
  switch (kind) {
    case ScheduleKind::kConstant:
      return learning_rate;
    case ScheduleKind::kLinear:
      return learning_rate * (1 - done);
    case ScheduleKind::kCosine:
      return learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * done));
  }
  return learning_rate;
}

}  // namespace tome
