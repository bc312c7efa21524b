// What keeps a session beyond its calls: expiry, snapshots, forks and exports.
#include <algorithm>
#include <random>
#include <string_view>
#include <utility>

#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/session/session.h"
#include "server/storage/failpoint.h"
#include "server/storage/snapshot_file.h"

namespace tome::server {
namespace {

constexpr std::string_view kNewDatabase = ".new-session.db";  // SQLite's files beside it begin so as well
// A session reads through as many databases, so there is an end to them.
constexpr std::size_t kMaxBases = 32;

std::string RandomBaseName() {
  std::random_device random;
  return fmt::format("{}{:08x}{:08x}{:08x}", kBasePrefix, random(), random(), random());
}

}  // namespace

// --- Expiry ---

absl::Duration Session::UseGranularity(absl::Duration time_to_live) { return time_to_live / 16; }

std::optional<absl::Time> Session::ExpireTime(const StoredSession& session) {
  if (session.time_to_live == absl::ZeroDuration() || session.pinned) return std::nullopt;
  return session.last_use_time + session.time_to_live;
}

void Session::NoteUse() {
  bool save;
  {
    std::lock_guard lock(mutex_);
    const absl::Time now = context_->clock.Now();
    stored_.last_use_time = std::max(stored_.last_use_time, now);
    save = stored_.time_to_live > absl::ZeroDuration() && now - saved_use_ > UseGranularity(stored_.time_to_live);
    if (save) saved_use_ = now;
  }
  if (save) strand_.Post([self = shared_from_this()] { self->SaveLastUse(); });
}

void Session::SaveLastUse() {
  absl::Time last_use;
  {
    std::lock_guard lock(mutex_);
    last_use = stored_.last_use_time;
  }
  if (deleted_ || !problem_.ok()) return;
  const absl::StatusOr<SessionStore*> store = store_.Get();
  // At worst the session expires a little too early after a restart, and other calls tell what is wrong with the disk.
  if (store.ok()) (*store)->SaveLastUse(last_use).IgnoreError();
  CloseIdleStore();
}

bool Session::IsDue() {
  const SessionPhase phase = reader_.status().phase;
  std::lock_guard lock(mutex_);
  const std::optional<absl::Time> expire_time = ExpireTime(stored_);
  if (!expire_time || *expire_time > context_->clock.Now()) return false;
  const bool busy = phase == SessionPhase::kReading || phase == SessionPhase::kRestoring || !questions_.empty();
  if (busy) stored_.last_use_time = context_->clock.Now();
  return !busy;
}

bool Session::MayHaveExpired() const {
  std::lock_guard lock(mutex_);
  const std::optional<absl::Time> expire_time = ExpireTime(stored_);
  return expire_time && *expire_time <= context_->clock.Now();
}

void Session::ExpireIfDue(std::function<void()> removed) {
  strand_.Post([self = shared_from_this(), removed = std::move(removed), activity = context_->activity.Begin()] {
    if (self->deleted_ || !self->IsDue()) return;
    self->context_->observer.OnSessionEvent(self->id_, "expired", "");
    const absl::Status status = self->Remove(/*etag=*/"");
    if (status.ok()) return removed();
    self->context_->observer.OnSessionEvent(self->id_, "expiry_failed", std::string(status.message()));
  });
}

// --- Snapshots ---

void Session::SnapshotBeforeStop() {
  strand_.Post(
      [self = shared_from_this(), activity = context_->snapshot_activity.Begin()] { self->reader_.BeginSnapshot(); });
}

void Session::Snapshot(std::function<void(absl::StatusOr<SnapshotInfo>)> done) {
  NoteUse();
  strand_.Post([self = shared_from_this(), done = std::move(done), activity = context_->activity.Begin()] {
    const auto reply = [self, done, activity](absl::StatusOr<SnapshotInfo> result) {
      self->callbacks_.Post([done, result = std::move(result), activity] { done(result); });
    };
    if (!self->problem_.ok()) return reply(self->problem_);
    self->reader_.TakeSnapshot(reply);
  });
}

void Session::Reread(std::function<void(absl::StatusOr<SessionInfo>)> done) {
  NoteUse();
  strand_.Post([self = shared_from_this(), done = std::move(done), activity = context_->activity.Begin()] {
    self->callbacks_.Post([done, result = self->StartOver(), activity] { done(result); });
  });
}

absl::StatusOr<SessionInfo> Session::StartOver() {
  TOME_RETURN_IF_ERROR(CheckEtag(/*etag=*/""));
  TOME_RETURN_IF_ERROR(problem_);
  TOME_RETURN_IF_ERROR(reader_.StartOver());
  context_->observer.OnSessionEvent(id_, "reread", "its documents are read again");
  reader_.ReadOn().IgnoreError();  // its status tells
  OnReadingChanged();
  return Info();
}

// --- Forks ---

void Session::RemoveUnusedBases(const std::vector<std::string>& used) {
  FileSystem& files = context_->files;
  const std::string folder = context_->folder->SessionPath(id_);
  const absl::StatusOr<std::vector<std::string>> names = files.List(folder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const bool base = name.starts_with(kBasePrefix) && std::find(used.begin(), used.end(), name) == used.end();
    if (base || name.starts_with(kNewDatabase)) files.Remove(fmt::format("{}/{}", folder, name)).IgnoreError();
  }
}

absl::Status Session::Rebase() {
  TOME_ASSIGN_OR_RETURN(SessionStore* const store, store_.Get());
  TOME_ASSIGN_OR_RETURN(StoredSession stored, store->Load());
  RemoveUnusedBases(stored.bases);
  // A database without chunks of its own has nothing to share.
  TOME_ASSIGN_OR_RETURN(const bool has_chunks, store->HasChunks());
  if (!has_chunks) return absl::OkStatus();
  if (stored.bases.size() >= kMaxBases) {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     fmt::format("session {} shares its bytes with {} generations of forks, the most there may be; "
                                 "export and import it to have them in one place, or fork an older one",
                                 id_, stored.bases.size()),
                     {.reason = "FORK_DEPTH", .metadata = {{"session", id_}}});
  }
  stored.bases.push_back(RandomBaseName());
  const std::string folder = context_->folder->SessionPath(id_), database = context_->folder->DatabasePath(id_);
  const std::string changed = fmt::format("{}/{}", folder, kNewDatabase);
  FileSystem& files = context_->files;
  TOME_ASSIGN_OR_RETURN(SessionStore frozen, store_.Take());
  TOME_RETURN_IF_ERROR(SessionStore::Freeze(std::move(frozen)));
  TOME_RETURN_IF_ERROR(SessionStore::Create(changed, stored));
  TOME_RETURN_IF_ERROR(files.Link(database, fmt::format("{}/{}", folder, stored.bases.back())));
  // Also so that no journal of the old database can come back beside the new one.
  TOME_RETURN_IF_ERROR(files.SyncFolder(folder));
  Failpoint("fork.linked");
  TOME_RETURN_IF_ERROR(files.Rename(changed, database));
  Failpoint("fork.rebased");
  return files.SyncFolder(folder);
}

absl::Status Session::LinkFiles(const std::string& folder, StoredSession* fork) {
  FileSystem& files = context_->files;
  const std::string own = context_->folder->SessionPath(id_);
  for (const std::string& base : fork->bases) {
    TOME_RETURN_IF_ERROR(files.Link(fmt::format("{}/{}", own, base), fmt::format("{}/{}", folder, base)));
  }
  std::vector<SnapshotInfo> snapshots;
  for (const SnapshotInfo& snapshot : fork->snapshots) {
    const absl::Status linked =
        files.Link(SnapshotPathIn(own, snapshot.number), SnapshotPathIn(folder, snapshot.number));
    if (linked.ok()) snapshots.push_back(snapshot);
    // The session itself finds out when it needs it.
    if (!linked.ok() && !absl::IsNotFound(linked)) return linked;
  }
  fork->snapshots = std::move(snapshots);
  return absl::OkStatus();
}

absl::StatusOr<StoredSession> Session::LinkFork(StoredSession fork) {
  TOME_RETURN_IF_ERROR(CheckEtag(/*etag=*/""));
  TOME_RETURN_IF_ERROR(problem_);
  TOME_RETURN_IF_ERROR(Rebase());
  TOME_ASSIGN_OR_RETURN(SessionStore* const store, store_.Get());
  TOME_ASSIGN_OR_RETURN(const StoredSession stored, store->Load());
  if (fork.display_name.empty()) fork.display_name = stored.display_name;
  fork.labels = stored.labels;
  fork.time_to_live = stored.time_to_live;
  fork.options = stored.options;
  fork.model_digest = stored.model_digest;
  fork.tokenizer_digest = stored.tokenizer_digest;
  fork.documents = stored.documents;
  fork.snapshots = stored.snapshots;
  fork.bases = stored.bases;
  TOME_RETURN_IF_ERROR(context_->folder->Add(fork.id, [&](const std::string& folder) -> absl::Status {
    TOME_RETURN_IF_ERROR(LinkFiles(folder, &fork));
    return SessionStore::Create(DatabasePathIn(folder), fork);
  }));
  return fork;
}

void Session::Fork(StoredSession fork,
                   std::function<void(absl::StatusOr<StoredSession>, std::optional<ReadingState>)> made) {
  NoteUse();
  strand_.Post([self = shared_from_this(), fork = std::move(fork), made = std::move(made),
                activity = context_->activity.Begin()] {
    absl::StatusOr<StoredSession> linked = self->LinkFork(fork);
    std::optional<ReadingState> state;
    if (linked.ok()) state = self->reader_.CopyState();
    made(std::move(linked), std::move(state));
    self->CloseIdleStore();
  });
}

void Session::Adopt(ReadingState state) {
  strand_.Post([self = shared_from_this(), state = std::make_shared<ReadingState>(std::move(state))] {
    self->reader_.Adopt(std::move(*state));
  });
}

// --- Exports ---

absl::StatusOr<std::shared_ptr<SessionExport>> Session::BeginExport(bool with_snapshot, const std::string& bundle) {
  TOME_RETURN_IF_ERROR(CheckEtag(/*etag=*/""));
  TOME_RETURN_IF_ERROR(problem_);
  StoredSession session;
  {
    std::lock_guard lock(mutex_);
    session = stored_;
  }
  session.snapshots = reader_.snapshots();
  if (bundle.empty()) {
    session = BundledNow(std::move(session), with_snapshot);
  } else {
    TOME_ASSIGN_OR_RETURN(session, BundledAs(std::move(session), bundle));
  }
  std::unique_ptr<InputFile> file;
  if (!session.snapshots.empty()) {
    const std::uint64_t number = session.snapshots.front().number;
    TOME_ASSIGN_OR_RETURN(file, context_->files.Open(SnapshotPathIn(context_->folder->SessionPath(id_), number)));
  }
  return std::make_shared<SessionExport>(std::move(session), std::move(file));
}

void Session::Export(bool with_snapshot, std::string bundle,
                     std::function<void(absl::StatusOr<std::shared_ptr<SessionExport>>)> done) {
  NoteUse();
  strand_.Post([self = shared_from_this(), with_snapshot, bundle = std::move(bundle), done = std::move(done),
                activity = context_->activity.Begin()] {
    self->callbacks_.Post([done, result = self->BeginExport(with_snapshot, bundle), activity] { done(result); });
  });
}

void Session::NextOfExport(std::shared_ptr<SessionExport> session_export,
                           std::function<void(absl::StatusOr<std::string>)> done) {
  NoteUse();
  strand_.Post([self = shared_from_this(), session_export = std::move(session_export), done = std::move(done),
                activity = context_->activity.Begin()] {
    const auto next = [&]() -> absl::StatusOr<std::string> {
      TOME_RETURN_IF_ERROR(self->CheckEtag(/*etag=*/""));
      TOME_ASSIGN_OR_RETURN(SessionStore* const store, self->store_.Get());
      return session_export->Next(*store);
    };
    self->callbacks_.Post([done, result = next(), activity] { done(result); });
    self->CloseIdleStore();
  });
}

}  // namespace tome::server
