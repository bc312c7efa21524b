#include "server/session/session_manager.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "server/session/data_folder.h"
#include "server/session/page_token.h"
#include "server/session/prompt.h"
#include "server/session/question_run.h"
#include "server/session/search.h"
#include "server/session/session.h"
#include "server/session/session_context.h"
#include "server/session/session_options.h"

namespace tome::server {
namespace {

absl::Status NotFoundError(const SessionId& id) {
  return MakeError(absl::StatusCode::kNotFound, fmt::format("session {} does not exist", id),
                   {.reason = "SESSION_NOT_FOUND", .metadata = {{"session", id}}});
}

// An error of the storage, whose details name the session.
absl::Status WithSession(const absl::Status& status, const SessionId& id) {
  std::optional<ErrorDetails> details = GetErrorDetails(status);
  if (!details) return status;
  details->metadata["session"] = id;
  return WithDetails(status, *details);
}

// A new id: a letter and enough random letters and digits that two are never the same.
SessionId RandomSessionId() {
  constexpr std::string_view kCharacters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  std::uniform_int_distribution<std::size_t> letter(0, 25), any(0, kCharacters.size() - 1);
  SessionId id(1, kCharacters[letter(random)]);
  while (id.size() < 20) id += kCharacters[any(random)];
  return id;
}

absl::Status ValidateOptions(const SessionManagerOptions& options, const Model& model) {
  if (options.max_sessions < 1 || options.max_documents < 1 || options.max_append_queue_bytes < 1 ||
      options.max_commit_bytes < 1 || options.max_running_questions < 1 || options.max_waiting_questions < 0 ||
      options.num_io_threads < 1) {
    return InvalidArgument("the limits of sessions, documents, queues, questions and threads must be at least 1");
  }
  if (!(options.reading_share >= 0 && options.reading_share <= 1)) {
    return InvalidArgument("reading_share must be within 0 and 1, not {}", options.reading_share);
  }
  TOME_RETURN_IF_ERROR(Annotate(ValidateMemoryOptions(options.default_memory_options, model.info().config),
                                "the default memory options"));
  const std::size_t needed = MaxResidentBytes(model, options.default_memory_options);
  if (needed > options.max_state_bytes) {
    return InvalidArgument("max_state_bytes is {}, but one session with the default options can need {}",
                           options.max_state_bytes, needed);
  }
  return absl::OkStatus();
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

class SessionManagerImpl final : public SessionManager {
 public:
  explicit SessionManagerImpl(std::shared_ptr<SessionContext> context)
      : context_(std::move(context)), callbacks_(context_->callbacks) {}
  ~SessionManagerImpl() override { Shutdown(absl::InfiniteDuration()); }

  absl::Status LoadSessions();

  const SessionManagerOptions& options() const override { return context_->options; }
  const std::shared_ptr<const Model>& model() const override { return context_->model; }

  void Create(CreateRequest request, std::function<void(absl::StatusOr<SessionInfo>)> done) override;
  absl::StatusOr<SessionInfo> Get(const SessionId& id) const override;
  absl::StatusOr<SessionPage> List(int page_size, const std::string& page_token) const override;
  void Update(UpdateRequest request, std::function<void(absl::StatusOr<SessionInfo>)> done) override;
  void Delete(const SessionId& id, const std::string& etag, std::function<void(absl::Status)> done) override;

  void Snapshot(const SessionId& id, std::function<void(absl::StatusOr<SnapshotInfo>)> done) override;
  void Reread(const SessionId& id, std::function<void(absl::StatusOr<SessionInfo>)> done) override;

  absl::StatusOr<std::unique_ptr<DocumentWriter>> OpenDocument(const SessionId& id, std::string document,
                                                               Utf8Policy invalid_utf8) override;
  absl::StatusOr<Subscription> Subscribe(const SessionId& id,
                                         std::function<void(const SessionProgress&)> on_progress) override;
  std::shared_ptr<Question> StartQuestion(QuestionRequest request, std::shared_ptr<QuestionObserver> observer) override;
  std::shared_ptr<Question> StartSearch(SearchRequest request,
                                        std::function<void(absl::StatusOr<SearchPage>)> done) override;

  void BeginDrain() override;
  bool WaitUntilDrained(absl::Duration grace) override { return context_->activity.Wait(grace); }
  void Shutdown(absl::Duration snapshot_time) override;

 private:
  using CreateCallback = std::function<void(absl::StatusOr<SessionInfo>)>;
  // A session that is being made.
  struct Creation {
    std::string request_id;
    std::vector<CreateCallback> done;
    Activity::Token activity;
  };

  absl::StatusOr<std::shared_ptr<Session>> Find(const SessionId& id) const;
  absl::StatusOr<std::shared_ptr<Session>> FindUnlessDraining(const SessionId& id) const;
  absl::Status Start(const std::shared_ptr<QuestionRun>& run);
  absl::StatusOr<StoredSession> NewSession(const CreateRequest& request) const;
  absl::Status CheckCreateLocked(const SessionId& id) const;
  void Make(const StoredSession& stored);
  void InsertLocked(std::shared_ptr<Session> session);
  void EraseLocked(const Session& session);
  void OnRemoved(const Session& session);

  const std::shared_ptr<SessionContext> context_;
  SerialQueue callbacks_;

  mutable std::mutex mutex_;  // guards all that follows
  std::map<SessionId, std::shared_ptr<Session>> sessions_;
  std::set<PagePosition> newest_first_;
  std::map<std::string, SessionId> by_request_id_;
  std::map<SessionId, Creation> creating_;
  bool stopped_ = false;
};

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
  context_->observer.OnSessions(static_cast<std::int64_t>(sessions_.size()));
  return absl::OkStatus();
}

void SessionManagerImpl::InsertLocked(std::shared_ptr<Session> session) {
  newest_first_.insert({session->create_time(), session->id()});
  if (!session->request_id().empty()) by_request_id_[session->request_id()] = session->id();
  sessions_[session->id()] = std::move(session);
}

void SessionManagerImpl::EraseLocked(const Session& session) {
  newest_first_.erase({session.create_time(), session.id()});
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
  TOME_ASSIGN_OR_RETURN(const MemoryOptions options, ResolveMemoryOptions(request.options, request.region_memory,
                                                                          context_->options, *context_->model,
                                                                          /*field=*/"session.options"));
  const absl::Time now = absl::FromUnixMicros(absl::ToUnixMicros(context_->clock.Now()));
  return StoredSession{.id = request.session_id.empty() ? RandomSessionId() : request.session_id,
                       .request_id = request.request_id,
                       .display_name = request.display_name,
                       .labels = request.labels,
                       .create_time = now,
                       .update_time = now,
                       .options = options,
                       .model_digest = model.model_digest,
                       .tokenizer_digest = model.tokenizer_digest};
}

absl::Status SessionManagerImpl::CheckCreateLocked(const SessionId& id) const {
  if (!IsSessionId(id)) return InvalidArgument("'{}' is not a session id: [a-z][a-z0-9-]{{3,62}}", id);
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

void SessionManagerImpl::Create(CreateRequest request, CreateCallback done) {
  const auto reply = [this, &done, activity = context_->activity.Begin()](absl::StatusOr<SessionInfo> result) {
    callbacks_.Post([done = std::move(done), result = std::move(result), activity] { done(result); });
  };
  absl::StatusOr<StoredSession> stored = NewSession(request);
  {
    std::lock_guard lock(mutex_);
    if (context_->draining) return reply(context_->DrainingError());
    if (!request.request_id.empty()) {
      if (const auto made = by_request_id_.find(request.request_id); made != by_request_id_.end()) {
        return reply(sessions_.at(made->second)->Info());
      }
      for (auto& [id, creation] : creating_) {
        if (creation.request_id != request.request_id) continue;
        creation.done.push_back(std::move(done));
        return;
      }
    }
    if (!stored.ok()) return reply(stored.status());
    if (absl::Status status = CheckCreateLocked(stored->id); !status.ok()) return reply(std::move(status));
    creating_[stored->id] = {.request_id = request.request_id, .done = {}, .activity = context_->activity.Begin()};
    creating_[stored->id].done.push_back(std::move(done));
  }
  context_->io.Post([this, stored = *std::move(stored)] { Make(stored); });
}

void SessionManagerImpl::Make(const StoredSession& stored) {
  const absl::Status status = context_->folder->Add(
      stored.id, [&](const std::string& database_path) { return SessionStore::Create(database_path, stored); });
  std::shared_ptr<Session> session;
  if (status.ok()) session = Session::Make(context_, stored);
  Creation creation;
  {
    std::lock_guard lock(mutex_);
    if (session) InsertLocked(session);
    creation = std::move(creating_.extract(stored.id).mapped());
    context_->observer.OnSessions(static_cast<std::int64_t>(sessions_.size()));
  }
  if (session) context_->observer.OnSessionEvent(stored.id, "created", "");
  const absl::StatusOr<SessionInfo> result = session ? absl::StatusOr<SessionInfo>(session->Info()) : status;
  for (CreateCallback& done : creation.done) {
    callbacks_.Post([done = std::move(done), result, activity = creation.activity] { done(result); });
  }
}

absl::StatusOr<SessionInfo> SessionManagerImpl::Get(const SessionId& id) const {
  TOME_ASSIGN_OR_RETURN(const std::shared_ptr<Session> session, Find(id));
  return session->Info();
}

absl::StatusOr<SessionPage> SessionManagerImpl::List(int page_size, const std::string& page_token) const {
  std::vector<std::shared_ptr<Session>> sessions;
  SessionPage page;
  {
    std::lock_guard lock(mutex_);
    auto position = newest_first_.begin();
    if (!page_token.empty()) {
      TOME_ASSIGN_OR_RETURN(const PagePosition last, ParsePageToken(page_token));
      position = newest_first_.upper_bound(last);
    }
    for (; position != newest_first_.end() && sessions.size() < static_cast<std::size_t>(page_size); ++position) {
      sessions.push_back(sessions_.at(position->id));
    }
    if (position != newest_first_.end() && !sessions.empty())
      page.next_page_token = MakePageToken(*std::prev(position));
  }
  for (const std::shared_ptr<Session>& session : sessions) page.sessions.push_back(session->Info());
  return page;
}

void SessionManagerImpl::Update(UpdateRequest request, std::function<void(absl::StatusOr<SessionInfo>)> done) {
  const absl::StatusOr<std::shared_ptr<Session>> session = FindUnlessDraining(request.session_id);
  if (!session.ok()) {
    callbacks_.Post([done = std::move(done), status = session.status()] { done(status); });
    return;
  }
  (*session)->Update(std::move(request), std::move(done));
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
      std::move(done));
}

void SessionManagerImpl::Snapshot(const SessionId& id, std::function<void(absl::StatusOr<SnapshotInfo>)> done) {
  const absl::StatusOr<std::shared_ptr<Session>> session = FindUnlessDraining(id);
  if (session.ok()) return (*session)->Snapshot(std::move(done));
  callbacks_.Post([done = std::move(done), status = session.status()] { done(status); });
}

void SessionManagerImpl::Reread(const SessionId& id, std::function<void(absl::StatusOr<SessionInfo>)> done) {
  const absl::StatusOr<std::shared_ptr<Session>> session = FindUnlessDraining(id);
  if (session.ok()) return (*session)->Reread(std::move(done));
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

std::shared_ptr<Question> SessionManagerImpl::StartQuestion(QuestionRequest request,
                                                            std::shared_ptr<QuestionObserver> observer) {
  auto run = std::make_shared<QuestionRun>(context_, std::move(request), std::nullopt, std::move(observer));
  absl::Status status = WithDetails(ValidateGenerationOptions(run->request().generation),
                                    {.reason = "GENERATION_OPTIONS", .metadata = {{"field", "generation"}}});
  if (status.ok()) status = Start(run);
  if (!status.ok()) run->Finish(std::move(status));
  return run;
}

std::shared_ptr<Question> SessionManagerImpl::StartSearch(SearchRequest request,
                                                          std::function<void(absl::StatusOr<SearchPage>)> done) {
  const absl::StatusOr<RegionSlice> slice = ToSlice(request);
  auto run = std::make_shared<QuestionRun>(context_, ToQuestion(request), slice.value_or(RegionSlice()),
                                           MakeSearchObserver(request, slice.value_or(RegionSlice()), std::move(done)));
  absl::Status status = slice.ok() ? Start(run) : slice.status();
  if (!status.ok()) run->Finish(std::move(status));
  return run;
}

absl::Status SessionManagerImpl::Start(const std::shared_ptr<QuestionRun>& run) {
  TOME_RETURN_IF_ERROR(CheckQuestionSize(run->request(), context_->options.max_question_bytes));
  std::lock_guard lock(mutex_);  // so that none starts after BeginDrain
  if (context_->draining) return context_->DrainingError();
  const auto session = sessions_.find(run->request().session_id);
  if (session == sessions_.end()) return NotFoundError(run->request().session_id);
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
  context_->compute.Stop();
  for (const auto& [id, session] : sessions) session->FailQuestions(context_->DrainingError());
  for (const auto& [id, session] : sessions) session->SnapshotBeforeStop();
  if (!context_->snapshot_activity.Wait(snapshot_time)) {
    context_->stop_snapshots = true;
    context_->snapshot_activity.Wait(absl::InfiniteDuration());
  }
  context_->snapshots.Finish();
  context_->io.Finish();
  context_->callbacks.Finish();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SessionManager>> SessionManager::Open(SessionManagerOptions options,
                                                                     std::shared_ptr<const Model> model,
                                                                     Observer& observer, const Clock& clock) {
  TOME_RETURN_IF_ERROR(ValidateOptions(options, *model));
  TOME_ASSIGN_OR_RETURN(std::unique_ptr<DataFolder> folder, DataFolder::Open(options.data_folder, *options.files));
  if (model->spill_folder() != nullptr) {
    TOME_RETURN_IF_ERROR(Annotate(model->spill_folder()->Prepare(), "the archive folder"));
  }
  auto context =
      std::make_shared<SessionContext>(std::move(options), std::move(model), std::move(folder), observer, clock);
  auto manager = std::make_unique<SessionManagerImpl>(std::move(context));
  TOME_RETURN_IF_ERROR(manager->LoadSessions());
  return manager;
}

}  // namespace tome::server
