// What Step does, for tasks of any make.
#ifndef TOME_ENGINE_GENERATION_STEP_TASKS_H_
#define TOME_ENGINE_GENERATION_STEP_TASKS_H_

#include <vector>

#include "absl/types/span.h"
#include "engine/generation/task.h"
#include "engine/generation/task_impl.h"

namespace tome {

// See Step. The tasks that decode share a pass; where that throws, each has a pass of its own, so that only those end
// with an error whose own pass throws.
std::vector<StepResult> StepTasks(absl::Span<TaskImpl* const> tasks);

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_STEP_TASKS_H_
