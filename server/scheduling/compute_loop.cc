#include "server/scheduling/compute_loop.h"

#include <utility>

namespace tome::server {

ComputeLoop::ComputeLoop(const ComputeLoopOptions& options, const Clock& clock)
    : options_(options), clock_(clock), ledger_(options.reading_share), thread_([this] { Run(); }) {}

ComputeLoop::~ComputeLoop() { Stop(); }

void ComputeLoop::Submit(Lane lane, std::shared_ptr<ComputeWork> work) {
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    (lane == Lane::kQuestions ? questions_ : reading_).push_back(std::move(work));
  }
  changed_.notify_one();
}

void ComputeLoop::Stop() {
  std::deque<std::shared_ptr<ComputeWork>> dropped_questions, dropped_reading;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    dropped_questions.swap(questions_);
    dropped_reading.swap(reading_);
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void ComputeLoop::Run() {
  for (;;) {
    Lane lane;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopped_ || !questions_.empty() || !reading_.empty(); });
      if (stopped_) return;
      lane = ledger_.ReadingIsNext(!questions_.empty(), !reading_.empty()) ? Lane::kReading : Lane::kQuestions;
    }
    std::vector<Entry> batch = lane == Lane::kReading ? TakeReading() : TakeQuestions();
    if (!batch.empty()) StepBatch(lane, std::move(batch));
  }
}

std::shared_ptr<ComputeWork> ComputeLoop::Pop(Lane lane) {
  std::lock_guard lock(mutex_);
  auto& queue = lane == Lane::kQuestions ? questions_ : reading_;
  if (queue.empty()) return nullptr;
  std::shared_ptr<ComputeWork> work = std::move(queue.front());
  queue.pop_front();
  return work;
}

std::vector<ComputeLoop::Entry> ComputeLoop::TakeReading() {
  while (std::shared_ptr<ComputeWork> work = Pop(Lane::kReading)) {
    if (Task* task = work->NextTask()) return {{std::move(work), task}};
  }
  return {};
}

std::vector<ComputeLoop::Entry> ComputeLoop::TakeQuestions() {
  std::vector<Entry> batch;
  std::vector<std::shared_ptr<ComputeWork>> later;
  bool has_prompt = false;
  while (batch.size() < static_cast<std::size_t>(options_.max_batch)) {
    std::shared_ptr<ComputeWork> work = Pop(Lane::kQuestions);
    if (!work) break;
    Task* task = work->NextTask();
    if (!task) continue;
    if (!task->decoding() && std::exchange(has_prompt, true)) {
      later.push_back(std::move(work));
    } else {
      batch.push_back({std::move(work), task});
    }
  }
  // The prompts that wait keep their places before the work of this step.
  std::lock_guard lock(mutex_);
  if (!stopped_) questions_.insert(questions_.begin(), later.begin(), later.end());
  return batch;
}

void ComputeLoop::StepBatch(Lane lane, std::vector<Entry> batch) {
  std::vector<Task*> tasks;
  for (const Entry& entry : batch) tasks.push_back(entry.task);
  const absl::Duration start = clock_.Elapsed();
  std::vector<StepResult> results = Step(tasks);
  const absl::Duration step_time = clock_.Elapsed() - start;
  ledger_.Charge(lane == Lane::kReading, step_time);
  for (std::size_t i = 0; i < batch.size(); ++i) batch[i].work->OnStep(std::move(results[i]), step_time);
  for (Entry& entry : batch) Submit(lane, std::move(entry.work));
}

}  // namespace tome::server
