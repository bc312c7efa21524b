#include "server/session/session_reader.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/base/status.h"
#include "server/session/session_options.h"

namespace tome::server {
namespace {

// Segments that wait for the model; more are made when half of them are taken.
constexpr std::size_t kMaxReadySegments = 4;
// Bytes tokenized between two looks at ready_.
constexpr std::size_t kSliceBytes = std::size_t{4} << 10;

HeldBytes HeldBy(const Memory& memory) {
  return {.state = memory.state_bytes(),
          .archive = memory.archive_resident_bytes(),
          .spilled = memory.archive_spilled_bytes()};
}

}  // namespace

SessionReader::SessionReader(std::shared_ptr<SessionContext> context, SessionId id, const MemoryOptions& options,
                             ReadingHost& host, SerialQueue& strand, std::uint64_t restore_target_bytes)
    : context_(std::move(context)),
      id_(std::move(id)),
      options_(options),
      host_(host),
      strand_(strand),
      max_state_bytes_(
          Memory::MaxStateBytes(context_->model->info().config, options_, context_->model->info().precision)),
      reserved_bytes_(MaxResidentBytes(*context_->model, options_)),
      caught_up_(restore_target_bytes == 0),
      trigger_(context_->options.snapshots),
      restore_target_bytes_(restore_target_bytes),
      attended_(options_) {}

// --- On the strand ---

void SessionReader::NoteUnread() {
  const bool has_unread = HasUnread();
  std::lock_guard lock(mutex_);
  if (has_unread) caught_up_ = false;
}

void SessionReader::ForgetStorageFailure() {
  std::lock_guard lock(mutex_);
  if (std::exchange(failure_passes_, false)) failure_ = absl::OkStatus();
}

absl::Status SessionReader::ReadOn() {
  ForgetStorageFailure();
  const bool has_unread = HasUnread();
  bool resident, by_this_model;
  {
    std::lock_guard lock(mutex_);
    TOME_RETURN_IF_ERROR(failure_);
    if (has_unread) caught_up_ = false;
    resident = memory_.has_value();
    by_this_model = by_this_model_;
  }
  if (!resident) {
    if (!has_unread) return absl::OkStatus();
    if (absl::Status status = CheckRoom(); !status.ok()) {
      Fail(status);
      return status;
    }
    if (const Room room = context_->residency.Reserve(Self(), reserved_bytes_); room != Room::kReserved) {
      return NoRoom(room);
    }
  }
  const auto read = [&]() -> absl::Status {
    if (!resident) TOME_RETURN_IF_ERROR(BecomeResident());
    if (!by_this_model) TOME_RETURN_IF_ERROR(CheckModel());
    return Pump();
  };
  absl::Status status = read();
  if (!status.ok()) FailReading(status);
  return status;
}

absl::Status SessionReader::CheckRoom() const {
  if (reserved_bytes_ <= context_->options.max_state_bytes) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   fmt::format("session {}: its attention state and archive can take {} bytes of memory, but the "
                               "server allows {} for all",
                               id_, reserved_bytes_, context_->options.max_state_bytes),
                   {.reason = "MEMORY_OPTIONS", .metadata = {{"session", id_}}});
}

absl::Status SessionReader::NoRoom(Room room) {
  bool changed;
  {
    std::lock_guard lock(mutex_);
    changed = !std::exchange(waiting_for_room_, true);
  }
  if (changed) host_.OnReadingChanged();
  if (room == Room::kComing) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      fmt::format("session {}: no room for its attention state and archive of up to {} bytes until another session "
                  "becomes idle",
                  id_, reserved_bytes_),
      {.reason = "STATE_MEMORY", .metadata = {{"session", id_}}, .retry_delay = context_->options.retry_delay});
}

absl::Status SessionReader::BecomeResident() {
  const auto set_loading = [this](bool loading) {
    {
      std::lock_guard lock(mutex_);
      waiting_for_room_ = false;
      loading_ = loading;
    }
    host_.OnReadingChanged();
  };
  set_loading(true);
  absl::StatusOr<std::optional<ReadingState>> loaded = host_.LoadSnapshot();
  absl::Status status = loaded.status();
  if (loaded.ok()) status = *loaded ? RestoreFrom(**std::move(loaded)) : BeginEmpty();
  set_loading(false);
  return status;
}

absl::Status SessionReader::BeginEmpty() {
  absl::StatusOr<Memory> memory = Memory::Create(context_->model, options_);
  if (!memory.ok()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition,
        fmt::format("session {} was made for another model: {}", id_, std::string(memory.status().message())),
        {.reason = "MEMORY_OPTIONS", .metadata = {{"session", id_}}});
  }
  pipeline_ = std::make_unique<TextPipeline>(context_->model->tokenizer(), options_.segment_tokens);
  buffer_.clear();
  buffer_used_ = 0;
  bool restoring;
  {
    std::lock_guard lock(mutex_);
    memory_ = *std::move(memory);
    restoring = restore_target_bytes_ > 0;
    pipeline_epoch_ = epoch_;
  }
  if (restoring) {
    context_->observer.OnRestoreBegun(/*from_snapshot=*/false);
    context_->observer.OnSessionEvent(id_, "restoring", "the stored bytes are read again from the first one");
  }
  return absl::OkStatus();
}

absl::Status SessionReader::BeginWith(ReadingState state) {
  TOME_ASSIGN_OR_RETURN(pipeline_,
                        TextPipeline::Resume(context_->model->tokenizer(), options_.segment_tokens, state.pipeline));
  buffer_.clear();
  buffer_used_ = 0;
  const HeldBytes held = HeldBy(state.memory);
  bool begins;
  {
    std::lock_guard lock(mutex_);
    for (const ReadRange& range : state.memory.ReadRanges()) {
      if (documents_.size() <= range.document) documents_.resize(range.document + 1);
      documents_[range.document] = {.bytes = range.end, .tokens = static_cast<std::uint64_t>(range.tokens)};
      ingested_bytes_ += range.end - range.begin;
      ingested_tokens_ += static_cast<std::uint64_t>(range.tokens);
    }
    attended_.Add(state.memory.KeptSpans());
    memory_ = std::move(state.memory);
    ready_ = std::move(state.unread);
    pipeline_epoch_ = epoch_;
    begins = !ready_.empty() && !std::exchange(in_loop_, true);
  }
  context_->residency.SetHeldBytes(*this, held);
  if (begins) context_->compute.Submit(Lane::kReading, Self());
  return absl::OkStatus();
}

absl::Status SessionReader::RestoreFrom(ReadingState state) {
  std::uint64_t bytes = 0, tokens = 0;
  for (const ReadRange& range : state.memory.ReadRanges()) {
    bytes += range.end - range.begin;
    tokens += static_cast<std::uint64_t>(range.tokens);
  }
  {
    std::lock_guard lock(mutex_);
    saved_tokens_ = tokens;
    restore_target_bytes_ = std::max(restore_target_bytes_, bytes);
  }
  TOME_RETURN_IF_ERROR(BeginWith(std::move(state)));
  bool restored, idle;
  {
    std::lock_guard lock(mutex_);
    idle = IdleLocked();
    restored = EndRestoringLocked();
  }
  context_->observer.OnRestoreBegun(/*from_snapshot=*/true);
  context_->observer.OnSessionEvent(id_, "restoring", fmt::format("from a snapshot of the first {} bytes", bytes));
  if (restored) context_->observer.OnSessionEvent(id_, "restored", "");
  if (idle) context_->residency.NotifyRoom();
  return absl::OkStatus();
}

void SessionReader::Trim() {
  std::lock_guard lock(mutex_);
  if (memory_) return;
  pipeline_.reset();
  buffer_ = {};
  buffer_used_ = 0;
}

bool SessionReader::HasUnread() {
  const std::vector<StoredDocument>& documents = host_.Documents();
  {
    std::lock_guard lock(mutex_);
    if (!damage_.ok()) return false;
    if (!memory_ || pipeline_epoch_ != epoch_) {
      return std::any_of(documents.begin(), documents.end(), [](const auto& document) { return document.size > 0; });
    }
  }
  const std::size_t at = pipeline_->document();
  return at < documents.size() && (documents[at].sealed || pipeline_->offset() < documents[at].size);
}

absl::Status SessionReader::Pump() {
  while (HasUnread()) {
    {
      std::lock_guard lock(mutex_);
      if (!failure_.ok() || !memory_ || ready_.size() >= kMaxReadySegments) return absl::OkStatus();
    }
    std::deque<Segment> segments;
    const absl::Status fed = FeedSlice(&segments);
    // What was read up to here can still be asked about.
    if (absl::IsDataLoss(fed) && !IsStorageFailure(fed)) {
      NoteDamage(fed);
      break;
    }
    TOME_RETURN_IF_ERROR(fed);
    AddSegments(std::move(segments));
  }
  bool idle, restored, snapshot_due;
  {
    std::lock_guard lock(mutex_);
    if (!memory_ || std::exchange(caught_up_, true)) return absl::OkStatus();
    at_sealed_end_ = damage_.ok() && pipeline_->document() > 0 && pipeline_->offset() == 0;
    idle = IdleLocked();
    restored = EndRestoringLocked();
    snapshot_due = SnapshotDueLocked();
  }
  if (snapshot_due) host_.OnSnapshotDue();
  if (restored) context_->observer.OnSessionEvent(id_, "restored", "");
  if (idle) context_->residency.NotifyRoom();
  host_.OnReadingChanged();
  return absl::OkStatus();
}

void SessionReader::NoteDamage(const absl::Status& damage) {
  {
    std::lock_guard lock(mutex_);
    damage_ = damage;
  }
  context_->observer.OnSessionEvent(id_, "damaged", std::string(damage.message()));
}

absl::Status SessionReader::FeedSlice(std::deque<Segment>* segments) {
  const std::size_t ordinal = pipeline_->document();
  const StoredDocument& document = host_.Documents()[ordinal];
  if (pipeline_->offset() == document.size) {
    pipeline_->FinishDocument(segments);
    return absl::OkStatus();
  }
  if (buffer_used_ == buffer_.size()) {
    TOME_ASSIGN_OR_RETURN(SessionStore* const store, host_.Store());
    TOME_ASSIGN_OR_RETURN(buffer_, store->ReadChunk(ordinal, document, pipeline_->offset()));
    buffer_used_ = 0;
  }
  const std::string_view slice = std::string_view(buffer_).substr(buffer_used_, kSliceBytes);
  buffer_used_ += slice.size();
  pipeline_->Append(slice, segments);
  return absl::OkStatus();
}

void SessionReader::AddSegments(std::deque<Segment> segments) {
  if (segments.empty()) return;
  {
    std::lock_guard lock(mutex_);
    std::move(segments.begin(), segments.end(), std::back_inserter(ready_));
    if (std::exchange(in_loop_, true)) return;
  }
  context_->compute.Submit(Lane::kReading, Self());
}

absl::StatusOr<ReadingFork> SessionReader::Fork() {
  std::unique_lock lock(mutex_);
  TOME_RETURN_IF_ERROR(failure_);
  if (!memory_) return Internal("session {}: its state is not in memory", id_);
  ReadingFork fork{.memory = *memory_,
                   .tail = {},
                   .attended = attended_,
                   .ingested_bytes = ingested_bytes_,
                   .ingested_tokens = ingested_tokens_};
  const bool idle = IdleLocked();
  lock.unlock();
  // Only the strand moves the pipeline, so what is pending still follows the memory that was taken.
  if (idle) fork.tail = pipeline_->PendingTail();
  return fork;
}

std::optional<ReadingState> SessionReader::CopyState() const {
  std::unique_lock lock(mutex_);
  if (!memory_ || !failure_.ok()) return std::nullopt;
  ReadingState state{.memory = *memory_, .unread = ready_, .pipeline = {}};
  if (in_flight_ && step_epoch_ == epoch_) state.unread.push_front(reading_);
  lock.unlock();
  // Only the strand moves the pipeline and adds segments, so it still follows what was taken.
  state.pipeline = pipeline_->Save();
  return state;
}

void SessionReader::Adopt(ReadingState state, std::uint64_t saved_tokens) {
  if (status().resident || context_->residency.Reserve(Self(), reserved_bytes_) != Room::kReserved) return;
  {
    std::lock_guard lock(mutex_);
    waiting_for_room_ = false;
    restore_target_bytes_ = 0;  // what the other has not read was never read here
    saved_tokens_ = saved_tokens;
    by_this_model_ = true;
  }
  absl::Status status = BeginWith(std::move(state));
  if (status.ok()) status = Pump();
  if (!status.ok()) FailReading(status);
}

std::optional<ReadingState> SessionReader::CopyForSnapshot(std::uint64_t* epoch) {
  {
    std::lock_guard lock(mutex_);
    if (SavedLocked()) {
      trigger_.End(context_->clock.Elapsed(), absl::ZeroDuration());
      return std::nullopt;
    }
    trigger_.Begin();
    *epoch = epoch_;
  }
  std::optional<ReadingState> state = CopyState();
  if (!state) {
    std::lock_guard lock(mutex_);
    trigger_.End(context_->clock.Elapsed(), absl::ZeroDuration());
  }
  return state;
}

void SessionReader::OnSnapshotEnded(std::uint64_t epoch, std::uint64_t ingested_tokens, bool written,
                                    absl::Duration duration) {
  std::lock_guard lock(mutex_);
  trigger_.End(context_->clock.Elapsed(), duration);
  if (epoch == epoch_) (written ? saved_tokens_ : unsavable_tokens_) = ingested_tokens;
}

void SessionReader::StartOver() {
  {
    std::lock_guard lock(mutex_);
    failure_ = absl::OkStatus();
    failure_passes_ = false;
    restore_target_bytes_ = std::max(restore_target_bytes_, ingested_bytes_);
    DropStateLocked();
    caught_up_ = false;
    by_this_model_ = false;
  }
  context_->residency.Release(*this);
}

absl::Status SessionReader::CheckModel() {
  const ModelInfo& info = context_->model->info();
  TOME_ASSIGN_OR_RETURN(SessionStore* const store, host_.Store());
  TOME_ASSIGN_OR_RETURN(const StoredSession stored, store->Load());
  if (stored.model_digest != info.model_digest || stored.tokenizer_digest != info.tokenizer_digest) {
    TOME_RETURN_IF_ERROR(store->SaveDigests(info.model_digest, info.tokenizer_digest));
    context_->observer.OnSessionEvent(
        id_, "model_changed",
        fmt::format("it was read by model {} with tokenizer {}, and is read again by model {} with tokenizer {}",
                    stored.model_digest, stored.tokenizer_digest, info.model_digest, info.tokenizer_digest));
  }
  std::lock_guard lock(mutex_);
  by_this_model_ = true;
  return absl::OkStatus();
}

// --- On the compute thread ---

Task* SessionReader::NextTask() {
  std::lock_guard lock(mutex_);
  if (in_flight_) return &*task_;
  if (ready_.empty() || !memory_ || !failure_.ok()) {
    in_loop_ = false;
    return nullptr;
  }
  in_flight_ = true;
  reading_ = std::move(ready_.front());
  ready_.pop_front();
  step_epoch_ = epoch_;
  writing_ = *memory_;
  task_.emplace(Task::Read(&*writing_, reading_.tokens, reading_.spans));
  return &*task_;
}

void SessionReader::OnStep(StepResult result, absl::Duration step_time) {
  bool restoring, wants_more, restored = false, idle = false, snapshot_due = false, dropped;
  HeldBytes held;
  {
    std::lock_guard lock(mutex_);
    in_flight_ = false;
    task_.reset();
    restoring = restore_target_bytes_ > 0;
    dropped = !failure_.ok() || step_epoch_ != epoch_;
    if (result.status.ok() && !dropped) {
      memory_ = std::move(writing_);
      held = HeldBy(*memory_);
      Count(reading_, step_time);
      trigger_.NoteSegment(context_->clock.Elapsed());
    }
    writing_.reset();
    if (!failure_.ok()) DropStateLocked();
    idle = IdleLocked();
    restored = EndRestoringLocked();
    snapshot_due = SnapshotDueLocked();
    if (idle) rate_.Reset();
    wants_more = !caught_up_ && ready_.size() <= kMaxReadySegments / 2;
  }
  if (!result.status.ok() && !dropped) {
    Fail(Annotate(result.status, fmt::format("session {}: reading", id_)));
    return;
  }
  context_->observer.OnSegmentRead(result.tokens_read, step_time, restoring);
  if (!dropped) context_->residency.SetHeldBytes(*this, held);
  context_->ReportSpillFailures();
  if (restored) context_->observer.OnSessionEvent(id_, "restored", "");
  if (snapshot_due) host_.OnSnapshotDue();
  if (wants_more) {
    strand_.Post([self = Self()] { self->ReadOn().IgnoreError(); });  // status() tells
  }
  if (idle) context_->residency.NotifyRoom();
  host_.OnReadingChanged();
}

void SessionReader::Count(const Segment& segment, absl::Duration step_time) {
  const std::uint64_t bytes = segment.num_bytes();
  ingested_bytes_ += bytes;
  ingested_tokens_ += segment.tokens.size();
  if (documents_.size() <= segment.document) documents_.resize(segment.document + 1);
  documents_[segment.document].bytes = segment.end;
  documents_[segment.document].tokens += segment.tokens.size();
  attended_.Add(segment.spans);
  const absl::Duration now = context_->clock.Elapsed();
  rate_.Add(now - step_time, now, segment.tokens.size(), bytes);
}

// --- From any thread ---

bool SessionReader::IdleLocked() const { return memory_ && caught_up_ && ready_.empty() && !in_flight_; }

bool SessionReader::SnapshotDueLocked() {
  return memory_ && trigger_.Due(context_->clock.Elapsed(), IdleLocked() && at_sealed_end_);
}

StatePlace SessionReader::PlaceLocked() const {
  const bool restoring = restore_target_bytes_ > 0;
  if (memory_)
    return restoring ? StatePlace::kRestoring : ingested_tokens_ > 0 ? StatePlace::kResident : StatePlace::kNone;
  if (restoring) return loading_ || waiting_for_room_ ? StatePlace::kRestoring : StatePlace::kEvicted;
  return StatePlace::kNone;
}

SessionPhase SessionReader::PhaseLocked() const {
  if (!failure_.ok() || !damage_.ok()) return SessionPhase::kFailed;
  const bool restoring = restore_target_bytes_ > 0;
  if (memory_) {
    if (IdleLocked()) return SessionPhase::kIdle;
    return restoring ? SessionPhase::kRestoring : SessionPhase::kReading;
  }
  if (waiting_for_room_ || loading_) return restoring ? SessionPhase::kRestoring : SessionPhase::kReading;
  if (restoring) return SessionPhase::kEvicted;
  return caught_up_ ? SessionPhase::kIdle : SessionPhase::kReading;
}

bool SessionReader::EndRestoringLocked() {
  if (restore_target_bytes_ == 0 || (!IdleLocked() && ingested_bytes_ < restore_target_bytes_)) return false;
  restore_target_bytes_ = 0;
  return true;
}

ReadingStatus SessionReader::status() const {
  std::lock_guard lock(mutex_);
  return {.phase = PhaseLocked(),
          .ingested_bytes = ingested_bytes_,
          .ingested_tokens = ingested_tokens_,
          .caught_up = IdleLocked(),
          .restore_target_bytes = restore_target_bytes_,
          .tokens_per_second = rate_.tokens_per_second(),
          .bytes_per_second = rate_.bytes_per_second(),
          .resident = memory_.has_value(),
          .state_bytes = memory_ ? memory_->state_bytes() : 0,
          .archive_bytes = memory_ ? memory_->archive_bytes() : 0,
          .archive_resident_bytes = memory_ ? memory_->archive_resident_bytes() : 0,
          .by_this_model = by_this_model_,
          .place = PlaceLocked(),
          .failure = failure_,
          .damage = damage_};
}

void SessionReader::DocumentProgress(std::size_t ordinal, ByteOffset* ingested_bytes,
                                     std::uint64_t* ingested_tokens) const {
  std::lock_guard lock(mutex_);
  const DocumentCounts counts = ordinal < documents_.size() ? documents_[ordinal] : DocumentCounts();
  *ingested_bytes = counts.bytes;
  *ingested_tokens = counts.tokens;
}

void SessionReader::Hold() {
  {
    std::lock_guard lock(mutex_);
    ++holds_;
  }
  context_->residency.Touch(*this);
}

void SessionReader::Unhold() {
  bool evictable;
  {
    std::lock_guard lock(mutex_);
    --holds_;
    evictable = holds_ == 0 && IdleLocked();
  }
  if (evictable) context_->residency.NotifyRoom();
}

void SessionReader::DropStateLocked() {
  memory_.reset();
  ready_.clear();
  ++epoch_;
  ingested_bytes_ = ingested_tokens_ = 0;
  documents_.clear();
  attended_ = AttendedText(options_);
  rate_.Reset();
  damage_ = absl::OkStatus();
  saved_tokens_ = unsavable_tokens_ = 0;
  trigger_.Reset();
  at_sealed_end_ = false;
}

void SessionReader::Fail(absl::Status failure) { Stop(std::move(failure), /*passes=*/false); }
void SessionReader::FailReading(absl::Status failure) {
  const bool passes = IsStorageFailure(failure);
  Stop(std::move(failure), passes);
}

void SessionReader::Stop(absl::Status failure, bool passes) {
  {
    std::lock_guard lock(mutex_);
    if (!failure_.ok() && (passes || !failure_passes_)) return;
    failure_ = std::move(failure);
    failure_passes_ = passes;
    if (passes) restore_target_bytes_ = std::max(restore_target_bytes_, ingested_bytes_);
    DropStateLocked();
  }
  context_->residency.Release(*this);
  host_.OnReadingChanged();
}

bool SessionReader::CanEvict() const {
  std::lock_guard lock(mutex_);
  return holds_ == 0 && IdleLocked() && MayGoLocked();
}

bool SessionReader::CanSave() const {
  std::lock_guard lock(mutex_);
  return holds_ == 0 && IdleLocked() && !MayGoLocked();
}

bool SessionReader::TryEvict() {
  {
    std::lock_guard lock(mutex_);
    if (holds_ > 0 || !IdleLocked() || !MayGoLocked()) return false;
    const std::uint64_t target = ingested_bytes_;
    DropStateLocked();
    restore_target_bytes_ = target;
    caught_up_ = target == 0;
  }
  host_.OnEvicted();
  return true;
}

void SessionReader::OnRoom() {
  strand_.Post([self = Self()] {
    {
      std::lock_guard lock(self->mutex_);
      self->waiting_for_room_ = false;
    }
    self->ReadOn().IgnoreError();  // it waits again, or the status tells why not
  });
}

}  // namespace tome::server
