// Which sessions hold their state, with the part of their archive that is in memory. What these can need at most is
// reserved before they are built; idle ones are evicted, least recently used first, to make room.
#ifndef TOME_SERVER_SESSION_RESIDENCY_H_
#define TOME_SERVER_SESSION_RESIDENCY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "server/telemetry/observer.h"

namespace tome::server {

// A state that can be evicted. Called with the residency's lock held, so it must not call back.
class Resident {
 public:
  virtual ~Resident() = default;
  virtual bool CanEvict() const = 0;
  // Whether it could be evicted if it was on disk; then Save may be called, and NotifyRoom follows once it is.
  virtual bool CanSave() const { return false; }
  virtual void Save() {}
  // Frees the state. False when it is in use after all.
  virtual bool TryEvict() = 0;
  // There may be room for a state that waits: it should reserve again if it still wants to. Called without the lock.
  virtual void OnRoom() = 0;
};

// What a state really holds.
struct HeldBytes {
  std::size_t state = 0;
  std::size_t archive = 0;  // in memory
  std::size_t spilled = 0;  // of the archive, in files; no memory
};

enum class Room {
  kReserved,
  kComing,  // idle states are being written to disk, and are evicted then
  kNone,    // until another state becomes idle
};

// Thread-safe.
class Residency {
 public:
  // `observer` outlives it.
  Residency(std::size_t max_bytes, Observer& observer) : max_bytes_(max_bytes), observer_(observer) {}

  // Reserves room, evicting idle states if that makes enough. kReserved also when it has it from before. Otherwise it
  // waits, and OnRoom is called when there may be room.
  Room Reserve(const std::shared_ptr<Resident>& resident, std::size_t bytes);
  // Gives room back.
  void Release(const Resident& resident);
  // A state became idle: those that wait try again.
  void NotifyRoom();

  // The state was used just now.
  void Touch(const Resident& resident);
  // Tells what the state holds. Where that is more than what was reserved for it, because the disk does not take its
  // archive, it counts as reserved from now on, idle states are evicted for it, and no other gets room until there is.
  void SetHeldBytes(const Resident& resident, const HeldBytes& held);

 private:
  struct Entry {
    std::weak_ptr<Resident> resident;
    std::size_t reserved_bytes = 0;
    HeldBytes held;
    std::uint64_t last_use = 0;
  };

  Room MakeRoom(std::size_t bytes);
  using IdleStates = std::vector<std::pair<std::uint64_t, std::shared_ptr<Resident>>>;
  // Those of which `condition` is true, least recently used first.
  IdleStates Find(bool (Resident::*condition)() const, const Resident* except = nullptr) const;
  std::size_t ReservedBy(const IdleStates& states) const;
  // Begins to save states until there will be room for so many bytes more, once they are evicted.
  void SaveIdle(std::size_t bytes, const Resident* except = nullptr);
  // Evicts until there is room for so many bytes more, or nothing is left that could be evicted.
  void EvictIdle(std::size_t bytes, const Resident* except = nullptr);
  void EraseExpired();
  void Erase(std::map<const Resident*, Entry>::iterator entry);
  void Report();

  const std::size_t max_bytes_;
  Observer& observer_;
  std::mutex mutex_;  // guards all that follows
  std::map<const Resident*, Entry> entries_;
  std::map<const Resident*, std::weak_ptr<Resident>> waiting_;
  std::size_t reserved_bytes_ = 0;
  HeldBytes held_;  // of all
  std::uint64_t uses_ = 0;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_RESIDENCY_H_
