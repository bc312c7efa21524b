// The SessionManager of this folder. session_manager.cc has sessions, documents, questions and the end of it all;
// session_transfers.cc has forks, exports, imports and expiry.
#ifndef TOME_SERVER_SESSION_SESSION_MANAGER_IMPL_H_
#define TOME_SERVER_SESSION_SESSION_MANAGER_IMPL_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/questions/question_run.h"
#include "server/reading/reading_state.h"
#include "server/scheduling/dropped.h"
#include "server/session/session.h"
#include "server/session/session_context.h"
#include "server/session/session_manager.h"
#include "server/storage/session_store.h"

namespace tome::server {

class SessionManagerImpl final : public SessionManager {
 public:
  explicit SessionManagerImpl(std::shared_ptr<SessionContext> context)
      : context_(std::move(context)), callbacks_(context_->callbacks) {}
  ~SessionManagerImpl() override;

  absl::Status LoadSessions();

  const SessionManagerOptions& options() const override { return context_->options; }
  const std::shared_ptr<const Model>& model() const override { return context_->model; }

  void Create(CreateRequest request, std::function<void(absl::StatusOr<SessionInfo>)> done) override;
  absl::StatusOr<SessionInfo> Get(const SessionId& id) const override;
  absl::StatusOr<SessionPage> List(const ListRequest& request) const override;
  void Update(UpdateRequest request, std::function<void(absl::StatusOr<SessionInfo>)> done) override;
  void Delete(const SessionId& id, const std::string& etag, std::function<void(absl::Status)> done) override;

  void Fork(ForkRequest request, std::function<void(absl::StatusOr<SessionInfo>)> done) override;
  void Export(const SessionId& id, bool with_snapshot,
              std::function<void(absl::StatusOr<std::unique_ptr<SessionExporter>>)> done) override {
    BeginExport(id, with_snapshot, /*bundle=*/"", std::move(done));
  }
  void ResumeExport(const SessionId& id, const std::string& bundle,
                    std::function<void(absl::StatusOr<std::unique_ptr<SessionExporter>>)> done) override {
    BeginExport(id, /*with_snapshot=*/true, bundle, std::move(done));
  }
  absl::StatusOr<std::unique_ptr<SessionImporter>> Import(const SessionId& id) override;
  void Snapshot(const SessionId& id, std::function<void(absl::StatusOr<SnapshotInfo>)> done) override;
  void Reread(const SessionId& id, std::function<void(absl::StatusOr<SessionInfo>)> done) override;

  absl::StatusOr<std::unique_ptr<DocumentWriter>> OpenDocument(const SessionId& id, std::string document,
                                                               Utf8Policy invalid_utf8) override;
  absl::StatusOr<Subscription> Subscribe(const SessionId& id,
                                         std::function<void(const SessionProgress&)> on_progress) override;
  std::shared_ptr<RunningQuestion> StartQuestion(QuestionRequest request,
                                                 std::shared_ptr<QuestionObserver> observer) override;
  std::shared_ptr<RunningQuestion> StartScore(ScoreRequest request,
                                              std::shared_ptr<QuestionObserver> observer) override;
  std::shared_ptr<RunningQuestion> StartSearch(SearchRequest request,
                                               std::function<void(absl::StatusOr<SearchPage>)> done) override;

  void BeginDrain() override;
  bool WaitUntilDrained(absl::Duration grace) override { return context_->activity.Wait(grace); }
  void Shutdown(absl::Duration snapshot_time) override;

 private:
  friend class ImporterImpl;
  using CreateCallback = std::function<void(absl::StatusOr<SessionInfo>)>;
  // A session that is being made.
  struct Creation {
    std::string request_id;
    std::vector<CreateCallback> done;
    Activity::Token activity;
  };

  static absl::Status NotFoundError(const SessionId& id);
  // `done`, called in any case: with DRAINING when its session takes no more jobs.
  template <typename Result>
  std::function<void(Result)> InAnyCase(std::function<void(Result)> done) {
    return Answered(std::move(done), callbacks_, context_->DrainingError());
  }
  // A new id: a letter and enough random letters and digits that two are never the same.
  static SessionId RandomId();

  absl::StatusOr<std::shared_ptr<Session>> Find(const SessionId& id) const;
  absl::StatusOr<std::shared_ptr<Session>> FindUnlessDraining(const SessionId& id) const;
  std::shared_ptr<RunningQuestion> Start(std::unique_ptr<const Inquiry> inquiry,
                                         std::shared_ptr<QuestionObserver> observer);
  absl::Status TryStart(const std::shared_ptr<QuestionRun>& run);
  void BeginExport(const SessionId& id, bool with_snapshot, const std::string& bundle,
                   std::function<void(absl::StatusOr<std::unique_ptr<SessionExporter>>)> done);
  absl::StatusOr<StoredSession> NewSession(const CreateRequest& request) const;
  absl::Status CheckCreateLocked(const SessionId& id) const;
  // Whether a creation was begun; else `done` is called, or will be by one that runs.
  bool BeginCreation(const SessionId& id, const std::string& request_id, CreateCallback done);
  void EndCreation(const SessionId& id, const absl::StatusOr<StoredSession>& stored,
                   std::optional<ReadingState> state = std::nullopt);
  // Looks for sessions that have expired, now and then until Shutdown.
  void ScheduleExpiry();
  void InsertLocked(std::shared_ptr<Session> session);
  void EraseLocked(const Session& session);
  void OnRemoved(const Session& session);

  const std::shared_ptr<SessionContext> context_;
  SerialQueue callbacks_;

  mutable std::mutex mutex_;  // guards all that follows
  std::map<SessionId, std::shared_ptr<Session>> sessions_;
  std::map<std::string, SessionId> by_request_id_;
  std::map<SessionId, Creation> creating_;
  bool stopped_ = false;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_SESSION_MANAGER_IMPL_H_
