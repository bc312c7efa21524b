// What one session has in memory: its state, with the room that is reserved for it, and the text that waits to be read
// into it. From the time it is begun, empty or from a snapshot, until it is evicted or dropped.
#ifndef TOME_SERVER_READING_RESIDENT_STATE_H_
#define TOME_SERVER_READING_RESIDENT_STATE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/text/text_pipeline.h"
#include "server/reading/attended_text.h"
#include "server/reading/rate_meter.h"
#include "server/reading/reading_context.h"
#include "server/reading/reading_state.h"
#include "server/reading/snapshot_trigger.h"
#include "server/scheduling/residency.h"

namespace tome::server {

// How far a session was read.
struct ReadingCounts {
  struct Document {
    ByteOffset bytes = 0;
    std::uint64_t tokens = 0;
  };
  std::uint64_t bytes = 0;
  std::uint64_t tokens = 0;
  std::vector<Document> documents;

  // The document was read up to `end`, which took so many tokens.
  void Add(std::size_t document, ByteOffset end, std::uint64_t num_tokens);
};

// What a question starts from.
struct ReadingFork {
  Memory memory;
  Segment tail;  // of stored bytes that follow; empty unless all before is read
  AttendedText attended;
  std::uint64_t ingested_bytes = 0;
  std::uint64_t ingested_tokens = 0;
};

// Segments pass through it: Feed makes them of stored bytes, on the strand; AddFed hands them to the compute loop,
// which reads them one by one. Methods marked "strand" are called on the session's serial queue only; the others are
// thread-safe and quick.
class ResidentState final : public ComputeWork, public std::enable_shared_from_this<ResidentState> {
 public:
  // Hears of each segment that was read, or could not be, from the compute thread and without a lock held.
  using OnSegment = std::function<void(const std::shared_ptr<ResidentState>& state, const StepResult& result,
                                       absl::Duration step_time)>;
  // More bytes of a document from this offset on.
  using ReadChunk = std::function<absl::StatusOr<std::string>(std::size_t ordinal, ByteOffset offset)>;

  // With nothing read yet.
  static std::shared_ptr<ResidentState> Empty(std::shared_ptr<const ReadingContext> context, Reservation room,
                                              Memory memory, OnSegment on_segment);
  // Goes on where `state` was, of a session that has stored `documents`. DATA_LOSS when it cannot be. `saved_tokens`:
  // read in the newest snapshot.
  static absl::StatusOr<std::shared_ptr<ResidentState>> From(std::shared_ptr<const ReadingContext> context,
                                                             Reservation room, ReadingState state,
                                                             const std::vector<StoredDocument>& documents,
                                                             std::uint64_t saved_tokens, OnSegment on_segment);

  // Strand. Whether the text goes on beyond what was fed.
  bool HasUnfed(const std::vector<StoredDocument>& documents) const;
  // Strand. Makes segments of a few more bytes.
  absl::Status Feed(const std::vector<StoredDocument>& documents, const ReadChunk& read_chunk);
  // Strand. Whether all documents were fed, and the last one is sealed.
  bool AtSealedEnd() const { return pipeline_->document() > 0 && pipeline_->offset() == 0; }
  // Strand. Whether what was fed waits for AddFed, and how many tokens will have been read after it.
  bool HasFed() const { return !fed_.empty(); }
  std::int64_t TokensWithFed() const;
  // Strand. Has what was fed read.
  void AddFed();
  // Strand. What was fed cannot be read before there is room; until AddFed the state may be evicted.
  void WaitToGrow();
  // Strand. `caught_up`: all text was fed.
  ReadingFork Fork(bool caught_up) const;
  ReadingState Copy() const;

  RoomNumber room() const { return room_number_; }
  // Whether it has enough to read for now.
  bool IsFull() const;
  bool WantsMore() const;
  bool IsRead() const;  // all that was added
  ReadingCounts counts() const;
  HeldBytes held() const;
  std::size_t archive_bytes() const;
  double tokens_per_second() const;
  double bytes_per_second() const;
  // Reading paused: what was before says nothing of what follows.
  void ResetRate();

  // Nothing is being read now: all was, or it waits to grow, or it yields.
  bool AtRest(bool caught_up) const;
  // Whether it is at work and has been for `turn`.
  bool HadItsTurn(absl::Duration turn) const;
  // Reads on no further, until KeepOn.
  void Yield();
  void KeepOn();
  // Ends it, and hands back its room, unless that was done before. A step that runs comes to nothing.
  Reservation Leave();

  // Snapshots. Whether what was read is in one, or could not be written to one.
  bool IsSaved() const;
  bool MayGo() const;
  bool SnapshotDue(bool at_end);
  void BeginSnapshot();
  void EndSnapshot(absl::Duration duration);
  void NoteSnapshot(std::uint64_t tokens, bool written);

  // ComputeWork.
  Task* NextTask() override;
  void OnStep(StepResult result, absl::Duration step_time) override;

 private:
  ResidentState(std::shared_ptr<const ReadingContext> context, Reservation room, Memory memory,
                std::unique_ptr<TextPipeline> pipeline, OnSegment on_segment);
  void SubmitIfReady();
  // Segments without tokens count as read once all before them is. With mutex_ held.
  void PassTokenless();

  const std::shared_ptr<const ReadingContext> context_;
  const RoomNumber room_number_;
  const absl::Duration begin_;
  const OnSegment on_segment_;

  // The strand's own.
  std::unique_ptr<TextPipeline> pipeline_;
  std::string buffer_;           // stored bytes at the pipeline's position
  std::size_t buffer_used_ = 0;  // of which this many were taken
  std::deque<Segment> fed_;      // not yet added

  // The compute thread's own, while in_flight_.
  std::optional<Memory> writing_;
  std::optional<Task> task_;
  Segment reading_;

  mutable std::mutex mutex_;  // guards all that follows
  Reservation reservation_;
  Memory memory_;
  std::deque<Segment> ready_;
  bool in_flight_ = false;
  bool in_loop_ = false;
  bool waits_to_grow_ = false;
  bool yields_ = false;
  bool left_ = false;
  bool has_read_ = false;  // a segment, since it is in memory
  ReadingCounts counts_;
  AttendedText attended_;
  RateMeter rate_;
  SnapshotTrigger trigger_;
  std::uint64_t saved_tokens_ = 0;      // that a snapshot has
  std::uint64_t unsavable_tokens_ = 0;  // that none could be given
};

}  // namespace tome::server

#endif  // TOME_SERVER_READING_RESIDENT_STATE_H_
