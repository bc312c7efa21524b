// What is done when a job is dropped because its queue takes no more.
#ifndef TOME_SERVER_SCHEDULING_DROPPED_H_
#define TOME_SERVER_SCHEDULING_DROPPED_H_

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "server/scheduling/thread_pool.h"

namespace tome::server {

// Calls `dropped` when it is destroyed, unless it was disarmed. A job that holds it, by a shared pointer, disarms it
// when it runs.
class WhenDropped {
 public:
  explicit WhenDropped(std::function<void()> dropped) : dropped_(std::move(dropped)) {}
  ~WhenDropped() {
    if (dropped_) dropped_();
  }
  WhenDropped(const WhenDropped&) = delete;
  WhenDropped& operator=(const WhenDropped&) = delete;

  void Disarm() { dropped_ = nullptr; }

 private:
  std::function<void()> dropped_;
};

// `done`, which is called in any case: by `callbacks` with `error` when the function returned is dropped without having
// been called.
template <typename Result>
std::function<void(Result)> Answered(std::function<void(Result)> done, SerialQueue callbacks, absl::Status error) {
  auto when_dropped = std::make_shared<WhenDropped>(
      [done, callbacks, error = std::move(error)]() mutable { callbacks.Post([done, error] { done(error); }); });
  return [done = std::move(done), when_dropped = std::move(when_dropped)](Result result) {
    when_dropped->Disarm();
    done(std::move(result));
  };
}

}  // namespace tome::server

#endif  // TOME_SERVER_SCHEDULING_DROPPED_H_
