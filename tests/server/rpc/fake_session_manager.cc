#include "tests/server/rpc/fake_session_manager.h"

namespace tome::testing {
namespace {

using Calls = FakeSessionManager::Calls;

class FakeWriter final : public server::DocumentWriter {
 public:
  explicit FakeWriter(std::shared_ptr<Watched<Calls>> calls) : calls_(std::move(calls)) {}

  void Write(server::WriteRequest request, std::function<void(absl::StatusOr<server::WriteResult>)> done) override {
    calls_->Update([&](Calls& calls) {
      calls.writes.push_back(std::move(request));
      calls.unfinished_writes.push_back(std::move(done));
    });
  }

  void WhenRoom(std::function<void()> ready) override {
    calls_->Update([&](Calls& calls) { calls.waits_for_room = std::move(ready); });
  }

 private:
  std::shared_ptr<Watched<Calls>> calls_;
};

class FakeQuestion final : public server::RunningQuestion {
 public:
  explicit FakeQuestion(std::shared_ptr<Watched<Calls>> calls) : calls_(std::move(calls)) {}
  void Cancel() override {
    calls_->Update([](Calls& calls) { ++calls.cancels; });
  }

 private:
  std::shared_ptr<Watched<Calls>> calls_;
};

class FakeExporter final : public server::SessionExporter {
 public:
  FakeExporter(std::shared_ptr<Watched<Calls>> calls, std::vector<std::string> pieces, bool holds)
      : calls_(std::move(calls)), pieces_(std::move(pieces)), holds_(holds) {}
  std::string bundle() const override { return "bundle-1"; }
  void Next(std::function<void(absl::StatusOr<std::string>)> done) override {
    if (holds_) return calls_->Update([&](Calls& calls) { calls.unread_pieces.push_back(std::move(done)); });
    done(next_ < pieces_.size() ? pieces_[next_++] : "");
  }

 private:
  std::shared_ptr<Watched<Calls>> calls_;
  const std::vector<std::string> pieces_;
  const bool holds_;
  std::size_t next_ = 0;
};

class FakeImporter final : public server::SessionImporter {
 public:
  FakeImporter(std::shared_ptr<Watched<Calls>> calls, absl::Status error, server::SessionInfo info, bool holds)
      : calls_(std::move(calls)), error_(std::move(error)), info_(std::move(info)), holds_(holds) {
    calls_->Update([](Calls& calls) { ++calls.live_importers; });
  }
  ~FakeImporter() override {
    calls_->Update([](Calls& calls) { --calls.live_importers; });
  }
  void Take(std::string bytes, std::function<void(absl::Status)> done) override {
    calls_->Update([&](Calls& calls) { calls.imported += bytes; });
    done(error_);
  }
  void Finish(std::function<void(absl::StatusOr<server::SessionInfo>)> done) override {
    if (holds_) return calls_->Update([&](Calls& calls) { calls.unfinished_imports.push_back(std::move(done)); });
    done(info_);
  }

 private:
  std::shared_ptr<Watched<Calls>> calls_;
  const absl::Status error_;
  const server::SessionInfo info_;
  const bool holds_;
};

}  // namespace

void FakeSessionManager::FinishWrite(absl::StatusOr<server::WriteResult> result) {
  calls->WaitUntil([](const Calls& c) { return !c.unfinished_writes.empty(); });
  std::function<void(absl::StatusOr<server::WriteResult>)> done;
  calls->Update([&](Calls& c) {
    done = std::move(c.unfinished_writes.front());
    c.unfinished_writes.pop_front();
  });
  done(std::move(result));
}

void FakeSessionManager::GiveRoom() {
  calls->WaitUntil([](const Calls& c) { return c.waits_for_room != nullptr; });
  std::function<void()> ready;
  calls->Update([&](Calls& c) { ready = std::exchange(c.waits_for_room, nullptr); });
  ready();
}

void FakeSessionManager::Progress(const server::SessionProgress& progress) {
  calls->WaitUntil([](const Calls& c) { return c.on_progress != nullptr; }).on_progress(progress);
}

std::shared_ptr<server::QuestionObserver> FakeSessionManager::AwaitQuestion() {
  std::shared_ptr<server::QuestionObserver> observer;
  calls->WaitUntil([](const Calls& c) { return c.observer != nullptr; });
  calls->Update([&](Calls& c) { observer = std::move(c.observer); });
  return observer;
}

void FakeSessionManager::FinishSearch(absl::StatusOr<server::SearchPage> page) {
  std::function<void(absl::StatusOr<server::SearchPage>)> done;
  calls->WaitUntil([](const Calls& c) { return c.unfinished_search != nullptr; });
  calls->Update([&](Calls& c) { done = std::exchange(c.unfinished_search, nullptr); });
  done(std::move(page));
}

void FakeSessionManager::Create(server::CreateRequest request,
                                std::function<void(absl::StatusOr<server::SessionInfo>)> done) {
  calls->Update([&](Calls& c) { c.creates.push_back(std::move(request)); });
  done(info);
}

absl::StatusOr<server::SessionInfo> FakeSessionManager::Get(const server::SessionId&) const { return info; }

absl::StatusOr<server::SessionPage> FakeSessionManager::List(const server::ListRequest& request) const {
  calls->Update([&](Calls& c) { c.lists.push_back(request); });
  if (!info.ok()) return info.status();
  return server::SessionPage{.sessions = {*info, *info}, .next_page_token = "more"};
}

void FakeSessionManager::Fork(server::ForkRequest request,
                              std::function<void(absl::StatusOr<server::SessionInfo>)> done) {
  calls->Update([&](Calls& c) { c.forks.push_back(std::move(request)); });
  done(info);
}

void FakeSessionManager::Export(const server::SessionId&, bool,
                                std::function<void(absl::StatusOr<std::unique_ptr<server::SessionExporter>>)> done) {
  if (!info.ok()) return done(info.status());
  done(std::make_unique<FakeExporter>(calls, export_pieces, holds_transfers));
}

void FakeSessionManager::ResumeExport(
    const server::SessionId& id, const std::string& bundle,
    std::function<void(absl::StatusOr<std::unique_ptr<server::SessionExporter>>)> done) {
  calls->Update([&](Calls& c) { c.resumed_bundle = bundle; });
  Export(id, /*with_snapshot=*/true, std::move(done));
}

absl::StatusOr<std::unique_ptr<server::SessionImporter>> FakeSessionManager::Import(const server::SessionId& id) {
  if (!info.ok()) return info.status();
  calls->Update([&](Calls& c) { c.imported_id = id; });
  return std::make_unique<FakeImporter>(calls, import_error, *info, holds_transfers);
}

void FakeSessionManager::Update(server::UpdateRequest request,
                                std::function<void(absl::StatusOr<server::SessionInfo>)> done) {
  calls->Update([&](Calls& c) { c.updates.push_back(std::move(request)); });
  done(info);
}

void FakeSessionManager::Delete(const server::SessionId& id, const std::string&,
                                std::function<void(absl::Status)> done) {
  calls->Update([&](Calls& c) { c.deletes.push_back(id); });
  done(info.status());
}

void FakeSessionManager::Snapshot(const server::SessionId& id,
                                  std::function<void(absl::StatusOr<server::SnapshotInfo>)> done) {
  calls->Update([&](Calls& c) { c.snapshots.push_back(id); });
  if (!info.ok()) return done(info.status());
  done(server::SnapshotInfo{.number = 7, .size_bytes = 70, .ingested_bytes = 700, .ingested_tokens = 77});
}

void FakeSessionManager::Reread(const server::SessionId& id,
                                std::function<void(absl::StatusOr<server::SessionInfo>)> done) {
  calls->Update([&](Calls& c) { c.rereads.push_back(id); });
  done(info);
}

absl::StatusOr<std::unique_ptr<server::DocumentWriter>> FakeSessionManager::OpenDocument(const server::SessionId&,
                                                                                         std::string document,
                                                                                         server::Utf8Policy) {
  if (!open_error.ok()) return open_error;
  calls->Update([&](Calls& c) { c.document = std::move(document); });
  return std::make_unique<FakeWriter>(calls);
}

absl::StatusOr<server::Subscription> FakeSessionManager::Subscribe(
    const server::SessionId&, std::function<void(const server::SessionProgress&)> on_progress) {
  if (!open_error.ok()) return open_error;
  calls->Update([&](Calls& c) {
    ++c.live_subscriptions;
    c.on_progress = std::move(on_progress);
  });
  return server::Subscription([watched = calls] { watched->Update([](Calls& c) { --c.live_subscriptions; }); });
}

std::shared_ptr<server::RunningQuestion> FakeSessionManager::StartQuestion(
    server::QuestionRequest request, std::shared_ptr<server::QuestionObserver> observer) {
  calls->Update([&](Calls& c) {
    c.questions.push_back(std::move(request));
    c.observer = std::move(observer);
  });
  return std::make_shared<FakeQuestion>(calls);
}

std::shared_ptr<server::RunningQuestion> FakeSessionManager::StartScore(
    server::ScoreRequest request, std::shared_ptr<server::QuestionObserver> observer) {
  calls->Update([&](Calls& c) {
    c.scores.push_back(std::move(request));
    c.observer = std::move(observer);
  });
  return std::make_shared<FakeQuestion>(calls);
}

std::shared_ptr<server::RunningQuestion> FakeSessionManager::StartSearch(
    server::SearchRequest request, std::function<void(absl::StatusOr<server::SearchPage>)> done) {
  calls->Update([&](Calls& c) {
    c.searches.push_back(std::move(request));
    c.unfinished_search = std::move(done);
  });
  return std::make_shared<FakeQuestion>(calls);
}

}  // namespace tome::testing
