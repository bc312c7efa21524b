#include "server/reading/resident_state.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/base/status.h"

namespace tome::server {
namespace {

// Segments that wait for the model; more are fed when half of them are taken.
constexpr std::size_t kMaxReadySegments = 4;
// Bytes tokenized between two looks at what waits.
constexpr std::size_t kSliceBytes = std::size_t{4} << 10;

}  // namespace

void ReadingCounts::Add(std::size_t document, ByteOffset end, std::uint64_t num_tokens) {
  if (documents.size() <= document) documents.resize(document + 1);
  bytes += end - documents[document].bytes;
  tokens += num_tokens;
  documents[document].bytes = end;
  documents[document].tokens += num_tokens;
}

ResidentState::ResidentState(std::shared_ptr<const ReadingContext> context, Reservation room, Memory memory,
                             std::unique_ptr<TextPipeline> pipeline, OnSegment on_segment)
    : context_(std::move(context)),
      room_number_(room.number()),
      begin_(context_->clock.Elapsed()),
      on_segment_(std::move(on_segment)),
      pipeline_(std::move(pipeline)),
      reservation_(std::move(room)),
      memory_(std::move(memory)),
      attended_(memory_.options()),
      trigger_(context_->options.snapshots) {}

std::shared_ptr<ResidentState> ResidentState::Empty(std::shared_ptr<const ReadingContext> context, Reservation room,
                                                    Memory memory, OnSegment on_segment) {
  auto pipeline = std::make_unique<TextPipeline>(context->model->tokenizer(), memory.options().segment_tokens);
  return std::shared_ptr<ResidentState>(new ResidentState(std::move(context), std::move(room), std::move(memory),
                                                          std::move(pipeline), std::move(on_segment)));
}

absl::StatusOr<std::shared_ptr<ResidentState>> ResidentState::From(std::shared_ptr<const ReadingContext> context,
                                                                   Reservation room, ReadingState state,
                                                                   const std::vector<StoredDocument>& documents,
                                                                   std::uint64_t saved_tokens, OnSegment on_segment) {
  TOME_ASSIGN_OR_RETURN(
      std::unique_ptr<TextPipeline> pipeline,
      TextPipeline::Resume(context->model->tokenizer(), state.memory.options().segment_tokens, state.pipeline));
  std::shared_ptr<ResidentState> resident(
      new ResidentState(std::move(context), std::move(room), state.memory, std::move(pipeline), std::move(on_segment)));
  for (const ReadRange& range : DocumentsRead(state, documents)) {
    resident->counts_.Add(range.document, range.end, static_cast<std::uint64_t>(range.tokens));
  }
  resident->attended_.Add(state.memory.KeptSpans());
  resident->saved_tokens_ = saved_tokens;
  resident->fed_ = std::move(state.unread);
  resident->context_->residency.SetHeldBytes(resident->room_number_, resident->held());
  return resident;
}

// --- On the strand ---

bool ResidentState::HasUnfed(const std::vector<StoredDocument>& documents) const {
  const std::size_t at = pipeline_->document();
  return at < documents.size() && (documents[at].sealed || pipeline_->offset() < documents[at].size);
}

absl::Status ResidentState::Feed(const std::vector<StoredDocument>& documents, const ReadChunk& read_chunk) {
  const std::size_t ordinal = pipeline_->document();
  if (pipeline_->offset() == documents[ordinal].size) {
    pipeline_->FinishDocument(&fed_);
    return absl::OkStatus();
  }
  if (buffer_used_ == buffer_.size()) {
    TOME_ASSIGN_OR_RETURN(buffer_, read_chunk(ordinal, pipeline_->offset()));
    buffer_used_ = 0;
  }
  const std::string_view slice = std::string_view(buffer_).substr(buffer_used_, kSliceBytes);
  buffer_used_ += slice.size();
  pipeline_->Append(slice, &fed_);
  return absl::OkStatus();
}

std::int64_t ResidentState::TokensWithFed() const {
  const auto sum = [](std::int64_t tokens, const Segment& segment) {
    return tokens + static_cast<std::int64_t>(segment.tokens.size());
  };
  std::lock_guard lock(mutex_);
  std::int64_t tokens = memory_.tokens_read();
  if (in_flight_) tokens = sum(tokens, reading_);
  for (const Segment& segment : ready_) tokens = sum(tokens, segment);
  for (const Segment& segment : fed_) tokens = sum(tokens, segment);
  return tokens;
}

void ResidentState::AddFed() {
  {
    std::lock_guard lock(mutex_);
    waits_to_grow_ = false;
    std::move(fed_.begin(), fed_.end(), std::back_inserter(ready_));
    PassTokenless();
  }
  fed_.clear();
  SubmitIfReady();
}

void ResidentState::WaitToGrow() {
  std::lock_guard lock(mutex_);
  waits_to_grow_ = true;
}

ReadingFork ResidentState::Fork(bool caught_up) const {
  std::unique_lock lock(mutex_);
  ReadingFork fork{.memory = memory_,
                   .tail = {},
                   .attended = attended_,
                   .ingested_bytes = counts_.bytes,
                   .ingested_tokens = counts_.tokens};
  const bool is_read = ready_.empty() && !in_flight_;
  lock.unlock();
  // Only the strand moves the pipeline, so what is pending still follows the memory that was taken.
  if (caught_up && is_read && fed_.empty()) fork.tail = pipeline_->PendingTail();
  return fork;
}

ReadingState ResidentState::Copy() const {
  std::unique_lock lock(mutex_);
  ReadingState state{.memory = memory_, .unread = ready_, .pipeline = {}};
  if (in_flight_) state.unread.push_front(reading_);
  lock.unlock();
  // Only the strand moves the pipeline and adds segments, so it still follows what was taken.
  state.unread.insert(state.unread.end(), fed_.begin(), fed_.end());
  state.pipeline = pipeline_->Save();
  return state;
}

// --- From any thread ---

bool ResidentState::IsFull() const {
  std::lock_guard lock(mutex_);
  return ready_.size() >= kMaxReadySegments;
}

bool ResidentState::WantsMore() const {
  std::lock_guard lock(mutex_);
  return ready_.size() <= kMaxReadySegments / 2;
}

bool ResidentState::IsRead() const {
  std::lock_guard lock(mutex_);
  return ready_.empty() && !in_flight_;
}

ReadingCounts ResidentState::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

HeldBytes ResidentState::held() const {
  std::lock_guard lock(mutex_);
  return {.state = memory_.state_bytes(),
          .archive = memory_.archive_resident_bytes(),
          .spilled = memory_.archive_spilled_bytes()};
}

std::size_t ResidentState::archive_bytes() const {
  std::lock_guard lock(mutex_);
  return memory_.archive_bytes();
}

double ResidentState::tokens_per_second() const {
  std::lock_guard lock(mutex_);
  return rate_.tokens_per_second();
}

double ResidentState::bytes_per_second() const {
  std::lock_guard lock(mutex_);
  return rate_.bytes_per_second();
}

void ResidentState::ResetRate() {
  std::lock_guard lock(mutex_);
  rate_.Reset();
}

bool ResidentState::AtRest(bool caught_up) const {
  std::lock_guard lock(mutex_);
  return !in_flight_ && (yields_ || (ready_.empty() && (caught_up || waits_to_grow_)));
}

bool ResidentState::HadItsTurn(absl::Duration turn) const {
  const absl::Duration since = context_->clock.Elapsed() - begin_;
  std::lock_guard lock(mutex_);
  return has_read_ && since >= turn && !yields_;
}

void ResidentState::Yield() {
  std::lock_guard lock(mutex_);
  yields_ = true;
}

void ResidentState::KeepOn() {
  {
    std::lock_guard lock(mutex_);
    yields_ = false;
  }
  SubmitIfReady();
}

Reservation ResidentState::Leave() {
  std::lock_guard lock(mutex_);
  left_ = true;
  return std::move(reservation_);
}

// --- Snapshots ---

bool ResidentState::IsSaved() const {
  std::lock_guard lock(mutex_);
  return saved_tokens_ == counts_.tokens;
}

bool ResidentState::MayGo() const {
  std::lock_guard lock(mutex_);
  return saved_tokens_ == counts_.tokens || unsavable_tokens_ == counts_.tokens;
}

bool ResidentState::SnapshotDue(bool at_end) {
  const absl::Duration now = context_->clock.Elapsed();
  std::lock_guard lock(mutex_);
  return trigger_.Due(now, at_end && ready_.empty() && !in_flight_);
}

void ResidentState::BeginSnapshot() {
  std::lock_guard lock(mutex_);
  trigger_.Begin();
}

void ResidentState::EndSnapshot(absl::Duration duration) {
  const absl::Duration now = context_->clock.Elapsed();
  std::lock_guard lock(mutex_);
  trigger_.End(now, duration);
}

void ResidentState::NoteSnapshot(std::uint64_t tokens, bool written) {
  std::lock_guard lock(mutex_);
  (written ? saved_tokens_ : unsavable_tokens_) = tokens;
}

// --- On the compute thread ---

void ResidentState::PassTokenless() {
  while (!in_flight_ && !ready_.empty() && ready_.front().tokens.empty()) {
    counts_.Add(ready_.front().document, ready_.front().end, 0);
    ready_.pop_front();
  }
}

void ResidentState::SubmitIfReady() {
  {
    std::lock_guard lock(mutex_);
    if (ready_.empty() || yields_ || left_ || std::exchange(in_loop_, true)) return;
  }
  context_->compute.Submit(Lane::kReading, shared_from_this());
}

Task* ResidentState::NextTask() {
  std::lock_guard lock(mutex_);
  if (in_flight_) return &*task_;
  if (ready_.empty() || yields_ || left_) {
    in_loop_ = false;
    return nullptr;
  }
  in_flight_ = true;
  reading_ = std::move(ready_.front());
  ready_.pop_front();
  writing_ = memory_;
  task_.emplace(Task::Read(&*writing_, reading_.tokens, reading_.spans));
  return &*task_;
}

void ResidentState::OnStep(StepResult result, absl::Duration step_time) {
  {
    const absl::Duration now = context_->clock.Elapsed();
    std::lock_guard lock(mutex_);
    in_flight_ = false;
    task_.reset();
    if (left_) {
      writing_.reset();
      return;
    }
    if (result.status.ok()) {
      memory_ = *std::move(writing_);
      has_read_ = true;
      const std::uint64_t bytes_before = counts_.bytes;
      counts_.Add(reading_.document, reading_.end, reading_.tokens.size());
      attended_.Add(reading_.spans);
      rate_.Add(now - step_time, now, reading_.tokens.size(), counts_.bytes - bytes_before);
      trigger_.NoteSegment(now);
      PassTokenless();
    }
    writing_.reset();
  }
  if (result.status.ok()) context_->residency.SetHeldBytes(room_number_, held());
  on_segment_(shared_from_this(), result, step_time);
}

}  // namespace tome::server
