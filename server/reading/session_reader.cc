#include "server/reading/session_reader.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/reading/session_memory.h"

namespace tome::server {
namespace {

// Text of which so much becomes a token is common; where it is more tokens the room grows.
constexpr std::uint64_t kBytesPerToken = 4;
// A last segment that is not whole has no more bytes than this for each token of a segment.
constexpr std::uint64_t kTailBytesPerToken = 8;

std::uint64_t StoredBytes(const std::vector<StoredDocument>& documents) {
  return std::accumulate(documents.begin(), documents.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const StoredDocument& document) { return sum + document.size; });
}

std::uint64_t BytesAfter(const std::vector<StoredDocument>& documents, const std::vector<SnapshotInfo>& snapshots) {
  const std::uint64_t stored = StoredBytes(documents);
  return snapshots.empty() ? stored : stored - std::min(stored, snapshots.front().ingested_bytes);
}

// A text that goes on ends with less than a segment that is not read.
bool HasNeverRead(const StoredSession& stored) {
  const std::uint64_t unread = BytesAfter(stored.documents, stored.snapshots);
  if (stored.documents.empty() || stored.documents.back().sealed) return unread > 0;
  return unread > kTailBytesPerToken * static_cast<std::uint64_t>(stored.options.segment_tokens);
}

}  // namespace

SessionReader::SessionReader(std::shared_ptr<const ReadingContext> context, const StoredSession& stored,
                             ReadingHost& host, StoreHandle& store, SerialQueue& strand)
    : context_(std::move(context)),
      id_(stored.id),
      options_(stored.options),
      host_(host),
      store_(store),
      strand_(strand),
      max_state_bytes_(
          Memory::MaxStateBytes(context_->model->info().config, options_, context_->model->info().precision)),
      max_resident_bytes_(MaxResidentBytes(*context_->model, options_)),
      archive_bytes_per_token_(ComputeSessionCost(*context_->model, options_).archive_bytes_per_token),
      never_read_text_(HasNeverRead(stored)),
      keeper_(context_, stored.id, *this, store, strand, stored.snapshots),
      caught_up_(StoredBytes(stored.documents) == 0),
      restore_target_bytes_(StoredBytes(stored.documents)),
      snapshots_(stored.snapshots) {}

// --- On the strand ---

void SessionReader::NoteUnread() {
  const bool has_unread = HasUnread();
  std::lock_guard lock(mutex_);
  if (has_unread) caught_up_ = false;
}

void SessionReader::ForgetStorageFailure() {
  Place gone;
  std::lock_guard lock(mutex_);
  const auto* failed = std::get_if<Failed>(&place_);
  if (failed != nullptr && failed->passes) gone = MoveLocked(Absent());
}

bool SessionReader::HasUnread() {
  {
    std::lock_guard lock(mutex_);
    if (!damage_.ok()) return false;
  }
  const Here state = here();
  if (state) return state->HasFed() || state->HasUnfed(host_.Documents());
  return StoredBytes(host_.Documents()) > 0;
}

absl::Status SessionReader::ReadOn(Urgency urgency) {
  ForgetStorageFailure();
  const bool has_unread = HasUnread();
  Here state;
  bool waits;
  {
    std::lock_guard lock(mutex_);
    if (const auto* failed = std::get_if<Failed>(&place_)) return failed->status;
    state = HereLocked();
    if (has_unread && state) caught_up_ = false;
    if (!state && !has_unread) return absl::OkStatus();
    waits = std::holds_alternative<WaitingForRoom>(place_);
  }
  if (state) {
    absl::Status status = Pump(state);
    if (!status.ok()) FailReading(status);
    return status;
  }
  if (absl::Status status = CheckRoom(); !status.ok()) {
    Fail(status);
    return status;
  }
  if (!waits) {
    std::lock_guard lock(mutex_);
    MoveLocked(WaitingForRoom());
  }
  context_->residency.Request(Self(), NeededBytes(), urgency);
  if (!waits) host_.OnReadingChanged();
  return absl::OkStatus();
}

absl::Status SessionReader::CheckRoom() const {
  if (max_resident_bytes_ <= context_->options.max_state_bytes) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   fmt::format("session {}: its attention state and archive can take {} bytes of memory, but the "
                               "server allows {} for all",
                               id_, max_resident_bytes_, context_->options.max_state_bytes),
                   {.reason = "MEMORY_OPTIONS", .metadata = {{"session", id_}}});
}

std::size_t SessionReader::NeededBytes(std::int64_t tokens) const {
  const ModelInfo& info = context_->model->info();
  const auto archive = static_cast<std::size_t>(archive_bytes_per_token_ * static_cast<double>(tokens));
  return std::min(max_resident_bytes_,
                  Memory::MaxStateBytesAfter(tokens, info.config, options_, info.precision) + archive);
}

std::size_t SessionReader::NeededBytes() {
  const std::vector<SnapshotInfo> kept = snapshots();
  const std::uint64_t read = kept.empty() ? 0 : kept.front().ingested_tokens;
  return NeededBytes(static_cast<std::int64_t>(read + BytesAfter(host_.Documents(), kept) / kBytesPerToken));
}

void SessionReader::TakeRoom(Reservation room) {
  {
    std::lock_guard lock(mutex_);
    if (!std::holds_alternative<WaitingForRoom>(place_)) return;  // it failed, or was dropped
    MoveLocked(Loading());
    // So that what it was wanted for comes before its next eviction.
    ++holds_;
  }
  host_.OnReadingChanged();
  absl::StatusOr<Here> state = Load(std::move(room));
  const bool differs_from_snapshot = state.ok() && !(*state)->IsSaved();
  if (state.ok()) {
    std::lock_guard lock(mutex_);
    MoveLocked(*state);
  }
  absl::Status status = state.status();
  if (status.ok()) status = CheckModel();
  if (status.ok()) status = Pump(*state);
  if (!status.ok()) FailReading(status);
  if (status.ok() && differs_from_snapshot) keeper_.Begin();
  host_.OnReadingChanged();
  strand_.Post([self = Self()] { self->Unhold(); });
}

absl::StatusOr<SessionReader::Here> SessionReader::Load(Reservation room) {
  TOME_ASSIGN_OR_RETURN(std::optional<ReadingState> loaded, keeper_.Restore(options_, host_.Documents()));
  return loaded ? Restore(std::move(room), *std::move(loaded)) : BeginEmpty(std::move(room));
}

absl::StatusOr<SessionReader::Here> SessionReader::BeginEmpty(Reservation room) {
  absl::StatusOr<Memory> memory = Memory::Create(context_->model, options_);
  if (!memory.ok()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition,
        fmt::format("session {} was made for another model: {}", id_, std::string(memory.status().message())),
        {.reason = "MEMORY_OPTIONS", .metadata = {{"session", id_}}});
  }
  bool restoring;
  {
    std::lock_guard lock(mutex_);
    restoring = restore_target_bytes_ > 0;
    caught_up_ = false;
  }
  if (restoring) {
    context_->observer.OnRestoreBegun(/*from_snapshot=*/false);
    context_->observer.OnSessionEvent(id_, "restoring", "the stored bytes are read again from the first one");
  }
  return ResidentState::Empty(context_, std::move(room), *std::move(memory), SegmentListener());
}

absl::StatusOr<SessionReader::Here> SessionReader::Restore(Reservation room, ReadingState state) {
  const std::uint64_t saved_tokens = state.new_stems ? 0 : static_cast<std::uint64_t>(state.memory.tokens_read());
  TOME_ASSIGN_OR_RETURN(const Here here, ResidentState::From(context_, std::move(room), std::move(state),
                                                             host_.Documents(), saved_tokens, SegmentListener()));
  const std::uint64_t bytes = here->counts().bytes;
  {
    std::lock_guard lock(mutex_);
    restore_target_bytes_ = std::max(restore_target_bytes_, bytes);
    caught_up_ = false;
  }
  context_->observer.OnRestoreBegun(/*from_snapshot=*/true);
  context_->observer.OnSessionEvent(id_, "restoring", fmt::format("from a snapshot of the first {} bytes", bytes));
  return here;
}

absl::Status SessionReader::Pump(const Here& here) {
  const std::vector<StoredDocument>& documents = host_.Documents();
  const auto read_chunk = [&](std::size_t ordinal, ByteOffset offset) -> absl::StatusOr<std::string> {
    TOME_ASSIGN_OR_RETURN(SessionStore* const store, store_.Get());
    return store->ReadChunk(ordinal, documents[ordinal], offset);
  };
  const auto goes_on = [&] {
    std::lock_guard lock(mutex_);
    return HereLocked() == here;
  };
  if (!AddFed(here)) return absl::OkStatus();
  while (HasUnread()) {
    if (here->IsFull() || !goes_on()) return absl::OkStatus();
    const absl::Status fed = here->Feed(documents, read_chunk);
    // What was read up to here can still be asked about.
    if (absl::IsDataLoss(fed) && !IsStorageFailure(fed)) {
      NoteDamage(fed);
      break;
    }
    TOME_RETURN_IF_ERROR(fed);
    if (!AddFed(here)) return absl::OkStatus();
  }
  OnCaughtUp(here);
  return absl::OkStatus();
}

bool SessionReader::AddFed(const Here& here) {
  if (!here->HasFed()) return true;
  // Before it is asked for, so that the state can be evicted as soon as others are.
  here->WaitToGrow();
  if (!context_->residency.Grow(here->room(), NeededBytes(here->TokensWithFed()))) return false;
  here->AddFed();
  return true;
}

void SessionReader::OnCaughtUp(const Here& here) {
  bool restored, at_end;
  {
    std::lock_guard lock(mutex_);
    if (HereLocked() != here || std::exchange(caught_up_, true)) return;
    at_end = damage_.ok() && here->AtSealedEnd();
    at_sealed_end_ = at_end;
    restored = EndRestoringLocked();
    ++holds_;  // until those who watch it are told
  }
  if (here->SnapshotDue(at_end)) keeper_.Begin();
  if (restored) context_->observer.OnSessionEvent(id_, "restored", "");
  host_.OnReadingChanged();
  Unhold();
}

void SessionReader::NoteDamage(const absl::Status& damage) {
  {
    std::lock_guard lock(mutex_);
    damage_ = damage;
  }
  context_->observer.OnSessionEvent(id_, "damaged", std::string(damage.message()));
}

absl::StatusOr<ReadingFork> SessionReader::Fork() {
  Here state;
  bool caught_up;
  {
    std::lock_guard lock(mutex_);
    if (const auto* failed = std::get_if<Failed>(&place_)) return failed->status;
    state = HereLocked();
    caught_up = caught_up_;
  }
  if (!state) return Internal("session {}: its state is not in memory", id_);
  return state->Fork(caught_up);
}

std::optional<ReadingState> SessionReader::CopyState() const {
  const Here state = here();
  return state ? std::optional<ReadingState>(state->Copy()) : std::nullopt;
}

void SessionReader::Adopt(ReadingState state) {
  {
    std::lock_guard lock(mutex_);
    if (!std::holds_alternative<Absent>(place_)) return;
  }
  std::optional<Reservation> room = context_->residency.TryReserve(Self(), NeededBytes(state.memory.tokens_read()));
  if (!room) {
    if (never_read_text_) ReadOn().IgnoreError();  // its status tells
    return;
  }
  const std::vector<SnapshotInfo> kept = snapshots();
  const absl::StatusOr<Here> here =
      ResidentState::From(context_, *std::move(room), std::move(state), host_.Documents(),
                          kept.empty() ? 0 : kept.front().ingested_tokens, SegmentListener());
  if (here.ok()) {
    std::lock_guard lock(mutex_);
    restore_target_bytes_ = 0;  // what the other has not read was never read here
    by_this_model_ = true;
    caught_up_ = false;
    MoveLocked(*here);
  }
  const absl::Status status = here.ok() ? Pump(*here) : here.status();
  if (!status.ok()) FailReading(status);
}

absl::Status SessionReader::StartOver() {
  TOME_RETURN_IF_ERROR(keeper_.Drop());
  context_->residency.Cancel(*this);
  Place gone;
  {
    std::lock_guard lock(mutex_);
    if (const Here state = HereLocked()) counts_ = state->counts();
    gone = MoveLocked(Absent());
    restore_target_bytes_ = std::max(restore_target_bytes_, std::exchange(counts_, {}).bytes);
    damage_ = absl::OkStatus();
    caught_up_ = false;
    by_this_model_ = false;
  }
  if (const Here* const state = std::get_if<Here>(&gone)) (*state)->Leave();
  return absl::OkStatus();
}

absl::Status SessionReader::CheckModel() {
  {
    std::lock_guard lock(mutex_);
    if (by_this_model_) return absl::OkStatus();
  }
  const ModelInfo& info = context_->model->info();
  TOME_ASSIGN_OR_RETURN(SessionStore* const store, store_.Get());
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

void SessionReader::OnEvicted() {
  bool unread;
  {
    std::lock_guard lock(mutex_);
    if (!std::holds_alternative<Absent>(place_)) return;  // it is wanted again
    unread = !caught_up_;
  }
  store_.Close();
  if (unread) {
    ReadOn().IgnoreError();  // its status tells
  } else {
    host_.OnReadingChanged();
  }
}

// --- Snapshots ---

std::vector<SnapshotInfo> SessionReader::snapshots() const {
  std::lock_guard lock(mutex_);
  return snapshots_;
}

void SessionReader::OnSnapshotsChanged() {
  std::lock_guard lock(mutex_);
  snapshots_ = keeper_.registered();
}

std::optional<ReadingState> SessionReader::CopyForSnapshot(RoomNumber* room) {
  const Here state = here();
  if (!state) return std::nullopt;
  if (state->IsSaved()) {
    state->EndSnapshot(absl::ZeroDuration());
    return std::nullopt;
  }
  *room = state->room();
  state->BeginSnapshot();
  return state->Copy();
}

void SessionReader::OnSnapshotEnded(RoomNumber room, std::uint64_t ingested_tokens, bool written,
                                    absl::Duration duration) {
  const Here state = here();
  if (!state || state->room() != room) return;
  state->EndSnapshot(duration);
  state->NoteSnapshot(ingested_tokens, written);
}

// --- On the compute thread ---

ResidentState::OnSegment SessionReader::SegmentListener() {
  return [weak = std::weak_ptr<SessionReader>(Self())](const Here& here, const StepResult& result,
                                                       absl::Duration step_time) {
    if (const std::shared_ptr<SessionReader> self = weak.lock()) self->OnSegment(here, result, step_time);
  };
}

void SessionReader::OnSegment(const Here& here, const StepResult& result, absl::Duration step_time) {
  bool restoring, restored, idle, at_end, wants_more;
  {
    std::lock_guard lock(mutex_);
    if (HereLocked() != here) return;
    restoring = restore_target_bytes_ > 0;
    idle = IdleLocked();
    restored = result.status.ok() && EndRestoringLocked();
    at_end = caught_up_ && at_sealed_end_;
    wants_more = !caught_up_ && here->WantsMore();
  }
  if (!result.status.ok()) {
    Fail(Annotate(result.status, fmt::format("session {}: reading", id_)));
    return;
  }
  context_->observer.OnSegmentRead(result.tokens_read, step_time, restoring);
  context_->spills.Update();
  if (idle) here->ResetRate();
  if (restored) context_->observer.OnSessionEvent(id_, "restored", "");
  if (here->SnapshotDue(at_end)) Save();
  if (wants_more) {
    strand_.Post([self = Self()] { self->ReadOn().IgnoreError(); });  // status() tells
  }
  host_.OnReadingChanged();
  if (idle) context_->residency.Reconsider();
}

// --- From any thread ---

SessionReader::Here SessionReader::HereLocked() const {
  const Here* const state = std::get_if<Here>(&place_);
  return state == nullptr ? nullptr : *state;
}

SessionReader::Here SessionReader::here() const {
  std::lock_guard lock(mutex_);
  return HereLocked();
}

SessionReader::Place SessionReader::MoveLocked(Place place) { return std::exchange(place_, std::move(place)); }

bool SessionReader::IdleLocked() const {
  const Here state = HereLocked();
  return state && caught_up_ && state->IsRead();
}

bool SessionReader::EndRestoringLocked() {
  const Here state = HereLocked();
  if (restore_target_bytes_ == 0 || !state) return false;
  if (!IdleLocked() && state->counts().bytes < restore_target_bytes_) return false;
  restore_target_bytes_ = 0;
  return true;
}

StatePlace SessionReader::PlaceLocked() const {
  const bool restoring = restore_target_bytes_ > 0;
  if (const Here state = HereLocked()) {
    if (restoring) return StatePlace::kRestoring;
    return state->counts().tokens > 0 ? StatePlace::kResident : StatePlace::kNone;
  }
  const bool comes = std::holds_alternative<WaitingForRoom>(place_) || std::holds_alternative<Loading>(place_);
  if (!restoring) return StatePlace::kNone;
  return comes ? StatePlace::kRestoring : StatePlace::kEvicted;
}

SessionPhase SessionReader::PhaseLocked() const {
  if (std::holds_alternative<Failed>(place_) || !damage_.ok()) return SessionPhase::kFailed;
  if (IdleLocked()) return SessionPhase::kIdle;
  const bool restoring = restore_target_bytes_ > 0;
  if (!std::holds_alternative<Absent>(place_)) return restoring ? SessionPhase::kRestoring : SessionPhase::kReading;
  if (restoring) return SessionPhase::kEvicted;
  return caught_up_ ? SessionPhase::kIdle : SessionPhase::kReading;
}

ReadingStatus SessionReader::status() const {
  ReadingStatus status;
  Here state;
  bool waits;
  {
    std::lock_guard lock(mutex_);
    state = HereLocked();
    waits = std::holds_alternative<WaitingForRoom>(place_);
    const auto* failed = std::get_if<Failed>(&place_);
    const ReadingCounts counts = state ? state->counts() : counts_;
    status = {.phase = PhaseLocked(),
              .ingested_bytes = counts.bytes,
              .ingested_tokens = counts.tokens,
              .caught_up = IdleLocked(),
              .was_caught_up = IdleLocked() || (caught_up_ && std::holds_alternative<Absent>(place_)),
              .restore_target_bytes = restore_target_bytes_,
              .resident = state != nullptr,
              .by_this_model = by_this_model_,
              .place = PlaceLocked(),
              .failure = failed == nullptr ? absl::OkStatus() : failed->status,
              .damage = damage_};
  }
  if (waits) status.queue_position = context_->residency.Place(*this);
  if (!state) return status;
  const HeldBytes held = state->held();
  status.tokens_per_second = state->tokens_per_second();
  status.bytes_per_second = state->bytes_per_second();
  status.state_bytes = held.state;
  status.archive_bytes = state->archive_bytes();
  status.archive_resident_bytes = held.archive;
  return status;
}

void SessionReader::DocumentProgress(std::size_t ordinal, ByteOffset* ingested_bytes,
                                     std::uint64_t* ingested_tokens) const {
  std::lock_guard lock(mutex_);
  const Here state = HereLocked();
  const ReadingCounts counts = state ? state->counts() : counts_;
  const bool known = ordinal < counts.documents.size();
  *ingested_bytes = known ? counts.documents[ordinal].bytes : 0;
  *ingested_tokens = known ? counts.documents[ordinal].tokens : 0;
}

void SessionReader::Hold() {
  Here state;
  {
    std::lock_guard lock(mutex_);
    ++holds_;
    state = HereLocked();
  }
  if (state) context_->residency.Touch(state->room());
}

void SessionReader::Unhold() {
  bool evictable;
  {
    std::lock_guard lock(mutex_);
    evictable = --holds_ == 0 && HereLocked();
  }
  if (evictable) context_->residency.Reconsider();
}

void SessionReader::Fail(absl::Status failure) { Stop(std::move(failure), /*passes=*/false); }
void SessionReader::FailReading(absl::Status failure) {
  const bool passes = IsStorageFailure(failure);
  Stop(std::move(failure), passes);
}

void SessionReader::Stop(absl::Status failure, bool passes) {
  Place gone;
  {
    std::lock_guard lock(mutex_);
    const auto* failed = std::get_if<Failed>(&place_);
    if (failed != nullptr && (passes || !failed->passes)) return;
    const Here state = HereLocked();
    if (passes) restore_target_bytes_ = std::max(restore_target_bytes_, state ? state->counts().bytes : counts_.bytes);
    gone = MoveLocked(Failed{.status = std::move(failure), .passes = passes});
    counts_ = {};
    damage_ = absl::OkStatus();
  }
  if (const Here* const state = std::get_if<Here>(&gone)) (*state)->Leave();
  context_->residency.Cancel(*this);
  host_.OnReadingChanged();
}

// --- Resident ---

bool SessionReader::CanEvict() const {
  std::lock_guard lock(mutex_);
  const Here state = HereLocked();
  return holds_ == 0 && state && state->AtRest(caught_up_) && state->MayGo();
}

bool SessionReader::CanSave() const {
  std::lock_guard lock(mutex_);
  const Here state = HereLocked();
  return holds_ == 0 && state && state->AtRest(caught_up_) && !state->MayGo();
}

void SessionReader::Save() {
  strand_.Post([self = Self()] { self->keeper_.Begin(); });
}

bool SessionReader::CanYield() const {
  std::lock_guard lock(mutex_);
  const Here state = HereLocked();
  return holds_ == 0 && state && !state->AtRest(caught_up_) && state->HadItsTurn(context_->options.reading_turn);
}

void SessionReader::Yield() {
  if (const Here state = here()) state->Yield();
}

std::optional<Reservation> SessionReader::TryEvict() {
  Place gone;
  Here state;
  {
    std::lock_guard lock(mutex_);
    state = HereLocked();
    if (holds_ > 0 || !state || !state->AtRest(caught_up_) || !state->MayGo()) return std::nullopt;
    counts_ = state->counts();
    restore_target_bytes_ = std::max(restore_target_bytes_, counts_.bytes);
    caught_up_ = IdleLocked();  // it may have yielded with segments that wait
    gone = MoveLocked(Absent());
  }
  context_->observer.OnSessionEvent(id_, "evicted", "its state is restored on use");
  strand_.Post([self = Self()] { self->OnEvicted(); });
  return state->Leave();
}

void SessionReader::OnRoom(Reservation room) {
  strand_.Post(
      [self = Self(), room = std::make_shared<Reservation>(std::move(room))] { self->TakeRoom(std::move(*room)); });
}

void SessionReader::OnGrown() {
  strand_.Post([self = Self()] { self->ReadOn().IgnoreError(); });  // its status tells
}

void SessionReader::KeepOn() {
  if (const Here state = here()) state->KeepOn();
  OnGrown();
}

}  // namespace tome::server
