// Stops work that is under way from another thread: a Ctrl-C, a closed window, a parent that gave up.
#ifndef TOME_CLIENT_CANCELLATION_H_
#define TOME_CLIENT_CANCELLATION_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

namespace tome::client {

// Cancelled once, for good. Thread-safe. Outlives every call and registration that was given it.
class Cancellation {
 public:
  // While it lives, its callback runs once when the cancellation happens (at once if it already has). The destructor
  // waits until a running callback has returned. Callbacks are short, and make or drop no registration of the same
  // cancellation.
  class Registration {
   public:
    Registration() = default;
    Registration(Registration&& other) noexcept;
    Registration& operator=(Registration&& other) noexcept;
    ~Registration();

   private:
    friend class Cancellation;
    Registration(Cancellation* owner, std::uint64_t id) : owner_(owner), id_(id) {}
    Cancellation* owner_ = nullptr;
    std::uint64_t id_ = 0;
  };

  Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  void Cancel();
  bool cancelled() const;
  // Waits for `duration` or until cancelled, whichever is first. True when cancelled.
  bool WaitFor(std::chrono::milliseconds duration) const;
  [[nodiscard]] Registration OnCancel(std::function<void()> callback);

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool cancelled_ = false;                                    // guarded by mutex_
  std::uint64_t next_id_ = 1;                                 // guarded by mutex_
  std::map<std::uint64_t, std::function<void()>> callbacks_;  // guarded by mutex_
};

}  // namespace tome::client

#endif  // TOME_CLIENT_CANCELLATION_H_
