// Which sessions hold their attention state in memory. What a state can need at most is reserved before it is built;
// idle states are evicted, least recently used first, to make room.
#ifndef TOME_SERVER_SESSION_RESIDENCY_H_
#define TOME_SERVER_SESSION_RESIDENCY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "server/telemetry/observer.h"

namespace tome::server {

// A state that can be evicted. Called with the residency's lock held, so it must not call back.
class Resident {
 public:
  virtual ~Resident() = default;
  virtual bool CanEvict() const = 0;
  // Frees the state. False when it is in use after all.
  virtual bool TryEvict() = 0;
  // There may be room for a state that waits: it should reserve again if it still wants to. Called without the lock.
  virtual void OnRoom() = 0;
};

// Thread-safe.
class Residency {
 public:
  // `observer` outlives it.
  Residency(std::size_t max_bytes, Observer& observer) : max_bytes_(max_bytes), observer_(observer) {}

  // Reserves room, evicting idle states if that makes enough. True when it has it, also from before. False: it waits,
  // and OnRoom is called when there may be room.
  bool Reserve(const std::shared_ptr<Resident>& resident, std::size_t bytes);
  // Gives room back.
  void Release(const Resident& resident);
  // A state became idle: those that wait try again.
  void NotifyRoom();

  // The state was used just now.
  void Touch(const Resident& resident);
  // What the state really holds, for the gauges.
  void SetHeldBytes(const Resident& resident, std::size_t bytes);

 private:
  struct Entry {
    std::weak_ptr<Resident> resident;
    std::size_t reserved_bytes = 0;
    std::size_t held_bytes = 0;
    std::uint64_t last_use = 0;
  };

  bool MakeRoom(std::size_t bytes);
  void Erase(std::map<const Resident*, Entry>::iterator entry);
  void Report();

  const std::size_t max_bytes_;
  Observer& observer_;
  std::mutex mutex_;  // guards all that follows
  std::map<const Resident*, Entry> entries_;
  std::map<const Resident*, std::weak_ptr<Resident>> waiting_;
  std::size_t reserved_bytes_ = 0;
  std::size_t held_bytes_ = 0;
  std::uint64_t uses_ = 0;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_RESIDENCY_H_
