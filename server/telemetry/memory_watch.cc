#include "server/telemetry/memory_watch.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "engine/base/process_memory.h"

namespace tome::server {
namespace {

constexpr std::size_t kLeastExcess = 4 << 20;
// What the first calls and passes allocate for good: stacks of threads, arenas, scratch of the kernels.
constexpr std::size_t kWorkingBytes = 8 << 20;
constexpr absl::Duration kLongest = absl::Seconds(15);

// Loading a model frees much.
std::size_t BytesWithoutWhatWasFreed() {
  ReturnFreedMemory();
  return AnonymousBytes();
}

std::size_t Excess(std::size_t held, std::size_t accounted) { return held > accounted ? held - accounted : 0; }

}  // namespace

bool TrimPolicy::ShouldTrim(std::size_t held, std::size_t accounted, absl::Time now) {
  const std::size_t excess = Excess(held, accounted);
  if (excess < std::max(kLeastExcess, accounted / 20)) return false;
  return excess >= left_excess_ + kLeastExcess || now - last_attempt_ >= kLongest;
}

void TrimPolicy::OnTrimmed(std::size_t held, std::size_t accounted, absl::Time now) {
  left_excess_ = Excess(held, accounted);
  last_attempt_ = now;
}

MemoryWatch::MemoryWatch(Metrics& metrics, absl::Duration period)
    : metrics_(metrics), period_(period), own_bytes_(BytesWithoutWhatWasFreed()), thread_([this] { Run(); }) {}

MemoryWatch::~MemoryWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void MemoryWatch::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    Look();
    lock.lock();
    changed_.wait_for(lock, absl::ToChronoMilliseconds(period_), [this] { return stopping_; });
  }
}

void MemoryWatch::Look() {
  const std::size_t accounted = own_bytes_ + kWorkingBytes + metrics_.session_bytes();
  std::size_t held = AnonymousBytes();
  if (policy_.ShouldTrim(held, accounted, absl::Now())) {
    ReturnFreedMemory();
    held = AnonymousBytes();
    policy_.OnTrimmed(held, accounted, absl::Now());
  }
  metrics_.SetProcessMemory(accounted, held);
}

}  // namespace tome::server
