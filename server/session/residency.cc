#include "server/session/residency.h"

#include <algorithm>
#include <utility>

namespace tome::server {

Room Residency::Reserve(const std::shared_ptr<Resident>& resident, std::size_t bytes) {
  std::lock_guard lock(mutex_);
  if (const auto entry = entries_.find(resident.get()); entry != entries_.end()) {
    entry->second.last_use = ++uses_;
    return Room::kReserved;
  }
  if (const Room room = MakeRoom(bytes); room != Room::kReserved) {
    waiting_[resident.get()] = resident;
    Report();
    return room;
  }
  waiting_.erase(resident.get());
  reserved_bytes_ += bytes;
  entries_[resident.get()] = {.resident = resident, .reserved_bytes = bytes, .held = {}, .last_use = ++uses_};
  Report();
  return Room::kReserved;
}

Room Residency::MakeRoom(std::size_t bytes) {
  EraseExpired();
  if (reserved_bytes_ + bytes <= max_bytes_) return Room::kReserved;
  const std::size_t evictable_bytes = ReservedBy(Find(&Resident::CanEvict));
  if (reserved_bytes_ - evictable_bytes + bytes <= max_bytes_) {
    EvictIdle(bytes);
    return reserved_bytes_ + bytes <= max_bytes_ ? Room::kReserved : Room::kNone;
  }
  const std::size_t savable_bytes = ReservedBy(Find(&Resident::CanSave));
  if (reserved_bytes_ - evictable_bytes - savable_bytes + bytes > max_bytes_) return Room::kNone;
  SaveIdle(bytes);
  return Room::kComing;
}

Residency::IdleStates Residency::Find(bool (Resident::*condition)() const, const Resident* except) const {
  IdleStates states;
  for (const auto& [key, entry] : entries_) {
    std::shared_ptr<Resident> resident = key == except ? nullptr : entry.resident.lock();
    if (resident && ((*resident).*condition)()) states.emplace_back(entry.last_use, std::move(resident));
  }
  std::sort(states.begin(), states.end());
  return states;
}

std::size_t Residency::ReservedBy(const IdleStates& states) const {
  std::size_t bytes = 0;
  for (const auto& [last_use, resident] : states) bytes += entries_.at(resident.get()).reserved_bytes;
  return bytes;
}

void Residency::SaveIdle(std::size_t bytes, const Resident* except) {
  std::size_t coming = ReservedBy(Find(&Resident::CanEvict, except));
  for (const auto& [last_use, resident] : Find(&Resident::CanSave, except)) {
    if (reserved_bytes_ - coming + bytes <= max_bytes_) return;
    resident->Save();
    coming += entries_.at(resident.get()).reserved_bytes;
  }
}

void Residency::EvictIdle(std::size_t bytes, const Resident* except) {
  for (const auto& [last_use, resident] : Find(&Resident::CanEvict, except)) {
    if (reserved_bytes_ + bytes <= max_bytes_) return;
    if (resident->TryEvict()) Erase(entries_.find(resident.get()));
  }
}

// A resident that was dropped without a Release is one whose owner is gone.
void Residency::EraseExpired() {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto next = std::next(entry);
    if (entry->second.resident.expired()) Erase(entry);
    entry = next;
  }
}

void Residency::Erase(std::map<const Resident*, Entry>::iterator entry) {
  const HeldBytes& held = entry->second.held;
  reserved_bytes_ -= entry->second.reserved_bytes;
  held_.state -= held.state;
  held_.archive -= held.archive;
  held_.spilled -= held.spilled;
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

void Residency::SetHeldBytes(const Resident& resident, const HeldBytes& held) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(&resident);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  held_.state += held.state - entry.held.state;
  held_.archive += held.archive - entry.held.archive;
  held_.spilled += held.spilled - entry.held.spilled;
  entry.held = held;
  if (const std::size_t bytes = held.state + held.archive; bytes > entry.reserved_bytes) {
    reserved_bytes_ += bytes - entry.reserved_bytes;
    entry.reserved_bytes = bytes;
    EvictIdle(0, &resident);
    SaveIdle(0, &resident);
  }
  Report();
}

void Residency::Report() {
  observer_.OnResidentSessions(static_cast<std::int64_t>(entries_.size()));
  observer_.OnStateBytes(reserved_bytes_, held_.state + held_.archive);
  observer_.OnArchiveBytes(held_.archive, held_.spilled);
}

}  // namespace tome::server
