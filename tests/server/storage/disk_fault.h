// How a call for the disk fails in tests.
#ifndef TOME_TESTS_SERVER_STORAGE_DISK_FAULT_H_
#define TOME_TESTS_SERVER_STORAGE_DISK_FAULT_H_

#include <limits>
#include <utility>

namespace tome::testing {

enum class DiskFault {
  kFull,        // ENOSPC
  kIoError,     // EIO
  kShortFull,   // as kFull, but a write leaves the first half of its bytes
  kShortError,  // as kIoError, but a write leaves the first half of its bytes
};

constexpr bool IsFull(DiskFault fault) { return fault == DiskFault::kFull || fault == DiskFault::kShortFull; }
constexpr bool IsShort(DiskFault fault) { return fault == DiskFault::kShortFull || fault == DiskFault::kShortError; }

// Counts calls, and says which of them fails. Not thread-safe.
class FaultCounter {
 public:
  // The call after the next `successes` ones fails, and all that follow, or with `once` none of those.
  void FailAfter(int successes, bool once) {
    calls_ = 0;
    left_ = successes;
    once_ = once;
  }
  // Nothing fails any more. How many calls there were since FailAfter.
  int Heal() {
    left_ = kAll;
    return std::exchange(calls_, 0);
  }
  bool NextFails() {
    ++calls_;
    if (left_ == kAll || left_-- > 0) return false;
    if (once_) left_ = kAll;
    return true;
  }

 private:
  static constexpr int kAll = std::numeric_limits<int>::max();
  int calls_ = 0;
  int left_ = kAll;  // that succeed
  bool once_ = false;
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_STORAGE_DISK_FAULT_H_
