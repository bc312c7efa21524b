// Which sessions hold their state, with the part of their archive that is in memory. What a state can need is reserved
// before it is built and before it grows; where there is no room one waits in order, and states are evicted for it:
// idle ones first, least recently used first, then those that have had their turn.
#ifndef TOME_SERVER_SCHEDULING_RESIDENCY_H_
#define TOME_SERVER_SCHEDULING_RESIDENCY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "server/telemetry/observer.h"

namespace tome::server {

class Residency;

// Names room that is held; never used again.
using RoomNumber = std::uint64_t;

// Room that is held until this is dropped. Movable. Not to be dropped with a lock held under which a Resident answers.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept
      : residency_(std::exchange(other.residency_, nullptr)), number_(other.number_) {}
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();

  RoomNumber number() const { return number_; }

 private:
  friend class Residency;
  Reservation(Residency* residency, RoomNumber number) : residency_(residency), number_(number) {}

  Residency* residency_ = nullptr;
  RoomNumber number_ = 0;
};

// What holds a state, or waits for room for one. The questions, TryEvict, Save and Yield are called with the
// residency's lock held, so they must be quick and must not call back.
class Resident {
 public:
  virtual ~Resident() = default;
  virtual bool CanEvict() const = 0;
  // Whether it could be evicted if it was on disk; then Save may be called, and Reconsider follows once it is.
  virtual bool CanSave() const { return false; }
  virtual void Save() {}
  // Whether it is in use, but has had its turn; then Yield may be called, after which it comes to where it can be saved
  // and evicted, Reconsider follows, and it waits until it is evicted or KeepOn is called.
  virtual bool CanYield() const { return false; }
  virtual void Yield() {}
  // Frees the state and hands its room back. Nothing when it is in use after all.
  virtual std::optional<Reservation> TryEvict() = 0;

  // Without the lock:
  // The room that it waited for.
  virtual void OnRoom(Reservation room) = 0;
  // Its room has become as large as it asked for.
  virtual void OnGrown() {}
  // Nobody waits for its room any more.
  virtual void KeepOn() {}
  // Its place among those that wait has changed.
  virtual void OnPlaceChanged() {}
};

// What a state really holds.
struct HeldBytes {
  std::size_t state = 0;
  std::size_t archive = 0;  // in memory
  std::size_t spilled = 0;  // of the archive, in files; no memory

  std::size_t in_memory() const { return state + archive; }
};

enum class Urgency {
  kReading,   // text that is not read yet
  kQuestion,  // someone waits for an answer
};

// Thread-safe. Who asks for what there is room for, once idle, saved and patient states have gone, gets it in the end:
// those that grow first, in their order; then questions and readings, in theirs, two questions at most for a reading.
class Residency {
 public:
  // `observer` outlives it.
  Residency(std::size_t max_bytes, Observer& observer) : max_bytes_(max_bytes), observer_(observer) {}

  // Asks for room: OnRoom comes, maybe within this call. One that waits already keeps its place, and asks for `bytes`
  // from now on; one that has room gets no more.
  void Request(const std::shared_ptr<Resident>& resident, std::size_t bytes, Urgency urgency = Urgency::kReading);
  // Room now, without anybody's eviction and if nobody waits; else nothing.
  std::optional<Reservation> TryReserve(const std::shared_ptr<Resident>& resident, std::size_t bytes);
  // It wants no room any more.
  void Cancel(const Resident& resident);
  // How many are served before it, and itself; 0 when it does not wait.
  std::size_t Place(const Resident& resident) const;

  // Makes room at least so large. True when it is; otherwise OnGrown follows, and the state can be evicted meanwhile.
  // False, and nothing follows, when it is not held any more.
  bool Grow(RoomNumber room, std::size_t bytes);
  // The state was used just now.
  void Touch(RoomNumber room);
  // Tells what the state holds. Where that is more than its room, because the disk does not take its archive, its room
  // becomes as large at once, idle states are evicted for it, and no other gets room until there is.
  void SetHeldBytes(RoomNumber room, const HeldBytes& held);

  // A state became idle, was saved or can yield: those that wait are looked at again.
  void Reconsider();

 private:
  friend class Reservation;

  struct Entry {
    std::weak_ptr<Resident> resident;
    const Resident* key;
    std::size_t bytes = 0;
    HeldBytes held;
    std::uint64_t last_use = 0;
    bool yielding = false;
  };
  using Entries = std::map<RoomNumber, Entry>;
  struct Wait {
    std::weak_ptr<Resident> resident;
    const Resident* key;
    std::size_t bytes;
    Urgency urgency;
    std::optional<RoomNumber> grows;  // which it has
    std::size_t told_place = 0;
  };
  using Waits = std::list<Wait>;
  using Calls = std::vector<std::function<void()>>;  // to make without the lock
  using States = std::vector<std::pair<Entries::iterator, std::shared_ptr<Resident>>>;
  using Condition = bool (Resident::*)() const;

  void Release(RoomNumber room);

  // With mutex_ held.
  Reservation Admit(const std::shared_ptr<Resident>& resident, std::size_t bytes);
  Calls Serve();
  Waits::iterator Next();
  Waits InOrder() const;
  void Grant(Waits::iterator wait, Calls* calls);
  bool MakeRoom(std::size_t bytes, const Resident* except);
  // Those of which `condition` is true, least recently used first.
  States Find(Condition condition, const Resident* except);
  static std::size_t BytesOf(const States& states);
  bool Fits(std::size_t bytes, std::size_t freed = 0) const { return used_bytes_ + bytes <= max_bytes_ + freed; }
  // Begin to free states until, once `coming` bytes have come as well, there is room for so many more.
  void Evict(std::size_t bytes, const Resident* except);
  void AskToSave(std::size_t bytes, std::size_t coming, const Resident* except);
  void AskToYield(std::size_t bytes, std::size_t coming, const Resident* except);
  // Room that was outgrown already.
  void Relieve();
  void LetKeepOn(Calls* calls);
  void TellPlaces(Calls* calls);
  void EraseExpired();
  Entries::iterator Erase(Entries::iterator entry);
  void Report();

  const std::size_t max_bytes_;
  Observer& observer_;
  mutable std::mutex mutex_;  // guards all that follows
  Entries entries_;
  Waits waits_;  // in the order of their requests
  std::size_t used_bytes_ = 0;
  HeldBytes held_;  // of all
  std::uint64_t uses_ = 0;
  RoomNumber next_room_ = 1;
  int questions_in_a_row_ = 0;
  // Those that were looked at: the last owner may be here, and must not go while the lock is held.
  std::vector<std::shared_ptr<Resident>> met_;
  bool serving_ = false;     // a thread is in Reconsider
  bool look_again_ = false;  // it should not leave yet
};

}  // namespace tome::server

#endif  // TOME_SERVER_SCHEDULING_RESIDENCY_H_
