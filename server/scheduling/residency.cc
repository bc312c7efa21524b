#include "server/scheduling/residency.h"

#include <algorithm>
#include <utility>

namespace tome::server {
namespace {

constexpr int kMaxQuestionsInARow = 2;

}  // namespace

// --- Reservation ---

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  if (residency_ != nullptr) residency_->Release(number_);
  residency_ = std::exchange(other.residency_, nullptr);
  number_ = other.number_;
  return *this;
}

Reservation::~Reservation() {
  if (residency_ != nullptr) residency_->Release(number_);
}

// --- Asking ---

void Residency::Request(const std::shared_ptr<Resident>& resident, std::size_t bytes, Urgency urgency) {
  {
    std::lock_guard lock(mutex_);
    EraseExpired();
    const auto has_room = [&](const auto& entry) { return entry.second.key == resident.get(); };
    if (std::any_of(entries_.begin(), entries_.end(), has_room)) return;
    const auto same = [&](const Wait& wait) { return wait.key == resident.get(); };
    if (const auto wait = std::find_if(waits_.begin(), waits_.end(), same); wait != waits_.end()) {
      wait->bytes = bytes;
      wait->urgency = std::max(wait->urgency, urgency);
    } else {
      waits_.push_back({.resident = resident, .key = resident.get(), .bytes = bytes, .urgency = urgency});
    }
  }
  Reconsider();
}

std::optional<Reservation> Residency::TryReserve(const std::shared_ptr<Resident>& resident, std::size_t bytes) {
  std::lock_guard lock(mutex_);
  EraseExpired();
  if (!waits_.empty() || !Fits(bytes)) return std::nullopt;
  Reservation room = Admit(resident, bytes);
  Report();
  return room;
}

void Residency::Cancel(const Resident& resident) {
  {
    std::lock_guard lock(mutex_);
    if (std::erase_if(waits_, [&](const Wait& wait) { return wait.key == &resident; }) == 0) return;
  }
  Reconsider();
}

std::size_t Residency::Place(const Resident& resident) const {
  std::lock_guard lock(mutex_);
  std::size_t place = 0;
  for (const Wait& wait : InOrder()) {
    ++place;
    if (wait.key == &resident) return place;
  }
  return 0;
}

bool Residency::Grow(RoomNumber room, std::size_t bytes) {
  {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(room);
    if (found == entries_.end()) return false;
    Entry& entry = found->second;
    if (bytes <= entry.bytes) return true;
    const std::shared_ptr<Resident> resident = entry.resident.lock();
    const std::size_t more = bytes - entry.bytes;
    const bool first = std::none_of(waits_.begin(), waits_.end(), [](const Wait& wait) { return wait.grows; });
    if (first && Fits(more)) {
      entry.bytes = bytes;
      used_bytes_ += more;
      Report();
      return true;
    }
    std::erase_if(waits_, [&](const Wait& wait) { return wait.grows == room; });
    waits_.push_back(
        {.resident = resident, .key = resident.get(), .bytes = bytes, .urgency = Urgency::kReading, .grows = room});
  }
  Reconsider();
  return false;
}

void Residency::Touch(RoomNumber room) {
  std::lock_guard lock(mutex_);
  if (const auto entry = entries_.find(room); entry != entries_.end()) entry->second.last_use = ++uses_;
}

void Residency::SetHeldBytes(RoomNumber room, const HeldBytes& held) {
  {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(room);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    held_.state += held.state - entry.held.state;
    held_.archive += held.archive - entry.held.archive;
    held_.spilled += held.spilled - entry.held.spilled;
    entry.held = held;
    if (const std::size_t bytes = held.in_memory(); bytes > entry.bytes) {
      used_bytes_ += bytes - entry.bytes;
      entry.bytes = bytes;
    }
    Report();
  }
  Reconsider();
}

void Residency::Release(RoomNumber room) {
  {
    std::lock_guard lock(mutex_);
    const auto entry = entries_.find(room);
    if (entry == entries_.end()) return;
    Erase(entry);
    Report();
  }
  Reconsider();
}

// --- Serving ---

void Residency::Reconsider() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(serving_, true)) {
      look_again_ = true;
      return;
    }
  }
  for (;;) {
    Calls calls;
    {
      std::lock_guard lock(mutex_);
      look_again_ = false;
      calls = Serve();
    }
    for (const auto& call : calls) call();
    calls.clear();  // and what they own, while others still leave the work to this thread
    std::lock_guard lock(mutex_);
    if (look_again_) continue;
    serving_ = false;
    return;
  }
}

Residency::Calls Residency::Serve() {
  Calls calls;
  EraseExpired();
  Relieve();
  while (!waits_.empty()) {
    const Waits::iterator next = Next();
    const std::size_t has = next->grows ? entries_.at(*next->grows).bytes : 0;
    // One that has outgrown its room, or that nobody could make more room for, need not wait.
    const bool has_it = next->grows && (next->bytes <= has || entries_.size() == 1);
    if (!has_it && !MakeRoom(next->bytes - has, next->key)) break;
    Grant(next, &calls);
  }
  if (waits_.empty()) LetKeepOn(&calls);
  TellPlaces(&calls);
  Report();
  calls.push_back([met = std::exchange(met_, {})] {});
  return calls;
}

Residency::Waits::iterator Residency::Next() {
  const auto find = [this](auto condition) { return std::find_if(waits_.begin(), waits_.end(), condition); };
  if (const auto grows = find([](const Wait& wait) { return wait.grows.has_value(); }); grows != waits_.end()) {
    return grows;
  }
  const auto question = find([](const Wait& wait) { return wait.urgency == Urgency::kQuestion; });
  const auto reading = find([](const Wait& wait) { return wait.urgency == Urgency::kReading; });
  const bool take_reading = reading != waits_.end() && questions_in_a_row_ >= kMaxQuestionsInARow;
  return question == waits_.end() || take_reading ? reading : question;
}

Residency::Waits Residency::InOrder() const {
  Waits ordered = waits_;
  const auto rank = [](const Wait& wait) { return wait.grows ? 0 : wait.urgency == Urgency::kQuestion ? 1 : 2; };
  ordered.sort([&](const Wait& a, const Wait& b) { return rank(a) < rank(b); });
  return ordered;
}

Reservation Residency::Admit(const std::shared_ptr<Resident>& resident, std::size_t bytes) {
  const RoomNumber number = next_room_++;
  entries_[number] = {.resident = resident, .key = resident.get(), .bytes = bytes, .held = {}, .last_use = ++uses_};
  used_bytes_ += bytes;
  return {this, number};
}

void Residency::Grant(Waits::iterator wait, Calls* calls) {
  const std::shared_ptr<Resident> resident = wait->resident.lock();
  if (wait->grows) {
    Entry& entry = entries_.at(*wait->grows);
    const std::size_t bytes = std::max(entry.bytes, wait->bytes);
    used_bytes_ += bytes - entry.bytes;
    entry.bytes = bytes;
    calls->push_back([resident] { resident->OnGrown(); });
  } else {
    questions_in_a_row_ = wait->urgency == Urgency::kQuestion ? questions_in_a_row_ + 1 : 0;
    auto room = std::make_shared<Reservation>(Admit(resident, wait->bytes));
    calls->push_back([resident, room] { resident->OnRoom(std::move(*room)); });
  }
  waits_.erase(wait);
}

bool Residency::MakeRoom(std::size_t bytes, const Resident* except) {
  if (Fits(bytes)) return true;
  const std::size_t evictable = BytesOf(Find(&Resident::CanEvict, except));
  if (Fits(bytes, evictable)) {
    Evict(bytes, except);
    return Fits(bytes);
  }
  const std::size_t savable = BytesOf(Find(&Resident::CanSave, except));
  if (Fits(bytes, evictable + savable)) {
    AskToSave(bytes, evictable, except);
    return false;
  }
  // Those that were asked before come as well.
  std::size_t yielding = 0;
  for (const auto& [number, entry] : entries_) {
    const std::shared_ptr<Resident> resident = entry.yielding ? entry.resident.lock() : nullptr;
    if (resident && !resident->CanEvict() && !resident->CanSave()) yielding += entry.bytes;
    met_.push_back(resident);
  }
  const std::size_t patient = BytesOf(Find(&Resident::CanYield, except));
  if (!Fits(bytes, evictable + savable + yielding + patient)) return false;
  AskToSave(bytes, evictable + yielding + patient, except);
  AskToYield(bytes, evictable + savable + yielding, except);
  return false;
}

Residency::States Residency::Find(Condition condition, const Resident* except) {
  States states;
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    std::shared_ptr<Resident> resident = entry->second.resident.lock();
    if (!resident) continue;
    if (resident.get() != except && ((*resident).*condition)()) states.emplace_back(entry, resident);
    met_.push_back(std::move(resident));
  }
  std::sort(states.begin(), states.end(),
            [](const auto& a, const auto& b) { return a.first->second.last_use < b.first->second.last_use; });
  return states;
}

std::size_t Residency::BytesOf(const States& states) {
  std::size_t bytes = 0;
  for (const auto& [entry, resident] : states) bytes += entry->second.bytes;
  return bytes;
}

void Residency::Evict(std::size_t bytes, const Resident* except) {
  for (const auto& [entry, resident] : Find(&Resident::CanEvict, except)) {
    if (Fits(bytes)) return;
    std::optional<Reservation> room = resident->TryEvict();
    if (!room) continue;
    room->residency_ = nullptr;  // it is given back here, under the lock
    std::erase_if(waits_, [&](const Wait& wait) { return wait.grows == room->number(); });
    Erase(entry);
  }
}

void Residency::AskToSave(std::size_t bytes, std::size_t coming, const Resident* except) {
  for (const auto& [entry, resident] : Find(&Resident::CanSave, except)) {
    if (Fits(bytes, coming)) return;
    resident->Save();
    coming += entry->second.bytes;
  }
}

void Residency::AskToYield(std::size_t bytes, std::size_t coming, const Resident* except) {
  for (const auto& [entry, resident] : Find(&Resident::CanYield, except)) {
    if (Fits(bytes, coming)) return;
    if (entry->second.yielding) continue;
    entry->second.yielding = true;
    resident->Yield();
    look_again_ = true;  // it may be there already
    coming += entry->second.bytes;
  }
}

void Residency::Relieve() {
  if (Fits(0)) return;
  // The one that was used last stays: alone it may need more than there is.
  const auto latest = std::max_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
    return a.second.last_use < b.second.last_use;
  });
  const std::shared_ptr<Resident> stays = latest->second.resident.lock();
  met_.push_back(stays);
  Evict(0, stays.get());
  AskToSave(0, 0, stays.get());
}

void Residency::LetKeepOn(Calls* calls) {
  for (auto& [number, entry] : entries_) {
    if (!std::exchange(entry.yielding, false)) continue;
    if (std::shared_ptr<Resident> resident = entry.resident.lock()) {
      calls->push_back([resident = std::move(resident)] { resident->KeepOn(); });
    }
  }
}

void Residency::TellPlaces(Calls* calls) {
  std::map<const Resident*, std::size_t> places;
  std::size_t place = 0;
  for (const Wait& wait : InOrder()) places[wait.key] = ++place;
  for (Wait& wait : waits_) {
    if (std::exchange(wait.told_place, places[wait.key]) == places[wait.key]) continue;
    if (std::shared_ptr<Resident> resident = wait.resident.lock()) {
      calls->push_back([resident = std::move(resident)] { resident->OnPlaceChanged(); });
    }
  }
}

// A resident that is gone gave its room back, or its owner is gone with it.
void Residency::EraseExpired() {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    entry = entry->second.resident.expired() ? Erase(entry) : std::next(entry);
  }
  std::erase_if(waits_, [this](const Wait& wait) {
    return wait.resident.expired() || (wait.grows && !entries_.contains(*wait.grows));
  });
}

Residency::Entries::iterator Residency::Erase(Entries::iterator entry) {
  const HeldBytes& held = entry->second.held;
  used_bytes_ -= entry->second.bytes;
  held_.state -= held.state;
  held_.archive -= held.archive;
  held_.spilled -= held.spilled;
  return entries_.erase(entry);
}

void Residency::Report() {
  observer_.OnResidentSessions(static_cast<std::int64_t>(entries_.size()));
  observer_.OnStateBytes(used_bytes_, held_.in_memory());
  observer_.OnArchiveBytes(held_.archive, held_.spilled);
}

}  // namespace tome::server
