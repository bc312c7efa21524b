// Calls that go on until they are not wanted any more.
#ifndef TOME_SERVER_SESSION_SUBSCRIPTION_H_
#define TOME_SERVER_SESSION_SUBSCRIPTION_H_

#include <functional>
#include <utility>

namespace tome::server {

// Stops the calls when dropped. Movable; thread-safe to drop from any thread, also inside its own callback.
class Subscription {
 public:
  Subscription() = default;
  explicit Subscription(std::function<void()> cancel) : cancel_(std::move(cancel)) {}
  Subscription(Subscription&& other) noexcept : cancel_(std::exchange(other.cancel_, nullptr)) {}
  Subscription& operator=(Subscription&& other) noexcept {
    if (this != &other) {
      Reset();
      cancel_ = std::exchange(other.cancel_, nullptr);
    }
    return *this;
  }
  ~Subscription() { Reset(); }

  void Reset() {
    if (auto cancel = std::exchange(cancel_, nullptr)) cancel();
  }

 private:
  std::function<void()> cancel_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_SUBSCRIPTION_H_
