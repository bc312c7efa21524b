#include "server/reading/snapshot_keeper.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/reading/reading_state.h"
#include "server/storage/failpoint.h"

namespace tome::server {
namespace {

constexpr std::string_view kNewPrefix = ".new-snapshot-";

// Runs on the thread of snapshots. Leaves the file with its name, or none.
absl::Status WriteFile(const ReadingContext& context, const ReadingState& state, const SnapshotHeader& header,
                       const std::string& folder, SnapshotInfo* info) {
  FileSystem& files = context.files;
  const std::string temporary = fmt::format("{}/{}{}", folder, kNewPrefix, info->number);
  const auto write = [&]() -> absl::Status {
    const auto write_state = [&](const ByteSink& sink) {
      return state.memory.Serialize([&](std::string_view piece) {
        if (context.stop_snapshots) return absl::CancelledError("the server stops");
        TOME_RETURN_IF_ERROR(sink(piece));
        Failpoint("snapshot.begun");
        return absl::OkStatus();
      });
    };
    TOME_ASSIGN_OR_RETURN(const SnapshotFileInfo file,
                          WriteSnapshotFile(files, temporary, header, SerializeProgress(state), write_state));
    info->size_bytes = file.size_bytes;
    info->digest = file.digest;
    Failpoint("snapshot.written");
    TOME_RETURN_IF_ERROR(files.Rename(temporary, SnapshotPathIn(folder, info->number)));
    Failpoint("snapshot.renamed");
    TOME_RETURN_IF_ERROR(files.SyncFolder(folder));
    Failpoint("snapshot.synced");
    return absl::OkStatus();
  };
  absl::Status status = write();
  if (!status.ok()) files.Remove(temporary).IgnoreError();  // it may not be there
  return status;
}

// Tells how far the stems of a snapshot of another version are.
class NewStems {
 public:
  NewStems(const ReadingContext& context, const SessionId& id) : context_(context), id_(id) {}

  bool any() const { return progress_.tokens > 0; }

  absl::Status Note(const StemsProgress& progress) {
    if (context_.stop_snapshots) return absl::CancelledError("the server stops");
    const absl::Duration now = context_.clock.Elapsed();
    if (!any()) begin_ = told_ = now;
    progress_ = progress;
    if (progress.tokens == progress.of_tokens || now - told_ >= kBetweenReports) Tell(now);
    return absl::OkStatus();
  }

 private:
  static constexpr absl::Duration kBetweenReports = absl::Seconds(5);

  void Tell(absl::Duration now) {
    told_ = now;
    const double seconds = absl::ToDoubleSeconds(now - begin_);
    const double rate = seconds > 0 ? static_cast<double>(progress_.tokens) / seconds : 0;
    context_.observer.OnSessionEvent(id_, "new_stems",
                                     fmt::format("the words of {} of {} tokens are stemmed as this version does it, "
                                                 "after {:.1f} s, {:.0f} tokens/s",
                                                 progress_.tokens, progress_.of_tokens, seconds, rate));
  }

  const ReadingContext& context_;
  const SessionId& id_;
  StemsProgress progress_;
  absl::Duration begin_, told_;
};

}  // namespace

SnapshotKeeper::SnapshotKeeper(std::shared_ptr<const ReadingContext> context, SessionId id, SnapshotSource& source,
                               StoreHandle& store, SerialQueue& strand, std::vector<SnapshotInfo> registered)
    : context_(std::move(context)),
      id_(std::move(id)),
      source_(source),
      store_(store),
      strand_(strand),
      registered_(std::move(registered)) {
  if (!registered_.empty()) next_number_ = registered_.front().number + 1;
}

std::string SnapshotKeeper::Folder() const { return context_->folder.SessionPath(id_); }
std::string SnapshotKeeper::Path(std::uint64_t number) const { return SnapshotPathIn(Folder(), number); }

void SnapshotKeeper::SetRegistered(std::vector<SnapshotInfo> snapshots) {
  registered_ = std::move(snapshots);
  source_.OnSnapshotsChanged();
}

void SnapshotKeeper::RemoveUnregistered() {
  const absl::StatusOr<std::vector<std::string>> names = context_->files.List(Folder());
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string path = fmt::format("{}/{}", Folder(), name);
    const bool kept = std::any_of(registered_.begin(), registered_.end(),
                                  [&](const SnapshotInfo& snapshot) { return path == Path(snapshot.number); });
    if (kept || (!name.starts_with(kSnapshotPrefix) && !name.starts_with(kNewPrefix))) continue;
    context_->files.Remove(path).IgnoreError();  // it does no harm
  }
}

// --- Writing ---

void SnapshotKeeper::Take(TakeCallback done) {
  waiting_.push_back(std::move(done));
  Begin();
}

void SnapshotKeeper::Begin() {
  if (writing_) return;  // OnWritten looks again
  RoomNumber room = 0;
  std::optional<ReadingState> copy = source_.CopyForSnapshot(&room);
  if (!copy) {
    const absl::StatusOr<SnapshotInfo> newest =
        !registered_.empty() ? absl::StatusOr<SnapshotInfo>(registered_.front())
                             : MakeError(absl::StatusCode::kFailedPrecondition,
                                         fmt::format("session {}: nothing was read that could be kept", id_),
                                         {.reason = "SESSION_EMPTY", .metadata = {{"session", id_}}});
    for (const TakeCallback& done : std::exchange(waiting_, {})) done(newest);
    context_->residency.Reconsider();
    return;
  }
  if (!std::exchange(cleared_, true)) RemoveUnregistered();
  writing_ = true;
  served_ = std::exchange(waiting_, {});
  const ModelInfo& model = context_->model->info();
  Writing writing{.room = room, .drops = drops_, .begin = context_->clock.Elapsed()};
  writing.info = {.number = next_number_++,
                  .create_time = context_->clock.NowInMicroseconds(),
                  .ingested_tokens = static_cast<std::uint64_t>(copy->memory.tokens_read())};
  for (const ReadRange& range : DocumentsRead(*copy, source_.Documents())) {
    writing.info.ingested_bytes += range.end - range.begin;
  }
  writing.header = {.model_digest = model.model_digest,
                    .tokenizer_digest = model.tokenizer_digest,
                    .precision = std::string(PrecisionName(model.precision)),
                    .options = FormatMemoryOptions(copy->memory.options()),
                    .ingested_bytes = writing.info.ingested_bytes,
                    .ingested_tokens = writing.info.ingested_tokens,
                    .create_time = writing.info.create_time};
  Write(*std::move(copy), std::move(writing));
}

void SnapshotKeeper::Write(ReadingState state, Writing writing) {
  context_->snapshots.Post([this, self = source_.KeepAlive(), state = std::make_shared<ReadingState>(std::move(state)),
                            writing = std::move(writing), folder = Folder(),
                            activity = context_->snapshot_activity.Begin()]() mutable {
    absl::Status status = WriteFile(*context_, *state, writing.header, folder, &writing.info);
    state.reset();
    strand_.Post([this, self, writing = std::move(writing), status = std::move(status), activity] {
      OnWritten(writing, status);
    });
  });
}

absl::Status SnapshotKeeper::Register(const SnapshotInfo& snapshot) {
  TOME_ASSIGN_OR_RETURN(SessionStore* const store, store_.Get());
  TOME_ASSIGN_OR_RETURN(std::vector<SnapshotInfo> left, store->AddSnapshot(snapshot, kKeptSnapshots));
  Failpoint("snapshot.registered");
  SetRegistered(std::move(left));
  RemoveUnregistered();
  return absl::OkStatus();
}

void SnapshotKeeper::OnWritten(const Writing& writing, absl::Status status) {
  writing_ = false;
  const SnapshotInfo& snapshot = writing.info;
  const bool wanted = writing.drops == drops_;
  if (!wanted) status = absl::CancelledError(fmt::format("session {}: its state was dropped", id_));
  if (status.ok()) status = Register(snapshot);
  const absl::Duration duration = context_->clock.Elapsed() - writing.begin;
  if (status.ok()) {
    context_->observer.OnSnapshotWritten(snapshot.size_bytes, duration);
    context_->observer.OnSessionEvent(id_, "snapshot",
                                      fmt::format("number {} of {} bytes read, {} bytes of disk", snapshot.number,
                                                  snapshot.ingested_bytes, snapshot.size_bytes));
  } else if (wanted) {
    context_->observer.OnSnapshotFailed(status);
    context_->observer.OnSessionEvent(id_, "snapshot_failed", std::string(status.message()));
  }
  source_.OnSnapshotEnded(writing.room, snapshot.ingested_tokens, status.ok(), duration);
  const absl::StatusOr<SnapshotInfo> result = status.ok() ? absl::StatusOr<SnapshotInfo>(snapshot) : status;
  for (const TakeCallback& done : std::exchange(served_, {})) done(result);
  if (!waiting_.empty()) return Begin();
  context_->residency.Reconsider();
}

// --- Loading ---

absl::Status SnapshotKeeper::CheckHeader(const SnapshotInfo& snapshot, const SnapshotHeader& header,
                                         const MemoryOptions& options) const {
  const ModelInfo& model = context_->model->info();
  const struct {
    const char* field;
    const std::string& found;
    std::string expected;
  } fields[] = {{"model", header.model_digest, model.model_digest},
                {"tokenizer", header.tokenizer_digest, model.tokenizer_digest},
                {"precision", header.precision, std::string(PrecisionName(model.precision))},
                {"memory options", header.options, FormatMemoryOptions(options)}};
  for (const auto& [field, found, expected] : fields) {
    if (found == expected) continue;
    return MakeError(
        absl::StatusCode::kFailedPrecondition,
        fmt::format("snapshot {} was made with {} {}, but here it is {}", snapshot.number, field, found, expected),
        {.reason = "SNAPSHOT_MISMATCH", .metadata = {{"field", field}, {"found", found}, {"expected", expected}}});
  }
  return absl::OkStatus();
}

absl::StatusOr<ReadingState> SnapshotKeeper::Load(const SnapshotInfo& snapshot, const MemoryOptions& options,
                                                  const std::vector<StoredDocument>& documents) {
  TOME_ASSIGN_OR_RETURN(const std::unique_ptr<SnapshotReader> reader,
                        SnapshotReader::Open(context_->files, Path(snapshot.number)));
  TOME_RETURN_IF_ERROR(CheckHeader(snapshot, reader->header(), options));
  if (reader->digest() != snapshot.digest) {
    return DataLoss("{}: its digest is {}, not {} as registered", Path(snapshot.number), reader->digest(),
                    snapshot.digest);
  }
  TOME_ASSIGN_OR_RETURN(const std::string progress, reader->ReadReading());
  std::deque<Segment> unread;
  TextPipelineState pipeline;
  TOME_RETURN_IF_ERROR(ParseProgress(progress, &unread, &pipeline));
  NewStems new_stems(*context_, id_);
  TOME_ASSIGN_OR_RETURN(Memory memory,
                        Memory::Parse(context_->model, reader->state(),
                                      [&](const StemsProgress& progress) { return new_stems.Note(progress); }));
  TOME_RETURN_IF_ERROR(reader->Finish());
  ReadingState state{.memory = std::move(memory),
                     .unread = std::move(unread),
                     .pipeline = std::move(pipeline),
                     .new_stems = new_stems.any()};
  TOME_RETURN_IF_ERROR(CheckProgress(state, documents));
  TOME_RETURN_IF_ERROR(
      TextPipeline::Resume(context_->model->tokenizer(), options.segment_tokens, state.pipeline).status());
  return state;
}

absl::StatusOr<std::optional<ReadingState>> SnapshotKeeper::Restore(const MemoryOptions& options,
                                                                    const std::vector<StoredDocument>& documents) {
  if (!writing_ && !std::exchange(cleared_, true)) RemoveUnregistered();
  absl::Status refused;
  const std::vector<SnapshotInfo> newest_first = registered_;
  for (const SnapshotInfo& snapshot : newest_first) {
    const absl::Duration begin = context_->clock.Elapsed();
    absl::StatusOr<ReadingState> state = Load(snapshot, options, documents);
    if (state.ok()) {
      Failpoint("restore.loaded");
      context_->observer.OnSnapshotLoaded(context_->clock.Elapsed() - begin);
      return std::optional<ReadingState>(*std::move(state));
    }
    if (absl::IsCancelled(state.status())) return state.status();
    const bool mismatch = absl::IsFailedPrecondition(state.status());
    context_->observer.OnSnapshotRefused(/*damaged=*/!mismatch);
    context_->observer.OnSessionEvent(id_, "snapshot_refused",
                                      fmt::format("{}: {}", snapshot.number, std::string(state.status().message())));
    if (mismatch && refused.ok()) refused = state.status();
    const bool lost = absl::IsDataLoss(state.status()) || absl::IsNotFound(state.status());
    if (lost && !IsStorageFailure(state.status())) StrikeOut(snapshot);
  }
  if (refused.ok()) return std::optional<ReadingState>();
  ErrorDetails details = GetErrorDetails(refused).value_or(ErrorDetails{.reason = "SNAPSHOT_MISMATCH"});
  details.metadata["session"] = id_;
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   fmt::format("session {}: {}. Use what made it, or have the documents read again (tome reread {})",
                               id_, std::string(refused.message()), id_),
                   details);
}

void SnapshotKeeper::StrikeOut(const SnapshotInfo& damaged) {
  const absl::StatusOr<SessionStore*> store = store_.Get();
  // Otherwise it is looked at and refused again the next time.
  if (!store.ok() || !(*store)->RemoveSnapshot(damaged.number).ok()) return;
  std::vector<SnapshotInfo> left = registered_;
  std::erase_if(left, [&](const SnapshotInfo& snapshot) { return snapshot.number == damaged.number; });
  SetRegistered(std::move(left));
  if (!writing_) RemoveUnregistered();
}

absl::Status SnapshotKeeper::Drop() {
  TOME_ASSIGN_OR_RETURN(SessionStore* const store, store_.Get());
  TOME_RETURN_IF_ERROR(store->RemoveSnapshots());
  ++drops_;
  SetRegistered({});
  RemoveUnregistered();
  return absl::OkStatus();
}

}  // namespace tome::server
