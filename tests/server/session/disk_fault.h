// How a call for the disk fails in tests.
#ifndef TOME_TESTS_SERVER_SESSION_DISK_FAULT_H_
#define TOME_TESTS_SERVER_SESSION_DISK_FAULT_H_

namespace tome::testing {

enum class DiskFault {
  kFull,        // ENOSPC
  kIoError,     // EIO
  kShortFull,   // as kFull, but a write leaves the first half of its bytes
  kShortError,  // as kIoError, but a write leaves the first half of its bytes
};

constexpr bool IsFull(DiskFault fault) { return fault == DiskFault::kFull || fault == DiskFault::kShortFull; }
constexpr bool IsShort(DiskFault fault) { return fault == DiskFault::kShortFull || fault == DiskFault::kShortError; }

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_SESSION_DISK_FAULT_H_
