#include "server/session/residency.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tome::server {

bool Residency::Reserve(const std::shared_ptr<Resident>& resident, std::size_t bytes) {
  std::lock_guard lock(mutex_);
  if (const auto entry = entries_.find(resident.get()); entry != entries_.end()) {
    entry->second.last_use = ++uses_;
    return true;
  }
  if (!MakeRoom(bytes)) {
    waiting_[resident.get()] = resident;
    return false;
  }
  waiting_.erase(resident.get());
  reserved_bytes_ += bytes;
  entries_[resident.get()] = {.resident = resident, .reserved_bytes = bytes, .held_bytes = 0, .last_use = ++uses_};
  Report();
  return true;
}

bool Residency::MakeRoom(std::size_t bytes) {
  // A resident that was dropped without a Release is one whose owner is gone.
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto next = std::next(entry);
    if (entry->second.resident.expired()) Erase(entry);
    entry = next;
  }
  if (reserved_bytes_ + bytes <= max_bytes_) return true;

  std::vector<std::pair<std::uint64_t, std::shared_ptr<Resident>>> idle;
  std::size_t evictable_bytes = 0;
  for (const auto& [key, entry] : entries_) {
    std::shared_ptr<Resident> resident = entry.resident.lock();
    if (!resident || !resident->CanEvict()) continue;
    evictable_bytes += entry.reserved_bytes;
    idle.emplace_back(entry.last_use, std::move(resident));
  }
  if (reserved_bytes_ - evictable_bytes + bytes > max_bytes_) return false;
  std::sort(idle.begin(), idle.end());
  for (const auto& [last_use, resident] : idle) {
    if (reserved_bytes_ + bytes <= max_bytes_) break;
    if (resident->TryEvict()) Erase(entries_.find(resident.get()));
  }
  return reserved_bytes_ + bytes <= max_bytes_;
}

void Residency::Erase(std::map<const Resident*, Entry>::iterator entry) {
  reserved_bytes_ -= entry->second.reserved_bytes;
  held_bytes_ -= entry->second.held_bytes;
  entries_.erase(entry);
}

void Residency::Release(const Resident& resident) {
  {
    std::lock_guard lock(mutex_);
    const auto entry = entries_.find(&resident);
    if (entry == entries_.end()) return;
    Erase(entry);
    Report();
  }
  NotifyRoom();
}

void Residency::NotifyRoom() {
  std::map<const Resident*, std::weak_ptr<Resident>> waiting;
  {
    std::lock_guard lock(mutex_);
    waiting.swap(waiting_);
  }
  for (const auto& [key, weak] : waiting) {
    if (const std::shared_ptr<Resident> resident = weak.lock()) resident->OnRoom();
  }
}

void Residency::Touch(const Resident& resident) {
  std::lock_guard lock(mutex_);
  if (const auto entry = entries_.find(&resident); entry != entries_.end()) entry->second.last_use = ++uses_;
}

void Residency::SetHeldBytes(const Resident& resident, std::size_t bytes) {
  std::lock_guard lock(mutex_);
  const auto entry = entries_.find(&resident);
  if (entry == entries_.end()) return;
  held_bytes_ += bytes - entry->second.held_bytes;
  entry->second.held_bytes = bytes;
  Report();
}

void Residency::Report() {
  observer_.OnResidentSessions(static_cast<std::int64_t>(entries_.size()));
  observer_.OnStateBytes(reserved_bytes_, held_bytes_);
}

}  // namespace tome::server
