// The bytes of a document between its source and their acknowledgement: what a broken connection loses is sent again
// from here.
#ifndef TOME_CLIENT_RESEND_BUFFER_H_
#define TOME_CLIENT_RESEND_BUFFER_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tome::client {

// Holds document bytes first_offset() <= i < end, at most `capacity` of them. One thread pushes, one takes, any
// releases. Offsets are those of the document.
class ResendBuffer {
 public:
  ResendBuffer(std::size_t capacity, std::uint64_t first_offset) : ring_(capacity), first_(first_offset) {}

  // Adds bytes at the end, waiting for room. False when closed meanwhile: the rest is not wanted.
  bool Push(std::string_view bytes);
  // Nothing more comes: the source ended (OK) or failed.
  void End(absl::Status status);

  struct Piece {
    std::string data;   // empty only when `last`
    bool last = false;  // the source ended right after it
  };
  // At most `max_bytes` from `offset` on, which is held or is the end; waits until there are some. None when `stop`
  // became true (see Wake) or the buffer is closed; the source's error once all bytes before it were taken.
  absl::StatusOr<std::optional<Piece>> Take(std::uint64_t offset, std::size_t max_bytes, const std::atomic<bool>& stop);
  // Bytes before `offset` are safe elsewhere. Less than first_offset() changes nothing; more than the end is the end.
  void Release(std::uint64_t offset);
  // Makes a waiting Take look at its `stop` again.
  void Wake();
  // Ends all waiting, for good.
  void Close();

  std::size_t capacity() const { return ring_.size(); }
  std::uint64_t first_offset() const;

 private:
  std::string CopyLocked(std::uint64_t offset, std::size_t size) const;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // All guarded by mutex_. Byte `offset` lies at ring_[offset % size].
  std::vector<char> ring_;
  std::uint64_t first_;
  std::size_t held_ = 0;
  std::optional<absl::Status> ended_;
  bool closed_ = false;
};

}  // namespace tome::client

#endif  // TOME_CLIENT_RESEND_BUFFER_H_
