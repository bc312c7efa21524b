#include "server/session/session_manager_impl.h"

#include <algorithm>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "server/base/names.h"
#include "server/questions/answer.h"
#include "server/questions/score.h"
#include "server/questions/search.h"
#include "server/reading/session_memory.h"
#include "server/session/list_query.h"
#include "server/session/session_manager.h"
#include "server/storage/data_folder.h"

namespace tome::server {
namespace {

// An error of the storage, whose details name the session.
absl::Status WithSession(const absl::Status& status, const SessionId& id) {
  std::optional<ErrorDetails> details = GetErrorDetails(status);
  if (!details) return status;
  details->metadata["session"] = id;
  return WithDetails(status, *details);
}

absl::Status CheckLimits(const SessionManagerOptions& options) {
  if (options.max_sessions < 1 || options.max_documents < 1 || options.max_append_queue_bytes < 1 ||
      options.max_commit_bytes < 1 || options.max_running_questions < 1 || options.max_waiting_questions < 0 ||
      options.num_io_threads < 1) {
    return InvalidArgument("the limits of sessions, documents, queues, questions and threads must be at least 1");
  }
  if (!(options.reading_share >= 0 && options.reading_share <= 1)) {
    return InvalidArgument("reading_share must be within 0 and 1, not {}", options.reading_share);
  }
  return absl::OkStatus();
}

// Checks the default memory options, and cuts them to their budget.
absl::Status PrepareDefaults(const Model& model, SessionManagerOptions* options) {
  MemoryOptions& defaults = options->default_memory_options;
  TOME_RETURN_IF_ERROR(Annotate(ValidateMemoryOptions(defaults, model.info().config), "the default memory options"));
  TOME_ASSIGN_OR_RETURN(defaults, WithinBudget(defaults, model, options->default_state_bytes));
  const std::size_t needed = MaxResidentBytes(model, defaults);
  if (needed <= options->max_state_bytes) return absl::OkStatus();
  return InvalidArgument("max_state_bytes is {}, but one session with the default options can need {}",
                         options->max_state_bytes, needed);
}

class DocumentWriterImpl final : public DocumentWriter {
 public:
  DocumentWriterImpl(std::shared_ptr<Session> session, std::string document, Utf8Policy invalid_utf8)
      : session_(std::move(session)), state_(std::make_shared<WriterState>()) {
    state_->document = std::move(document);
    state_->invalid_utf8 = invalid_utf8;
  }

  void Write(WriteRequest request, std::function<void(absl::StatusOr<WriteResult>)> done) override {
    session_->Write(state_, std::move(request), std::move(done));
  }
  void WhenRoom(std::function<void()> ready) override { session_->WhenRoom(std::move(ready)); }

 private:
  const std::shared_ptr<Session> session_;
  const std::shared_ptr<WriterState> state_;
};

}  // namespace

SessionManagerImpl::~SessionManagerImpl() {
  Shutdown(absl::InfiniteDuration());
  if (context_->model->spill_folder() != nullptr) context_->model->spill_folder()->SetExecutor(nullptr);
  context_->callbacks.Finish();
}

absl::Status SessionManagerImpl::NotFoundError(const SessionId& id) {
  return MakeError(absl::StatusCode::kNotFound, fmt::format("session {} does not exist", id),
                   {.reason = "SESSION_NOT_FOUND", .metadata = {{"session", id}}});
}

SessionId SessionManagerImpl::RandomId() {
  constexpr std::string_view kCharacters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  std::uniform_int_distribution<std::size_t> letter(0, 25), any(0, kCharacters.size() - 1);
  SessionId id(1, kCharacters[letter(random)]);
  while (id.size() < 20) id += kCharacters[any(random)];
  return id;
}

absl::Status SessionManagerImpl::LoadSessions() {
  TOME_ASSIGN_OR_RETURN(const std::vector<SessionId> ids, context_->folder->ListSessions());
  std::lock_guard lock(mutex_);
  for (const SessionId& id : ids) {
    const auto load = [&]() -> absl::StatusOr<StoredSession> {
      TOME_ASSIGN_OR_RETURN(SessionStore store, SessionStore::Open(context_->folder->DatabasePath(id), id));
      return store.Load();
    };
    const absl::StatusOr<StoredSession> stored = load();
    if (stored.ok()) {
      InsertLocked(Session::Make(context_, *stored));
      continue;
    }
    context_->observer.OnSessionEvent(id, "failed", std::string(stored.status().message()));
    InsertLocked(Session::Make(context_, {.id = id}, WithSession(stored.status(), id)));
  }
  for (const auto& [id, session] : sessions_) session->ReadUnread();
  context_->observer.OnSessions(static_cast<std::int64_t>(sessions_.size()));
  ScheduleExpiry();
  return absl::OkStatus();
}

void SessionManagerImpl::InsertLocked(std::shared_ptr<Session> session) {
  if (!session->request_id().empty()) by_request_id_[session->request_id()] = session->id();
  sessions_[session->id()] = std::move(session);
}

void SessionManagerImpl::EraseLocked(const Session& session) {
  const auto request = by_request_id_.find(session.request_id());
  if (request != by_request_id_.end() && request->second == session.id()) by_request_id_.erase(request);
  sessions_.erase(session.id());
}

absl::StatusOr<std::shared_ptr<Session>> SessionManagerImpl::Find(const SessionId& id) const {
  std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return NotFoundError(id);
  return found->second;
}

absl::StatusOr<std::shared_ptr<Session>> SessionManagerImpl::FindUnlessDraining(const SessionId& id) const {
  TOME_ASSIGN_OR_RETURN(std::shared_ptr<Session> session, Find(id));
  if (context_->draining) return context_->DrainingError();
  return session;
}

// --- Sessions ---

absl::StatusOr<StoredSession> SessionManagerImpl::NewSession(const CreateRequest& request) const {
  const ModelInfo& model = context_->model->info();
  TOME_ASSIGN_OR_RETURN(
      const MemoryOptions options,
      ResolveMemoryOptions(request.memory, context_->options, *context_->model, /*field=*/"session.options"));
  const absl::Time now = context_->clock.NowInMicroseconds();
  return StoredSession{.id = request.session_id.empty() ? RandomId() : request.session_id,
                       .request_id = request.request_id,
                       .display_name = request.display_name,
                       .labels = request.labels,
                       .create_time = now,
                       .update_time = now,
                       .options = options,
                       .model_digest = model.model_digest,
                       .tokenizer_digest = model.tokenizer_digest,
                       .time_to_live = request.time_to_live,
                       .pinned = request.pinned,
                       .last_use_time = now};
}

absl::Status SessionManagerImpl::CheckCreateLocked(const SessionId& id) const {
  if (!IsSessionId(id)) return InvalidArgument("'{}' is not a session id: {}", id, kSessionIdRule);
  if (sessions_.contains(id) || creating_.contains(id)) {
    return MakeError(absl::StatusCode::kAlreadyExists, fmt::format("session {} exists", id),
                     {.reason = "SESSION_EXISTS", .metadata = {{"session", id}}});
  }
  if (static_cast<std::int64_t>(sessions_.size() + creating_.size()) >= context_->options.max_sessions) {
    return MakeError(
        absl::StatusCode::kResourceExhausted,
        fmt::format("there are {} sessions, the most that are allowed; delete some", context_->options.max_sessions),
        {.reason = "SESSION_LIMIT"});
  }
  return absl::OkStatus();
}

bool SessionManagerImpl::BeginCreation(const SessionId& id, const std::string& request_id, CreateCallback done) {
  const auto reply = [this, &done, activity = context_->activity.Begin()](absl::StatusOr<SessionInfo> result) {
    callbacks_.Post([done = std::move(done), result = std::move(result), activity] { done(result); });
    return false;
  };
  std::lock_guard lock(mutex_);
  if (context_->draining) return reply(context_->DrainingError());
  if (!request_id.empty()) {
    if (const auto made = by_request_id_.find(request_id); made != by_request_id_.end()) {
      return reply(sessions_.at(made->second)->Info());
    }
    for (auto& [other, creation] : creating_) {
      if (creation.request_id != request_id) continue;
      creation.done.push_back(std::move(done));
      return false;
    }
  }
  if (absl::Status status = CheckCreateLocked(id); !status.ok()) return reply(std::move(status));
  creating_[id] = {.request_id = request_id, .done = {}, .activity = context_->activity.Begin()};
  creating_[id].done.push_back(std::move(done));
  return true;
}

void SessionManagerImpl::EndCreation(const SessionId& id, const absl::StatusOr<StoredSession>& stored,
                                     std::optional<ReadingState> state) {
  std::shared_ptr<Session> session;
  if (stored.ok()) session = Session::Make(context_, *stored);
  Creation creation;
  {
    std::lock_guard lock(mutex_);
    if (session) InsertLocked(session);
    creation = std::move(creating_.extract(id).mapped());
    context_->observer.OnSessions(static_cast<std::int64_t>(sessions_.size()));
  }
  if (session) context_->observer.OnSessionEvent(id, "created", "");
  if (session && state) {
    session->Adopt(*std::move(state));
  } else if (session) {
    session->ReadUnread();
  }
  const absl::StatusOr<SessionInfo> result =
      session ? absl::StatusOr<SessionInfo>(session->Info()) : absl::StatusOr<SessionInfo>(stored.status());
  for (CreateCallback& done : creation.done) {
    callbacks_.Post([done = std::move(done), result, activity = creation.activity] { done(result); });
  }
}

void SessionManagerImpl::Create(CreateRequest request, CreateCallback done) {
  absl::StatusOr<StoredSession> stored = NewSession(request);
  // A creation that was made before is told, whatever this server's defaults have become.
  const SessionId id = stored.ok() ? stored->id : request.session_id.empty() ? RandomId() : request.session_id;
  if (!BeginCreation(id, request.request_id, std::move(done))) return;
  if (!stored.ok()) return EndCreation(id, stored.status());
  const bool posted = context_->io.Post([this, stored = *std::move(stored)] {
    const absl::Status status = context_->folder->Add(
        stored.id, [&](const std::string& folder) { return SessionStore::Create(DatabasePathIn(folder), stored); });
    EndCreation(stored.id, status.ok() ? absl::StatusOr<StoredSession>(stored) : status);
  });
  if (!posted) EndCreation(id, context_->DrainingError());
}

absl::StatusOr<SessionInfo> SessionManagerImpl::Get(const SessionId& id) const {
  TOME_ASSIGN_OR_RETURN(const std::shared_ptr<Session> session, Find(id));
  return session->Info();
}

absl::StatusOr<SessionPage> SessionManagerImpl::List(const ListRequest& request) const {
  TOME_ASSIGN_OR_RETURN(const ListQuery query, ListQuery::Parse(request.filter, request.order_by));
  std::string last_key;
  if (!request.page_token.empty()) {
    TOME_ASSIGN_OR_RETURN(last_key, query.ParsePageToken(request.page_token));
  }
  using Entry = std::pair<std::string, std::shared_ptr<Session>>;
  std::vector<Entry> rest;  // a heap, what comes first on top
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, session] : sessions_) {
      std::string key = session->SortKey(query);
      if (key > last_key) rest.emplace_back(std::move(key), session);
    }
  }
  const auto later = [](const Entry& a, const Entry& b) { return a.first > b.first; };
  std::make_heap(rest.begin(), rest.end(), later);
  SessionPage page;
  const auto page_size = static_cast<std::size_t>(request.page_size);
  for (; !rest.empty(); rest.pop_back()) {
    std::pop_heap(rest.begin(), rest.end(), later);
    auto& [key, session] = rest.back();
    SessionInfo info = session->Info();
    if (!query.Matches(info)) continue;
    if (page.sessions.size() == page_size) {
      page.next_page_token = query.MakePageToken(last_key);
      break;
    }
    page.sessions.push_back(std::move(info));
    last_key = std::move(key);
  }
  return page;
}

void SessionManagerImpl::Update(UpdateRequest request, std::function<void(absl::StatusOr<SessionInfo>)> done) {
  const absl::StatusOr<std::shared_ptr<Session>> session = FindUnlessDraining(request.session_id);
  if (!session.ok()) {
    callbacks_.Post([done = std::move(done), status = session.status()] { done(status); });
    return;
  }
  (*session)->Update(std::move(request), InAnyCase(std::move(done)));
}

void SessionManagerImpl::Delete(const SessionId& id, const std::string& etag, std::function<void(absl::Status)> done) {
  const absl::StatusOr<std::shared_ptr<Session>> session = FindUnlessDraining(id);
  if (!session.ok()) {
    callbacks_.Post([done = std::move(done), status = session.status()] { done(status); });
    return;
  }
  (*session)->Delete(
      etag,
      [this, weak = std::weak_ptr(*session)] {
        if (const std::shared_ptr<Session> removed = weak.lock()) OnRemoved(*removed);
      },
      InAnyCase(std::move(done)));
}

void SessionManagerImpl::Snapshot(const SessionId& id, std::function<void(absl::StatusOr<SnapshotInfo>)> done) {
  const absl::StatusOr<std::shared_ptr<Session>> session = FindUnlessDraining(id);
  if (session.ok()) return (*session)->Snapshot(InAnyCase(std::move(done)));
  callbacks_.Post([done = std::move(done), status = session.status()] { done(status); });
}

void SessionManagerImpl::Reread(const SessionId& id, std::function<void(absl::StatusOr<SessionInfo>)> done) {
  const absl::StatusOr<std::shared_ptr<Session>> session = FindUnlessDraining(id);
  if (session.ok()) return (*session)->Reread(InAnyCase(std::move(done)));
  callbacks_.Post([done = std::move(done), status = session.status()] { done(status); });
}

void SessionManagerImpl::OnRemoved(const Session& session) {
  std::lock_guard lock(mutex_);
  EraseLocked(session);
  context_->observer.OnSessions(static_cast<std::int64_t>(sessions_.size()));
}

// --- Documents and questions ---

absl::StatusOr<std::unique_ptr<DocumentWriter>> SessionManagerImpl::OpenDocument(const SessionId& id,
                                                                                 std::string document,
                                                                                 Utf8Policy invalid_utf8) {
  if (context_->draining) return context_->DrainingError();
  TOME_ASSIGN_OR_RETURN(std::shared_ptr<Session> session, Find(id));
  return std::make_unique<DocumentWriterImpl>(std::move(session), std::move(document), invalid_utf8);
}

absl::StatusOr<Subscription> SessionManagerImpl::Subscribe(const SessionId& id,
                                                           std::function<void(const SessionProgress&)> on_progress) {
  if (context_->draining) return context_->DrainingError();
  TOME_ASSIGN_OR_RETURN(const std::shared_ptr<Session> session, Find(id));
  return session->Subscribe(std::move(on_progress));
}

std::shared_ptr<RunningQuestion> SessionManagerImpl::StartQuestion(QuestionRequest request,
                                                                   std::shared_ptr<QuestionObserver> observer) {
  return Start(MakeAnswer(std::move(request)), std::move(observer));
}

std::shared_ptr<RunningQuestion> SessionManagerImpl::StartScore(ScoreRequest request,
                                                                std::shared_ptr<QuestionObserver> observer) {
  return Start(MakeScore(std::move(request)), std::move(observer));
}

std::shared_ptr<RunningQuestion> SessionManagerImpl::StartSearch(SearchRequest request,
                                                                 std::function<void(absl::StatusOr<SearchPage>)> done) {
  std::shared_ptr<QuestionObserver> observer = MakeSearchObserver(request, std::move(done));
  return Start(MakeSearch(std::move(request)), std::move(observer));
}

std::shared_ptr<RunningQuestion> SessionManagerImpl::Start(std::unique_ptr<const Inquiry> inquiry,
                                                           std::shared_ptr<QuestionObserver> observer) {
  const auto run = std::make_shared<QuestionRun>(context_->for_questions(), std::move(inquiry), std::move(observer));
  if (absl::Status status = TryStart(run); !status.ok()) run->Finish(std::move(status));
  return run;
}

absl::Status SessionManagerImpl::TryStart(const std::shared_ptr<QuestionRun>& run) {
  TOME_RETURN_IF_ERROR(run->Check(*context_->model->tokenizer()));
  std::lock_guard lock(mutex_);  // so that none starts after BeginDrain
  if (context_->draining) return context_->DrainingError();
  const auto session = sessions_.find(run->options().session_id);
  if (session == sessions_.end()) return NotFoundError(run->options().session_id);
  TOME_RETURN_IF_ERROR(run->Enter());
  session->second->Ask(run);
  return absl::OkStatus();
}

// --- The end ---

void SessionManagerImpl::BeginDrain() {
  std::lock_guard lock(mutex_);
  context_->draining = true;
}

void SessionManagerImpl::Shutdown(absl::Duration snapshot_time) {
  BeginDrain();
  std::map<SessionId, std::shared_ptr<Session>> sessions;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
    sessions = sessions_;
  }
  context_->timer.Finish();
  context_->compute.Stop();
  for (const auto& [id, session] : sessions) session->FailQuestions(context_->DrainingError());
  for (const auto& [id, session] : sessions) session->SnapshotBeforeStop();
  if (!context_->snapshot_activity.Wait(snapshot_time)) {
    context_->stop_snapshots = true;
    context_->snapshot_activity.Wait(absl::InfiniteDuration());
  }
  context_->snapshots.Finish();
  context_->io.Finish();
  // Its threads live on: who calls from now on is told that the server drains.
  context_->callbacks.WaitUntilIdle();
}

absl::StatusOr<std::unique_ptr<SessionManager>> SessionManager::Open(SessionManagerOptions options,
                                                                     std::shared_ptr<const Model> model,
                                                                     Observer& observer, const Clock& clock) {
  TOME_RETURN_IF_ERROR(CheckLimits(options));
  TOME_RETURN_IF_ERROR(PrepareDefaults(*model, &options));
  TOME_ASSIGN_OR_RETURN(std::unique_ptr<DataFolder> folder, DataFolder::Open(options.data_folder, FilesOf(options)));
  if (model->spill_folder() != nullptr) {
    TOME_RETURN_IF_ERROR(Annotate(model->spill_folder()->Prepare(), "the archive folder"));
  }
  auto context =
      std::make_shared<SessionContext>(std::move(options), std::move(model), std::move(folder), observer, clock);
  // Not the threads on which snapshots are loaded: there archives wait for what they spill.
  if (context->model->spill_folder() != nullptr) {
    context->model->spill_folder()->SetExecutor(
        [pool = &context->snapshots](std::function<void()> job) { return pool->Post(std::move(job)); });
  }
  auto manager = std::make_unique<SessionManagerImpl>(std::move(context));
  TOME_RETURN_IF_ERROR(manager->LoadSessions());
  return manager;
}

}  // namespace tome::server
