// Messages of a session's Append streams that are not yet durable, and who waits for room among them.
#ifndef TOME_SERVER_SESSION_APPEND_QUEUE_H_
#define TOME_SERVER_SESSION_APPEND_QUEUE_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/session/session_context.h"
#include "server/session/types.h"

namespace tome::server {

// One Append stream.
struct WriterState {
  std::string document;
  Utf8Policy invalid_utf8 = Utf8Policy::kRefuse;
  absl::Status failure;  // the session's strand only: what ended the stream
};

struct PendingWrite {
  std::shared_ptr<WriterState> writer;
  WriteRequest request;
  std::function<void(absl::StatusOr<WriteResult>)> done;
  Activity::Token activity;
};

// Thread-safe.
class AppendQueue {
 public:
  explicit AppendQueue(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // True when nobody was told yet to take writes: the caller sees to it that Take is called.
  bool Push(PendingWrite write) {
    std::lock_guard lock(mutex_);
    bytes_ += write.request.data.size();
    writes_.push_back(std::move(write));
    return !std::exchange(taking_, true);
  }

  // The oldest writes: at least one if there is any, and as many more as have at most `max_bytes` together. When none
  // is left, the next Push returns true.
  std::vector<PendingWrite> Take(std::size_t max_bytes) {
    std::lock_guard lock(mutex_);
    std::vector<PendingWrite> batch;
    std::size_t bytes = 0;
    while (!writes_.empty()) {
      bytes += writes_.front().request.data.size();
      if (!batch.empty() && bytes > max_bytes) break;
      batch.push_back(std::move(writes_.front()));
      writes_.pop_front();
    }
    if (batch.empty()) taking_ = false;
    return batch;
  }

  // Writes with so many bytes are done. Gives those who waited for room, if there is room now.
  std::vector<std::function<void()>> Release(std::size_t bytes) {
    std::lock_guard lock(mutex_);
    bytes_ -= bytes;
    if (bytes_ >= max_bytes_) return {};
    return std::exchange(waiting_, {});
  }

  // True when there is room; else `ready` is kept for Release.
  bool HasRoomOrWait(const std::function<void()>& ready) {
    std::lock_guard lock(mutex_);
    if (bytes_ < max_bytes_) return true;
    waiting_.push_back(ready);
    return false;
  }

 private:
  const std::size_t max_bytes_;
  std::mutex mutex_;  // guards all that follows
  std::deque<PendingWrite> writes_;
  std::size_t bytes_ = 0;  // also of writes taken and not released
  bool taking_ = false;
  std::vector<std::function<void()>> waiting_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_APPEND_QUEUE_H_
