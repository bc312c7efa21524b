// The reading of one session: stored bytes become segments, segments become state, idle state may be evicted and is
// rebuilt from the bytes.
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
#include "server/session/session_context.h"
#include "server/session/session_store.h"
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
  absl::Status failure;        // why reading stopped for good
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

  // Strand. Reads on: after new bytes, on use, and when room came. When there is no room for the state,
  // RESOURCE_EXHAUSTED/STATE_MEMORY: reading goes on by itself once there is.
  absl::Status ReadOn();

  // Strand. The present state; an error when it is not in memory, see ReadOn.
  absl::StatusOr<ReadingFork> Fork();

  // Strand. Frees what was kept for an evicted state.
  void Trim();

  ReadingStatus status() const;
  // Of one document: 0 where nothing was read.
  void DocumentProgress(std::size_t ordinal, ByteOffset* ingested_bytes, std::uint64_t* ingested_tokens) const;
  std::size_t max_state_bytes() const { return max_state_bytes_; }

  // While held the state is not evicted.
  void Hold();
  void Unhold();

  // Reading stops for good, between two steps.
  void Fail(absl::Status failure);

  // ComputeWork.
  Task* NextTask() override;
  void OnStep(StepResult result, absl::Duration step_time) override;
  // Resident.
  bool CanEvict() const override;
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
  absl::Status NoRoom();
  absl::Status CheckModel();
  bool HasUnread();
  absl::Status Pump();
  absl::Status FeedSlice(std::deque<Segment>* segments);
  void AddSegments(std::deque<Segment> segments);
  void Count(const Segment& segment, absl::Duration step_time);

  // With mutex_ held.
  bool IdleLocked() const;
  SessionPhase PhaseLocked() const;
  // Whether a restoring has just come to its end.
  bool EndRestoringLocked();
  void DropStateLocked();

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

  mutable std::mutex mutex_;      // guards all that follows
  std::optional<Memory> memory_;  // absent: not resident
  std::uint64_t epoch_ = 0;       // counts evictions
  std::deque<Segment> ready_;
  bool caught_up_ = true;  // the pipeline took all stored bytes
  bool in_flight_ = false;
  bool in_loop_ = false;
  bool waiting_for_room_ = false;
  bool by_this_model_ = false;
  int holds_ = 0;
  absl::Status failure_;
  std::uint64_t restore_target_bytes_;
  std::uint64_t ingested_bytes_ = 0;
  std::uint64_t ingested_tokens_ = 0;
  std::vector<DocumentCounts> documents_;
  AttendedText attended_;
  RateMeter rate_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_SESSION_READER_H_
