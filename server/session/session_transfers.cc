// Sessions made of others, taken out and brought in, and those whose time is over.
#include <memory>
#include <optional>
#include <utility>

#include "engine/base/status.h"
#include "server/session/session_manager_impl.h"
#include "server/transfer/session_import.h"

namespace tome::server {

// --- Forks ---

void SessionManagerImpl::Fork(ForkRequest request, CreateCallback done) {
  const absl::StatusOr<std::shared_ptr<Session>> session = FindUnlessDraining(request.session_id);
  if (!session.ok()) {
    callbacks_.Post([done = std::move(done), status = session.status()] { done(status); });
    return;
  }
  const absl::Time now = context_->clock.NowInMicroseconds();
  StoredSession fork{.id = request.new_session_id.empty() ? RandomId() : request.new_session_id,
                     .request_id = request.request_id,
                     .display_name = request.display_name,
                     .create_time = now,
                     .update_time = now,
                     .last_use_time = now};
  if (!BeginCreation(fork.id, request.request_id, std::move(done))) return;
  const SessionId id = fork.id;
  auto when_dropped = std::make_shared<WhenDropped>([this, id] { EndCreation(id, context_->DrainingError()); });
  (*session)->Fork(std::move(fork), [this, id, when_dropped](const absl::StatusOr<StoredSession>& made,
                                                             std::optional<ReadingState> state) {
    when_dropped->Disarm();
    EndCreation(id, made, std::move(state));
  });
}

// --- Expiry ---

void SessionManagerImpl::ScheduleExpiry() {
  context_->timer.Post(context_->options.expiry_interval, [this] {
    std::map<SessionId, std::shared_ptr<Session>> sessions;
    {
      std::lock_guard lock(mutex_);
      if (stopped_) return;
      sessions = sessions_;
    }
    for (const auto& [id, session] : sessions) {
      if (!session->MayHaveExpired()) continue;
      session->ExpireIfDue([this, weak = std::weak_ptr(session)] {
        if (const std::shared_ptr<Session> removed = weak.lock()) OnRemoved(*removed);
      });
    }
    ScheduleExpiry();
  });
}

// --- Export and import ---

namespace {

class ExporterImpl final : public SessionExporter {
 public:
  ExporterImpl(std::shared_ptr<SessionContext> context, std::shared_ptr<Session> session,
               std::shared_ptr<SessionExport> session_export)
      : context_(std::move(context)),
        callbacks_(context_->callbacks),
        session_(std::move(session)),
        export_(std::move(session_export)),
        bundle_(export_->bundle()) {}

  std::string bundle() const override { return bundle_; }
  void Next(std::function<void(absl::StatusOr<std::string>)> done) override {
    session_->NextOfExport(export_, Answered(std::move(done), callbacks_, context_->DrainingError()));
  }

 private:
  const std::shared_ptr<SessionContext> context_;
  const SerialQueue callbacks_;
  const std::shared_ptr<Session> session_;
  const std::shared_ptr<SessionExport> export_;
  const std::string bundle_;
};

}  // namespace

// Claims its id as a creation, which ends when the importer is gone.
class ImporterImpl final : public SessionImporter {
 public:
  ImporterImpl(SessionManagerImpl& manager, const SessionId& id)
      : work_(std::make_shared<Work>(manager, id)), queue_(manager.context_->io) {}
  ~ImporterImpl() override {
    queue_.Post([work = std::move(work_)] { work->End(absl::CancelledError("the import was not finished")); });
  }

  void Take(std::string bytes, std::function<void(absl::Status)> done) override {
    queue_.Post([work = work_, bytes = std::move(bytes), done = work_->InAnyCase(std::move(done))] {
      absl::Status status = work->session_import->Take(bytes);
      if (!status.ok()) work->End(status);  // the id is free before the error is told
      work->callbacks.Post([done, status = std::move(status)] { done(status); });
    });
  }

  void Finish(std::function<void(absl::StatusOr<SessionInfo>)> done) override {
    queue_.Post([work = work_, done = work_->InAnyCase(std::move(done))] {
      work->done = done;
      work->End(work->session_import->Finish());
    });
  }

 private:
  // The queue's own.
  struct Work {
    Work(SessionManagerImpl& manager, const SessionId& id)
        : manager(manager),
          context(manager.context_),
          callbacks(context->callbacks),
          activity(context->activity.Begin()) {
      session_import.emplace(context->for_imports(), id, [this](const SessionId& claimed) { return Claim(claimed); });
    }

    template <typename Result>
    std::function<void(Result)> InAnyCase(std::function<void(Result)> done) {
      return Answered(std::move(done), callbacks, context->DrainingError());
    }

    absl::Status Claim(const SessionId& id) {
      std::lock_guard lock(manager.mutex_);
      TOME_RETURN_IF_ERROR(manager.CheckCreateLocked(id));
      manager.creating_[id] = {.request_id = "", .done = {}, .activity = activity};
      claimed = id;
      return absl::OkStatus();
    }

    void End(const absl::StatusOr<StoredSession>& stored) {
      if (ended) return;
      ended = true;
      session_import.reset();
      if (claimed.empty()) {  // so early that there can be no session
        if (done) callbacks.Post([done = done, status = stored.status()] { done(status); });
        return;
      }
      if (done) {
        std::lock_guard lock(manager.mutex_);
        manager.creating_.at(claimed).done.push_back(done);
      }
      manager.EndCreation(claimed, stored);
    }

    SessionManagerImpl& manager;
    const std::shared_ptr<SessionContext> context;  // so that a half import can be removed whenever the last one goes
    SerialQueue callbacks;
    Activity::Token activity;
    std::optional<SessionImport> session_import;
    SessionId claimed;
    std::function<void(absl::StatusOr<SessionInfo>)> done;
    bool ended = false;
  };

  std::shared_ptr<Work> work_;
  SerialQueue queue_;
};

void SessionManagerImpl::BeginExport(const SessionId& id, bool with_snapshot, const std::string& bundle,
                                     std::function<void(absl::StatusOr<std::unique_ptr<SessionExporter>>)> done) {
  const absl::StatusOr<std::shared_ptr<Session>> found = FindUnlessDraining(id);
  if (!found.ok()) {
    callbacks_.Post([done = std::move(done), status = found.status()] { done(status); });
    return;
  }
  using Begun = absl::StatusOr<std::shared_ptr<SessionExport>>;
  std::function<void(Begun)> begun = [context = context_, session = *found, done = std::move(done)](Begun result) {
    if (!result.ok()) return done(result.status());
    done(std::make_unique<ExporterImpl>(context, session, *std::move(result)));
  };
  (*found)->Export(with_snapshot, bundle, InAnyCase(std::move(begun)));
}

absl::StatusOr<std::unique_ptr<SessionImporter>> SessionManagerImpl::Import(const SessionId& id) {
  if (context_->draining) return context_->DrainingError();
  return std::make_unique<ImporterImpl>(*this, id);
}

}  // namespace tome::server
