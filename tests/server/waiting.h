// Waiting for what another thread does, with a limit that only a hanging test reaches.
#ifndef TOME_TESTS_SERVER_WAITING_H_
#define TOME_TESTS_SERVER_WAITING_H_

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "gtest/gtest.h"

namespace tome::testing {

inline constexpr std::chrono::seconds kHangs(60);

// A value that arrives once. Copies share it. Thread-safe.
template <typename T>
class Awaited {
 public:
  // What to give as the callback.
  std::function<void(T)> callback() const {
    return [state = state_](T value) {
      std::lock_guard lock(state->mutex);
      state->value.emplace(std::move(value));
      state->changed.notify_all();
    };
  }

  // Waits for the value. Ends the test program when none comes.
  const T& Get() const {
    std::unique_lock lock(state_->mutex);
    if (!state_->changed.wait_for(lock, kHangs, [this] { return state_->value.has_value(); })) {
      ADD_FAILURE() << "nothing came";
      std::abort();
    }
    return *state_->value;
  }

  bool Has() const {
    std::lock_guard lock(state_->mutex);
    return state_->value.has_value();
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<T> value;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// A value that threads change and a test waits on. Thread-safe.
template <typename T>
class Watched {
 public:
  template <typename Change>
  void Update(Change change) {
    std::lock_guard lock(mutex_);
    change(value_);
    changed_.notify_all();
  }

  // Waits until `condition` holds and returns a copy. Ends the test program when it never does.
  template <typename Condition>
  T WaitUntil(Condition condition) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kHangs, [&] { return condition(value_); })) {
      ADD_FAILURE() << "the condition never came true";
      std::abort();
    }
    return value_;
  }

  T Get() {
    std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  T value_{};
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_WAITING_H_
