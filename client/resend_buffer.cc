#include "client/resend_buffer.h"

#include <algorithm>
#include <utility>

namespace tome::client {

bool ResendBuffer::Push(std::string_view bytes) {
  while (!bytes.empty()) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || held_ < ring_.size(); });
    if (closed_) return false;
    const std::size_t at = (first_ + held_) % ring_.size();
    const std::size_t count = std::min({bytes.size(), ring_.size() - held_, ring_.size() - at});
    std::copy_n(bytes.data(), count, ring_.data() + at);
    held_ += count;
    bytes.remove_prefix(count);
    changed_.notify_all();
  }
  return true;
}

void ResendBuffer::End(absl::Status status) {
  std::lock_guard lock(mutex_);
  ended_ = std::move(status);
  changed_.notify_all();
}

absl::StatusOr<std::optional<ResendBuffer::Piece>> ResendBuffer::Take(std::uint64_t offset, std::size_t max_bytes,
                                                                      const std::atomic<bool>& stop) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stop || closed_ || ended_.has_value() || first_ + held_ > offset; });
  if (stop || closed_) return std::nullopt;
  const std::uint64_t end = first_ + held_;
  if (offset >= end && !ended_->ok()) return *ended_;
  const std::size_t size = offset >= end ? 0 : std::min<std::uint64_t>(max_bytes, end - offset);
  return Piece{CopyLocked(offset, size), ended_.has_value() && ended_->ok() && offset + size >= end};
}

std::string ResendBuffer::CopyLocked(std::uint64_t offset, std::size_t size) const {
  std::string data;
  data.reserve(size);
  while (data.size() < size) {
    const std::size_t at = (offset + data.size()) % ring_.size();
    data.append(ring_.data() + at, std::min(size - data.size(), ring_.size() - at));
  }
  return data;
}

void ResendBuffer::Release(std::uint64_t offset) {
  std::lock_guard lock(mutex_);
  if (offset <= first_) return;
  const std::size_t count = std::min<std::uint64_t>(offset - first_, held_);
  first_ += count;
  held_ -= count;
  changed_.notify_all();
}

void ResendBuffer::Wake() {
  std::lock_guard lock(mutex_);
  changed_.notify_all();
}

void ResendBuffer::Close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

std::uint64_t ResendBuffer::first_offset() const {
  std::lock_guard lock(mutex_);
  return first_;
}

}  // namespace tome::client
