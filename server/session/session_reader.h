// The reading of one session: stored bytes become segments, segments become state, idle state that is on disk may be
// evicted, and is restored from a snapshot or rebuilt from the bytes.
#ifndef TOME_SERVER_SESSION_SESSION_READER_H_
#define TOME_SERVER_SESSION_SESSION_READER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/session/attended_text.h"
#include "server/session/rate_meter.h"
#include "server/session/reading_state.h"
#include "server/session/session_context.h"
#include "server/session/session_store.h"
#include "server/session/snapshot_trigger.h"
#include "server/session/text_pipeline.h"

namespace tome::server {

// How far the reading is.
struct ReadingStatus {
  SessionPhase phase = SessionPhase::kIdle;
  std::uint64_t ingested_bytes = 0;
  std::uint64_t ingested_tokens = 0;
  // Everything stored is read, but for a last part that is too short for a segment.
  bool caught_up = false;
  // Bytes to be read again before the state is what it was before an eviction or a restart; 0 when it is.
  std::uint64_t restore_target_bytes = 0;
  double tokens_per_second = 0;
  double bytes_per_second = 0;
  bool resident = false;
  std::size_t state_bytes = 0;
  std::size_t archive_bytes = 0;
  std::size_t archive_resident_bytes = 0;
  bool by_this_model = false;  // the state was, or is being, made by the server's model
  StatePlace place = StatePlace::kNone;
  absl::Status failure;  // why reading stopped for good, with nothing left to answer from
  absl::Status damage;   // stored bytes that cannot be read: reading stopped before them
};

// What a question starts from.
struct ReadingFork {
  Memory memory;
  Segment tail;  // of stored bytes that follow; empty unless all before is read
  AttendedText attended;
  std::uint64_t ingested_bytes = 0;
  std::uint64_t ingested_tokens = 0;
};

// What the reader needs of the session that owns it.
class ReadingHost {
 public:
  virtual ~ReadingHost() = default;
  // Keeps the session, and with it the reader, alive.
  virtual std::shared_ptr<void> KeepAlive() = 0;
  // On the strand only.
  virtual const std::vector<StoredDocument>& Documents() = 0;
  virtual absl::StatusOr<SessionStore*> Store() = 0;
  // The state of a snapshot; nullopt when there is none. An error when there are some that this server cannot use.
  virtual absl::StatusOr<std::optional<ReadingState>> LoadSnapshot() = 0;
  // What was read should be written to disk. From any thread; must not call the residency or the reader.
  virtual void OnSnapshotDue() = 0;
  // ReadingStatus changed. From any thread, without the reader's lock held.
  virtual void OnReadingChanged() = 0;
  // The state was evicted. From any thread; must not call the residency or the reader.
  virtual void OnEvicted() = 0;
};

// Methods marked "strand" are called on the session's serial queue only and may wait for the disk; the others are
// thread-safe and quick.
class SessionReader final : public ComputeWork, public Resident {
 public:
  // `host` and `strand` outlive the reader. `restore_target_bytes`: stored before the server started.
  SessionReader(std::shared_ptr<SessionContext> context, SessionId id, const MemoryOptions& options, ReadingHost& host,
                SerialQueue& strand, std::uint64_t restore_target_bytes);

  // Strand. Looks whether there are bytes that are not read, so that the status tells; ReadOn follows.
  void NoteUnread();

  // Strand. What the storage could not do may be tried again. ReadOn calls it too.
  void ForgetStorageFailure();

  // Strand. Reads on: after new bytes, on use, and when room came. When there is no room for the state,
  // RESOURCE_EXHAUSTED/STATE_MEMORY: reading goes on by itself once there is.
  absl::Status ReadOn();

  // Strand. The present state; an error when it is not in memory, see ReadOn.
  absl::StatusOr<ReadingFork> Fork();

  // Strand. Frees what was kept for an evicted state.
  void Trim();

  // Strand. A copy of the state, which costs nothing, unless nothing is in it that the last one had not, or there is no
  // state. OnSnapshotEnded follows, with the number of the state that is put into `epoch`, and the tokens read of it.
  std::optional<ReadingState> CopyForSnapshot(std::uint64_t* epoch);
  // Strand. A snapshot was written, or could not be, after so long.
  void OnSnapshotEnded(std::uint64_t epoch, std::uint64_t ingested_tokens, bool written, absl::Duration duration);

  // Strand. A copy of the state, which costs nothing; nullopt when there is none.
  std::optional<ReadingState> CopyState() const;
  // Strand. Goes on from a state of another session with the same documents, if there is room and no state yet.
  // `saved_tokens`: read in the newest snapshot.
  void Adopt(ReadingState state, std::uint64_t saved_tokens);

  // Strand. Drops the state, whatever it is doing or has failed at. ReadOn then reads from the first byte, unless the
  // host has a snapshot.
  void StartOver();

  ReadingStatus status() const;
  // Of one document: 0 where nothing was read.
  void DocumentProgress(std::size_t ordinal, ByteOffset* ingested_bytes, std::uint64_t* ingested_tokens) const;
  std::size_t max_state_bytes() const { return max_state_bytes_; }

  // While held the state is not evicted.
  void Hold();
  void Unhold();

  // Reading stops for good, between two steps. A failure of the storage within ReadOn stops it as well, but only until
  // ForgetStorageFailure.
  void Fail(absl::Status failure);

  // ComputeWork.
  Task* NextTask() override;
  void OnStep(StepResult result, absl::Duration step_time) override;
  // Resident.
  bool CanEvict() const override;
  bool CanSave() const override;
  void Save() override { host_.OnSnapshotDue(); }
  bool TryEvict() override;
  void OnRoom() override;

 private:
  struct DocumentCounts {
    ByteOffset bytes = 0;
    std::uint64_t tokens = 0;
  };

  std::shared_ptr<SessionReader> Self() { return {host_.KeepAlive(), this}; }
  absl::Status CheckRoom() const;
  absl::Status BecomeResident();
  // Begins with the first byte, or where a snapshot was taken.
  absl::Status BeginEmpty();
  absl::Status BeginWith(ReadingState state);
  absl::Status RestoreFrom(ReadingState state);
  absl::Status NoRoom(Room room);
  absl::Status CheckModel();
  bool HasUnread();
  absl::Status Pump();
  absl::Status FeedSlice(std::deque<Segment>* segments);
  void NoteDamage(const absl::Status& damage);
  void AddSegments(std::deque<Segment> segments);
  void Count(const Segment& segment, absl::Duration step_time);

  // With mutex_ held.
  bool IdleLocked() const;
  bool SavedLocked() const { return saved_tokens_ == ingested_tokens_; }
  // Nothing more can be done to save it: memory that is needed is taken all the same.
  bool MayGoLocked() const { return SavedLocked() || unsavable_tokens_ == ingested_tokens_; }
  bool SnapshotDueLocked();
  StatePlace PlaceLocked() const;
  SessionPhase PhaseLocked() const;
  // Whether a restoring has just come to its end.
  bool EndRestoringLocked();
  void DropStateLocked();
  // Fail, but until ForgetStorageFailure where it is one of the storage.
  void FailReading(absl::Status failure);
  void Stop(absl::Status failure, bool passes);

  const std::shared_ptr<SessionContext> context_;
  const SessionId id_;
  const MemoryOptions options_;
  ReadingHost& host_;
  SerialQueue& strand_;
  const std::size_t max_state_bytes_;
  const std::size_t reserved_bytes_;  // while it is resident

  // The strand's own.
  std::unique_ptr<TextPipeline> pipeline_;
  std::uint64_t pipeline_epoch_ = 0;
  std::string buffer_;           // stored bytes at the pipeline's position
  std::size_t buffer_used_ = 0;  // of which this many were taken

  // The compute thread's own, while in_flight_.
  std::optional<Memory> writing_;
  std::optional<Task> task_;
  Segment reading_;
  std::uint64_t step_epoch_ = 0;

  mutable std::mutex mutex_;      // guards all that follows
  std::optional<Memory> memory_;  // absent: not resident
  std::uint64_t epoch_ = 0;       // counts evictions
  std::deque<Segment> ready_;
  bool caught_up_ = true;  // the pipeline took all stored bytes
  bool in_flight_ = false;
  bool in_loop_ = false;
  bool waiting_for_room_ = false;
  bool loading_ = false;        // a snapshot
  bool at_sealed_end_ = false;  // the pipeline took all stored bytes, and the last document is sealed
  bool by_this_model_ = false;
  int holds_ = 0;
  absl::Status failure_;
  bool failure_passes_ = false;  // it is of the storage
  absl::Status damage_;
  std::uint64_t saved_tokens_ = 0;      // that a snapshot has
  std::uint64_t unsavable_tokens_ = 0;  // that none could be given
  SnapshotTrigger trigger_;
  std::uint64_t restore_target_bytes_;
  std::uint64_t ingested_bytes_ = 0;
  std::uint64_t ingested_tokens_ = 0;
  std::vector<DocumentCounts> documents_;
  AttendedText attended_;
  RateMeter rate_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_SESSION_READER_H_
