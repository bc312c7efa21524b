// Messages of a session's Append streams that are not yet durable, and who waits for room among them.
#ifndef TOME_SERVER_READING_APPEND_QUEUE_H_
#define TOME_SERVER_READING_APPEND_QUEUE_H_

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
#include "server/base/types.h"
#include "server/scheduling/activity.h"

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
  // `batch_bytes`: so many need not wait for more.
  AppendQueue(std::size_t max_bytes, std::size_t batch_bytes) : max_bytes_(max_bytes), batch_bytes_(batch_bytes) {}

  // True when the caller must see to it that Take is called: nobody was told yet to take writes, or there was time
  // until now and there is none any more.
  bool Push(PendingWrite write) {
    std::lock_guard lock(mutex_);
    const bool was_urgent = UrgentLocked();
    bytes_ += write.request.data.size();
    queued_bytes_ += write.request.data.size();
    queued_ends_ += write.request.finish ? 1 : 0;
    writes_.push_back(std::move(write));
    return !std::exchange(taking_, true) || (!was_urgent && UrgentLocked());
  }

  // Whether there are writes, which may wait for more that are committed with them: neither enough bytes for a batch
  // nor the end of a document.
  bool HasTime() {
    std::lock_guard lock(mutex_);
    return !writes_.empty() && !UrgentLocked();
  }

  // The oldest writes: at least one if there is any, and as many more as have at most `batch_bytes` together. When none
  // is left, the next Push returns true.
  std::vector<PendingWrite> Take() {
    std::lock_guard lock(mutex_);
    std::vector<PendingWrite> batch;
    std::size_t bytes = 0;
    while (!writes_.empty()) {
      bytes += writes_.front().request.data.size();
      if (!batch.empty() && bytes > batch_bytes_) break;
      queued_bytes_ -= writes_.front().request.data.size();
      queued_ends_ -= writes_.front().request.finish ? 1 : 0;
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
  bool UrgentLocked() const { return queued_bytes_ >= batch_bytes_ || queued_ends_ > 0; }

  const std::size_t max_bytes_;
  const std::size_t batch_bytes_;
  std::mutex mutex_;  // guards all that follows
  std::deque<PendingWrite> writes_;
  std::size_t bytes_ = 0;         // also of writes taken and not released
  std::size_t queued_bytes_ = 0;  // of writes_
  std::size_t queued_ends_ = 0;   // of them, those that finish a document
  bool taking_ = false;
  std::vector<std::function<void()>> waiting_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_READING_APPEND_QUEUE_H_
