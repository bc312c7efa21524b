// What all questions share.
#ifndef TOME_SERVER_QUESTIONS_QUESTION_CONTEXT_H_
#define TOME_SERVER_QUESTIONS_QUESTION_CONTEXT_H_

#include "server/base/options.h"
#include "server/scheduling/activity.h"
#include "server/scheduling/clock.h"
#include "server/scheduling/compute_loop.h"
#include "server/scheduling/question_gate.h"
#include "server/scheduling/thread_pool.h"
#include "server/telemetry/observer.h"

namespace tome::server {

struct QuestionContext {
  const SessionManagerOptions& options;
  Observer& observer;
  const Clock& clock;
  QuestionGate& gate;
  ThreadPool& callbacks;  // calls of the observers
  Activity& activity;     // questions that have not ended
  ComputeLoop& compute;
};

}  // namespace tome::server

#endif  // TOME_SERVER_QUESTIONS_QUESTION_CONTEXT_H_
