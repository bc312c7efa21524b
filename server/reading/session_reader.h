// The reading of one session: stored bytes become segments, segments become state. A state that is not in use may be
// evicted; it is restored from a snapshot, or rebuilt from the bytes.
#ifndef TOME_SERVER_READING_SESSION_READER_H_
#define TOME_SERVER_READING_SESSION_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/reading/reading_context.h"
#include "server/reading/reading_state.h"
#include "server/reading/resident_state.h"
#include "server/reading/snapshot_keeper.h"
#include "server/storage/session_store.h"
#include "server/storage/store_handle.h"

namespace tome::server {

// How far the reading is.
struct ReadingStatus {
  SessionPhase phase = SessionPhase::kIdle;
  // Also of a state that was evicted, as far as it had come.
  std::uint64_t ingested_bytes = 0;
  std::uint64_t ingested_tokens = 0;
  // Everything stored is read, but for a last part that is too short for a segment, and the state is in memory.
  bool caught_up = false;
  // The same, but the state may have been evicted since.
  bool was_caught_up = false;
  // Bytes to be read again before the state is what it was before an eviction or a restart; 0 when it is.
  std::uint64_t restore_target_bytes = 0;
  double tokens_per_second = 0;
  double bytes_per_second = 0;
  bool resident = false;
  // Among the states that wait for memory: 1 is the next one; 0 when it does not wait.
  std::size_t queue_position = 0;
  std::size_t state_bytes = 0;
  std::size_t archive_bytes = 0;
  std::size_t archive_resident_bytes = 0;
  bool by_this_model = false;  // the state was, or is being, made by the server's model
  StatePlace place = StatePlace::kNone;
  absl::Status failure;  // why reading stopped for good, with nothing left to answer from
  absl::Status damage;   // stored bytes that cannot be read: reading stopped before them
};

// What the reader needs of the session that owns it.
class ReadingHost {
 public:
  virtual ~ReadingHost() = default;
  // Keeps the session, and with it the reader, alive.
  virtual std::shared_ptr<void> KeepAlive() = 0;
  // On the strand only.
  virtual const std::vector<StoredDocument>& Documents() = 0;
  // ReadingStatus or the list of snapshots changed. From any thread, without the reader's lock held.
  virtual void OnReadingChanged() = 0;
};

// Methods marked "strand" are called on the session's serial queue only and may wait for the disk; the others are
// thread-safe and quick.
//
// A state is in one of these places, and whatever it waits for wakes it: room (the residency, in order), the strand (a
// job on it), the model (the compute loop), more text (ReadOn after each commit).
class SessionReader final : public Resident, private SnapshotSource {
 public:
  // `host`, `store` and `strand` outlive the reader. `stored`: as the session was loaded.
  SessionReader(std::shared_ptr<const ReadingContext> context, const StoredSession& stored, ReadingHost& host,
                StoreHandle& store, SerialQueue& strand);

  // Strand. Looks whether there are bytes that are not read, so that the status tells; ReadOn follows.
  void NoteUnread();

  // Strand. What the storage could not do may be tried again. ReadOn calls it too.
  void ForgetStorageFailure();

  // Strand. Reads on: after new bytes, on use, and when room came. Where there is no room for the state it waits, and
  // reading goes on by itself.
  absl::Status ReadOn(Urgency urgency = Urgency::kReading);

  // Strand. The present state; an error when it is not in memory, see ReadOn.
  absl::StatusOr<ReadingFork> Fork();

  // Strand. A copy of the state, which costs nothing; nullopt when there is none.
  std::optional<ReadingState> CopyState() const;
  // Strand. Goes on from a state of another session with the same documents and snapshots, if there is room and no
  // state yet.
  void Adopt(ReadingState state);

  // Strand. Drops the state, whatever it is doing or has failed at, and the snapshots. ReadOn then reads from the first
  // byte.
  absl::Status StartOver();

  // Strand. See SnapshotKeeper.
  void BeginSnapshot() { keeper_.Begin(); }
  void TakeSnapshot(SnapshotKeeper::TakeCallback done) { keeper_.Take(std::move(done)); }
  void AbandonSnapshots() { keeper_.Abandon(); }
  std::vector<SnapshotInfo> snapshots() const;

  ReadingStatus status() const;
  // Of one document: 0 where nothing was read.
  void DocumentProgress(std::size_t ordinal, ByteOffset* ingested_bytes, std::uint64_t* ingested_tokens) const;
  std::size_t max_state_bytes() const { return max_state_bytes_; }
  // There is text that was never read, as far as can be told before the session is used.
  bool HasNeverReadText() const { return never_read_text_; }

  // While held the state is not evicted.
  void Hold();
  void Unhold();

  // Reading stops for good, between two steps. A failure of the storage within ReadOn stops it as well, but only until
  // ForgetStorageFailure.
  void Fail(absl::Status failure);

  // Resident.
  bool CanEvict() const override;
  bool CanSave() const override;
  void Save() override;
  bool CanYield() const override;
  void Yield() override;
  std::optional<Reservation> TryEvict() override;
  void OnRoom(Reservation room) override;
  void OnGrown() override;
  void KeepOn() override;
  void OnPlaceChanged() override { host_.OnReadingChanged(); }

 private:
  struct Absent {};
  struct WaitingForRoom {};
  struct Loading {};
  using Here = std::shared_ptr<ResidentState>;
  struct Failed {
    absl::Status status;
    bool passes = false;  // it is of the storage
  };
  using Place = std::variant<Absent, WaitingForRoom, Loading, Here, Failed>;

  // SnapshotSource.
  std::shared_ptr<void> KeepAlive() override { return host_.KeepAlive(); }
  const std::vector<StoredDocument>& Documents() override { return host_.Documents(); }
  std::optional<ReadingState> CopyForSnapshot(RoomNumber* room) override;
  void OnSnapshotEnded(RoomNumber room, std::uint64_t ingested_tokens, bool written, absl::Duration duration) override;
  void OnSnapshotsChanged() override;

  std::shared_ptr<SessionReader> Self() { return {host_.KeepAlive(), this}; }
  ResidentState::OnSegment SegmentListener();

  // --- On the strand ---
  bool HasUnread();
  absl::Status CheckRoom() const;
  // For the state with all that is stored now, as far as that can be told.
  std::size_t NeededBytes();
  std::size_t NeededBytes(std::int64_t tokens) const;
  void TakeRoom(Reservation room);
  absl::StatusOr<Here> Load(Reservation room);
  absl::StatusOr<Here> BeginEmpty(Reservation room);
  absl::StatusOr<Here> Restore(Reservation room, ReadingState state);
  absl::Status CheckModel();
  absl::Status Pump(const Here& here);
  // Has what was fed read, if there is room for it; else OnGrown follows.
  bool AddFed(const Here& here);
  void OnCaughtUp(const Here& here);
  void NoteDamage(const absl::Status& damage);
  void OnEvicted();

  // --- From any thread ---
  void OnSegment(const Here& here, const StepResult& result, absl::Duration step_time);
  Here here() const;
  // Fail, but until ForgetStorageFailure where it is one of the storage.
  void FailReading(absl::Status failure);
  void Stop(absl::Status failure, bool passes);

  // With mutex_ held.
  Here HereLocked() const;
  bool IdleLocked() const;
  // Where the state goes; what it was must be dropped without the lock.
  Place MoveLocked(Place place);
  StatePlace PlaceLocked() const;
  SessionPhase PhaseLocked() const;
  // Whether a restoring has just come to its end.
  bool EndRestoringLocked();

  const std::shared_ptr<const ReadingContext> context_;
  const SessionId id_;
  const MemoryOptions options_;
  ReadingHost& host_;
  StoreHandle& store_;
  SerialQueue& strand_;
  const std::size_t max_state_bytes_;
  const std::size_t max_resident_bytes_;
  const double archive_bytes_per_token_;
  const bool never_read_text_;
  SnapshotKeeper keeper_;  // the strand's own

  mutable std::mutex mutex_;  // guards all that follows
  Place place_;
  bool caught_up_;              // all stored bytes were fed to the state that is here, or that was
  bool at_sealed_end_ = false;  // and the last document is sealed
  bool by_this_model_ = false;
  int holds_ = 0;
  absl::Status damage_;
  std::uint64_t restore_target_bytes_;
  ReadingCounts counts_;  // while no state is here: of the last one
  std::vector<SnapshotInfo> snapshots_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_READING_SESSION_READER_H_
