#include "server/session/session.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/base/status.h"

namespace tome::server {
namespace {

// An open database has three files and a hundred kilobytes of memory; to open it again takes a millisecond.
constexpr absl::Duration kIdleStoreTime = absl::Seconds(1);

std::uint64_t SumOfSizes(const std::vector<StoredDocument>& documents) {
  return std::accumulate(documents.begin(), documents.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const StoredDocument& document) { return sum + document.size; });
}

std::string ProblemOf(const ReadingStatus& reading) {
  return std::string(reading.failure.ok() ? reading.damage.message() : reading.failure.message());
}

absl::Status SessionError(absl::StatusCode code, const std::string& message, const std::string& reason,
                          const SessionId& id) {
  return MakeError(code, message, {.reason = reason, .metadata = {{"session", id}}});
}

absl::Status DeletedError(const SessionId& id) {
  return SessionError(absl::StatusCode::kCancelled, fmt::format("session {} was deleted", id), "SESSION_DELETED", id);
}

}  // namespace

Session::Session(std::shared_ptr<SessionContext> context, StoredSession stored, absl::Status problem)
    : context_(std::move(context)),
      id_(stored.id),
      request_id_(stored.request_id),
      create_time_(stored.create_time),
      problem_(std::move(problem)),
      strand_(context_->io),
      callbacks_(context_->callbacks),
      queue_(context_->options.max_append_queue_bytes, context_->options.max_commit_bytes),
      store_(context_->folder->DatabasePath(stored.id), stored.id),
      appender_(stored.id, stored.documents, context_->options.max_documents),
      stored_(std::move(stored)),
      saved_use_(stored_.last_use_time),
      reader_(context_->for_reading(), stored_, *this, store_, strand_) {
  // The last uses before a stop may not be on disk.
  stored_.last_use_time = std::min(stored_.last_use_time + UseGranularity(stored_.time_to_live), context_->clock.Now());
}

std::shared_ptr<Session> Session::Make(std::shared_ptr<SessionContext> context, StoredSession stored,
                                       absl::Status problem) {
  std::shared_ptr<Session> session(new Session(std::move(context), std::move(stored), problem));
  if (!problem.ok()) session->reader_.Fail(std::move(problem));
  return session;
}

// --- Metadata ---

std::string Session::EtagLocked() const {
  return fmt::format("{:x}-{}", absl::ToUnixMicros(create_time_), stored_.version);
}

DocumentInfo Session::InfoLocked(std::size_t ordinal) const {
  const StoredDocument& document = stored_.documents[ordinal];
  DocumentInfo info{.name = document.name,
                    .durable_bytes = document.size,
                    .sealed = document.sealed,
                    .invalid_utf8 = document.invalid_utf8,
                    .create_time = document.create_time};
  reader_.DocumentProgress(ordinal, &info.ingested_bytes, &info.ingested_tokens);
  return info;
}

SessionInfo Session::Info() const {
  std::lock_guard lock(mutex_);
  const ReadingStatus reading = reader_.status();
  SessionInfo info{.id = id_,
                   .display_name = stored_.display_name,
                   .labels = stored_.labels,
                   .etag = EtagLocked(),
                   .create_time = create_time_,
                   .update_time = stored_.update_time,
                   .options = stored_.options,
                   .phase = reading.phase,
                   .durable_bytes = SumOfSizes(stored_.documents),
                   .ingested_bytes = reading.ingested_bytes,
                   .ingested_tokens = reading.ingested_tokens,
                   .state_bytes = reading.state_bytes,
                   .max_state_bytes = problem_.ok() ? reader_.max_state_bytes() : 0,
                   .archive_bytes = reading.archive_bytes,
                   .archive_resident_bytes = reading.archive_resident_bytes,
                   .problem = ProblemOf(reading),
                   .model_digest = stored_.model_digest,
                   .tokenizer_digest = stored_.tokenizer_digest,
                   .time_to_live = stored_.time_to_live,
                   .pinned = stored_.pinned,
                   .last_use_time = stored_.last_use_time,
                   .expire_time = ExpireTime(stored_),
                   .state_place = reading.place,
                   .queue_position = reading.queue_position,
                   .snapshots = reader_.snapshots()};
  if (reading.by_this_model) {
    info.model_digest = context_->model->info().model_digest;
    info.tokenizer_digest = context_->model->info().tokenizer_digest;
  }
  for (std::size_t i = 0; i < stored_.documents.size(); ++i) info.documents.push_back(InfoLocked(i));
  return info;
}

std::string Session::SortKey(const ListQuery& query) const {
  std::lock_guard lock(mutex_);
  return query.SortKey({.id = id_,
                        .display_name = stored_.display_name,
                        .create_time = create_time_,
                        .update_time = stored_.update_time,
                        .last_use_time = stored_.last_use_time,
                        .durable_bytes = SumOfSizes(stored_.documents)});
}

SessionProgress Session::Progress() const {
  std::lock_guard lock(mutex_);
  const ReadingStatus reading = reader_.status();
  SessionProgress progress{.phase = reading.phase,
                           .durable_bytes = SumOfSizes(stored_.documents),
                           .ingested_bytes = reading.ingested_bytes,
                           .ingested_tokens = reading.ingested_tokens,
                           .tokens_per_second = reading.tokens_per_second,
                           .bytes_per_second = reading.bytes_per_second,
                           .caught_up = reading.was_caught_up,
                           .queue_position = reading.queue_position,
                           .problem = ProblemOf(reading),
                           .deleted = gone_};
  const std::uint64_t unread = progress.durable_bytes - progress.ingested_bytes;
  if (unread == 0) {
    progress.time_left = absl::ZeroDuration();
  } else if (reading.bytes_per_second > 0) {
    progress.time_left = absl::Seconds(static_cast<double>(unread) / reading.bytes_per_second);
  }
  const bool sealed = stored_.documents.empty() || stored_.documents.back().sealed;
  progress.complete = progress.problem.empty() && sealed && unread == 0;
  if (!stored_.documents.empty()) progress.last_document = InfoLocked(stored_.documents.size() - 1);
  return progress;
}

void Session::CloseIdleStore() {
  if (!reader_.status().resident) store_.Close();
}

void Session::CloseStoreLater() {
  if (std::exchange(closes_store_, true)) return;
  context_->timer.Post(kIdleStoreTime, [weak = weak_from_this(), commits = commits_] {
    const std::shared_ptr<Session> self = weak.lock();
    if (!self) return;
    self->strand_.Post([self, commits] {
      self->closes_store_ = false;
      if (self->commits_ != commits) return self->CloseStoreLater();
      self->CloseIdleStore();
    });
  });
}

absl::Status Session::CheckEtag(const std::string& etag) const {
  if (deleted_) {
    return SessionError(absl::StatusCode::kNotFound, fmt::format("session {} does not exist", id_), "SESSION_NOT_FOUND",
                        id_);
  }
  std::lock_guard lock(mutex_);
  if (etag.empty() || etag == EtagLocked()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   fmt::format("session {} has etag '{}', the request has '{}'", id_, EtagLocked(), etag),
                   {.reason = "ETAG_MISMATCH", .metadata = {{"session", id_}, {"etag", EtagLocked()}}});
}

void Session::Update(UpdateRequest request, std::function<void(absl::StatusOr<SessionInfo>)> done) {
  strand_.Post([self = shared_from_this(), request = std::move(request), done = std::move(done),
                activity = context_->activity.Begin()] {
    absl::StatusOr<SessionInfo> result = self->SaveUpdate(request);
    self->CloseIdleStore();
    self->callbacks_.Post([done, result = std::move(result), activity] { done(result); });
  });
}

absl::StatusOr<SessionInfo> Session::SaveUpdate(const UpdateRequest& request) {
  TOME_RETURN_IF_ERROR(CheckEtag(request.etag));
  TOME_RETURN_IF_ERROR(problem_);
  StoredSession changed;
  {
    std::lock_guard lock(mutex_);
    changed = {.display_name = stored_.display_name,
               .labels = stored_.labels,
               .version = stored_.version + 1,
               .time_to_live = stored_.time_to_live,
               .pinned = stored_.pinned};
  }
  if (request.display_name) changed.display_name = *request.display_name;
  if (request.labels) changed.labels = *request.labels;
  if (request.time_to_live) changed.time_to_live = *request.time_to_live;
  if (request.pinned) changed.pinned = *request.pinned;
  changed.update_time = changed.last_use_time = context_->clock.NowInMicroseconds();
  TOME_ASSIGN_OR_RETURN(SessionStore* const store, store_.Get());
  TOME_RETURN_IF_ERROR(store->SaveMetadata(changed));
  {
    std::lock_guard lock(mutex_);
    stored_.display_name = changed.display_name;
    stored_.labels = changed.labels;
    stored_.version = changed.version;
    stored_.update_time = changed.update_time;
    stored_.time_to_live = changed.time_to_live;
    stored_.pinned = changed.pinned;
    stored_.last_use_time = std::max(stored_.last_use_time, changed.last_use_time);
    saved_use_ = changed.last_use_time;
  }
  return Info();
}

void Session::Delete(const std::string& etag, std::function<void()> removed, std::function<void(absl::Status)> done) {
  strand_.Post([self = shared_from_this(), etag, removed = std::move(removed), done = std::move(done),
                activity = context_->activity.Begin()] {
    absl::Status status = self->Remove(etag);
    if (status.ok()) removed();
    self->callbacks_.Post([done, status = std::move(status), activity] { done(status); });
  });
}

absl::Status Session::Remove(const std::string& etag) {
  TOME_RETURN_IF_ERROR(CheckEtag(etag));
  store_.Close();
  // It is not there when a call before this one could not make sure that it will not come back.
  if (absl::Status status = context_->folder->Remove(id_); !status.ok() && !absl::IsNotFound(status)) return status;
  deleted_ = true;
  {
    std::lock_guard lock(mutex_);
    gone_ = true;
  }
  reader_.Fail(DeletedError(id_));
  reader_.AbandonSnapshots();
  FailQuestions(DeletedError(id_));
  NotifySubscribers();
  context_->observer.OnSessionEvent(id_, "deleted", "");
  return absl::OkStatus();
}

// --- Documents ---

void Session::Write(std::shared_ptr<WriterState> writer, WriteRequest request,
                    std::function<void(absl::StatusOr<WriteResult>)> done) {
  if (context_->draining) {
    callbacks_.Post([done = std::move(done), status = context_->DrainingError()] { done(status); });
    return;
  }
  NoteUse();
  const bool take = queue_.Push({.writer = std::move(writer),
                                 .request = std::move(request),
                                 .done = std::move(done),
                                 .activity = context_->activity.Begin()});
  if (take) strand_.Post([self = shared_from_this()] { self->CommitWrites(); });
}

void Session::WhenRoom(std::function<void()> ready) {
  if (queue_.HasRoomOrWait(ready)) callbacks_.Post(std::move(ready));
}

bool Session::DelayCommit() {
  const absl::Duration delay = last_commit_ + context_->options.max_commit_delay - context_->clock.Elapsed();
  if (delay <= absl::ZeroDuration() || !queue_.HasTime()) return false;
  if (std::exchange(commit_timed_, true)) return true;
  context_->timer.Post(delay, [self = shared_from_this()] {
    self->strand_.Post([self] {
      self->commit_timed_ = false;
      self->last_commit_ = -absl::InfiniteDuration();  // nothing waits longer
      self->CommitWrites();
    });
  });
  return true;
}

void Session::CommitWrites() {
  if (DelayCommit()) return;
  std::vector<PendingWrite> batch = queue_.Take();
  if (batch.empty()) return CloseStoreLater();
  ++commits_;
  std::vector<absl::StatusOr<WriteResult>> results = CommitBatch(batch);
  last_commit_ = context_->clock.Elapsed();
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    bytes += batch[i].request.data.size();
    callbacks_.Post([done = std::move(batch[i].done), result = std::move(results[i]),
                     activity = std::move(batch[i].activity)] { done(result); });
  }
  for (std::function<void()>& ready : queue_.Release(bytes)) callbacks_.Post(std::move(ready));
  NotifySubscribers();
  reader_.ReadOn().IgnoreError();  // its status tells
  ConsiderQuestions();
  strand_.Post([self = shared_from_this()] { self->CommitWrites(); });
}

std::vector<absl::StatusOr<WriteResult>> Session::CommitBatch(const std::vector<PendingWrite>& batch) {
  const absl::Duration begin = context_->clock.Elapsed();
  const absl::Time now = context_->clock.NowInMicroseconds();
  std::vector<absl::StatusOr<WriteResult>> results;
  reader_.ForgetStorageFailure();
  const ReadingStatus reading = reader_.status();
  absl::Status status = deleted_ ? DeletedError(id_) : reading.failure.ok() ? reading.damage : reading.failure;
  if (status.ok()) {
    absl::StatusOr<SessionStore*> store = store_.Get();
    status = store.ok() ? appender_.Begin(*store) : store.status();
  }
  if (status.ok()) {
    for (const PendingWrite& write : batch) results.push_back(ApplyWrite(write, now));
    status = appender_.Commit();
  }
  if (status.ok()) {
    reader_.NoteUnread();  // before anyone can see the new bytes and take the reading for done
    Publish(now);
    if (appender_.batch_bytes() > 0) {
      context_->observer.OnBytesStored(appender_.batch_bytes(), context_->clock.Elapsed() - begin);
    }
    return results;
  }
  results.resize(batch.size(), status);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (results[i].ok()) results[i] = status;
    batch[i].writer->failure.Update(results[i].status());
  }
  return results;
}

absl::StatusOr<WriteResult> Session::ApplyWrite(const PendingWrite& write, absl::Time now) {
  WriterState& writer = *write.writer;
  TOME_RETURN_IF_ERROR(writer.failure);
  absl::StatusOr<WriteResult> result = appender_.Apply(writer.document, writer.invalid_utf8, write.request, now);
  writer.failure = result.status();
  if (result.ok()) {
    const auto& documents = appender_.documents();
    const auto found = std::find_if(documents.rbegin(), documents.rend(),
                                    [&](const StoredDocument& document) { return document.name == writer.document; });
    std::uint64_t tokens = 0;
    reader_.DocumentProgress(documents.rend() - found - 1, &result->ingested_offset, &tokens);
  }
  return result;
}

void Session::Publish(absl::Time now) {
  const std::vector<StoredDocument>& documents = appender_.documents();
  std::lock_guard lock(mutex_);
  // Only the last document can have changed, and others may follow it.
  const std::size_t first = stored_.documents.empty() ? 0 : stored_.documents.size() - 1;
  const bool changed = documents.size() != stored_.documents.size() ||
                       (!documents.empty() && documents.back() != stored_.documents.back());
  if (!changed) return;
  stored_.documents.resize(first);
  stored_.documents.insert(stored_.documents.end(), documents.begin() + first, documents.end());
  stored_.update_time = now;
}

// --- Questions ---

void Session::Ask(const std::shared_ptr<QuestionRun>& run) {
  NoteUse();
  run->SetEnded([self = shared_from_this(), run] { self->OnQuestionEnded(run); });
  run->SetTextReader([self = shared_from_this()](std::vector<ByteRange> ranges, const auto& done) {
    self->strand_.Post([self, ranges = std::move(ranges), done] { done(self->ReadTexts(ranges)); });
  });
  {
    std::lock_guard lock(mutex_);
    questions_.insert(run);
  }
  strand_.Post([self = shared_from_this(), run] {
    self->waiting_.push_back(run);
    self->ConsiderQuestions();
  });
}

void Session::OnQuestionEnded(const std::shared_ptr<QuestionRun>& run) {
  {
    std::lock_guard lock(mutex_);
    questions_.erase(run);
  }
  if (run->holds_state()) reader_.Unhold();
  if (has_waiting_) strand_.Post([self = shared_from_this()] { self->ConsiderQuestions(); });
}

void Session::FailQuestions(const absl::Status& status) {
  std::set<std::shared_ptr<QuestionRun>> questions;
  {
    std::lock_guard lock(mutex_);
    questions = questions_;
  }
  for (const std::shared_ptr<QuestionRun>& run : questions) run->Finish(status);
}

void Session::ConsiderQuestions() {
  for (const std::shared_ptr<QuestionRun>& run : std::exchange(launching_, {})) LaunchQuestion(run);
  if (waiting_.empty()) {
    has_waiting_ = !launching_.empty();
    return;
  }
  has_waiting_ = true;  // before the look at the reading, so that no later change of it is missed
  std::vector<std::shared_ptr<QuestionRun>> still_waiting;
  for (const std::shared_ptr<QuestionRun>& run : std::exchange(waiting_, {})) {
    if (run->done()) continue;
    const absl::StatusOr<bool> may_run = MayRun(*run);
    if (!may_run.ok()) {
      run->Finish(may_run.status());
    } else if (*may_run) {
      run->RequestSlot([self = shared_from_this(), run] { self->OnSlot(run); });
    } else {
      still_waiting.push_back(run);
    }
  }
  waiting_ = std::move(still_waiting);
  has_waiting_ = !waiting_.empty() || !launching_.empty();
}

absl::StatusOr<bool> Session::MayRun(QuestionRun& run) {
  if (deleted_) return DeletedError(id_);
  const std::uint64_t durable = SumOfSizes(appender_.documents());
  const std::uint64_t wait_for = run.options().wait_for_ingested_bytes;
  if (problem_.ok() && durable == 0 && wait_for == 0) {
    return SessionError(absl::StatusCode::kFailedPrecondition,
                        fmt::format("session {} has no text yet: append a document first", id_), "SESSION_EMPTY", id_);
  }
  TOME_RETURN_IF_ERROR(reader_.ReadOn(Urgency::kQuestion));
  const ReadingStatus reading = reader_.status();
  TOME_RETURN_IF_ERROR(reading.failure);
  // Over nothing at all there is no answer, so at least the first segment is waited for.
  const std::uint64_t target = std::max<std::uint64_t>({1, wait_for, reading.restore_target_bytes});
  if (reading.caught_up && reading.ingested_bytes < target) TOME_RETURN_IF_ERROR(reading.damage);
  const bool enough =
      reading.caught_up ? durable >= wait_for : reading.ingested_bytes >= target && reading.ingested_tokens > 0;
  if (reading.resident && enough) return true;
  run.ReportWaiting(reading.ingested_bytes, target);
  return false;
}

void Session::OnSlot(const std::shared_ptr<QuestionRun>& run) {
  reader_.Hold();
  if (!run->HoldState()) return reader_.Unhold();  // it has ended
  strand_.Post([self = shared_from_this(), run] { self->LaunchQuestion(run); });
}

void Session::LaunchQuestion(const std::shared_ptr<QuestionRun>& run) {
  if (run->done()) return;
  // While it waited for its slot the state may have been evicted.
  has_waiting_ = true;
  const absl::StatusOr<bool> may_run = MayRun(*run);
  if (!may_run.ok()) return run->Finish(may_run.status());
  if (!*may_run) return launching_.push_back(run);
  absl::StatusOr<ReadingFork> fork = reader_.Fork();
  if (!fork.ok()) {
    run->Finish(fork.status());
    return;
  }
  run->Launch(*std::move(fork), appender_.documents());
}

absl::StatusOr<std::vector<std::string>> Session::ReadTexts(const std::vector<ByteRange>& ranges) {
  if (deleted_) return DeletedError(id_);
  TOME_ASSIGN_OR_RETURN(SessionStore* const store, store_.Get());
  const std::vector<StoredDocument>& documents = appender_.documents();
  std::vector<std::string> texts;
  for (const ByteRange& range : ranges) {
    const auto document = std::find_if(documents.begin(), documents.end(),
                                       [&](const StoredDocument& stored) { return stored.name == range.document; });
    if (document == documents.end()) return Internal("session {}: no document '{}' to cite", id_, range.document);
    TOME_ASSIGN_OR_RETURN(texts.emplace_back(),
                          store->ReadBytes(document - documents.begin(), *document, range.begin, range.end));
  }
  return texts;
}

// --- Watching ---

Subscription Session::Subscribe(std::function<void(const SessionProgress&)> on_progress) {
  NoteUse();
  std::uint64_t subscriber;
  {
    std::lock_guard lock(mutex_);
    subscriber = next_subscriber_++;
    subscribers_[subscriber] = std::make_shared<std::function<void(const SessionProgress&)>>(std::move(on_progress));
  }
  strand_.Post([self = shared_from_this()] { self->reader_.ReadOn().IgnoreError(); });  // its status tells
  NotifySubscribers();
  return Subscription([weak = weak_from_this(), subscriber] {
    if (const std::shared_ptr<Session> self = weak.lock()) {
      std::lock_guard lock(self->mutex_);
      self->subscribers_.erase(subscriber);
    }
  });
}

void Session::OnReadingChanged() {
  NotifySubscribers();
  if (has_waiting_) strand_.Post([self = shared_from_this()] { self->ConsiderQuestions(); });
}

void Session::ReadUnread() {
  if (!reader_.HasNeverReadText() || !problem_.ok()) return;
  strand_.Post([self = shared_from_this()] { self->reader_.ReadOn().IgnoreError(); });  // its status tells
}

void Session::NotifySubscribers() {
  {
    std::lock_guard lock(mutex_);
    if (subscribers_.empty() || std::exchange(delivering_, true)) return;
  }
  reader_.Hold();  // until they know how far it is
  callbacks_.Post([self = shared_from_this()] { self->Deliver(); });
}

void Session::Deliver() {
  std::map<std::uint64_t, std::shared_ptr<std::function<void(const SessionProgress&)>>> subscribers;
  {
    std::lock_guard lock(mutex_);
    delivering_ = false;
    subscribers = subscribers_;
    if (gone_) subscribers_.clear();
  }
  const SessionProgress progress = Progress();
  reader_.Unhold();
  for (const auto& [id, on_progress] : subscribers) (*on_progress)(progress);
}

}  // namespace tome::server
