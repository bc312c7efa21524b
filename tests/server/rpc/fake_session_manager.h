// A session layer that does only what the test tells it to.
#ifndef TOME_TESTS_SERVER_RPC_FAKE_SESSION_MANAGER_H_
#define TOME_TESTS_SERVER_RPC_FAKE_SESSION_MANAGER_H_

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/session/session_manager.h"
#include "tests/server/tiny_server_model.h"
#include "tests/server/waiting.h"

namespace tome::testing {

class FakeSessionManager final : public server::SessionManager {
 public:
  // What the RPC layer has asked for.
  struct Calls {
    std::vector<server::CreateRequest> creates;
    std::vector<server::UpdateRequest> updates;
    std::vector<std::string> deletes;
    std::vector<std::string> snapshots;
    std::vector<std::string> rereads;
    std::vector<server::ListRequest> lists;
    std::vector<server::ForkRequest> forks;
    std::string resumed_bundle;  // of the last ResumeExport
    std::deque<std::function<void(absl::StatusOr<std::string>)>> unread_pieces;
    std::deque<std::function<void(absl::StatusOr<server::SessionInfo>)>> unfinished_imports;
    std::string imported_id;
    std::string imported;  // the bytes of an import
    int live_importers = 0;
    std::string document;  // of the last OpenDocument
    std::vector<server::WriteRequest> writes;
    std::deque<std::function<void(absl::StatusOr<server::WriteResult>)>> unfinished_writes;
    std::function<void()> waits_for_room;
    int live_subscriptions = 0;
    std::function<void(const server::SessionProgress&)> on_progress;
    std::vector<server::QuestionRequest> questions;
    std::shared_ptr<server::QuestionObserver> observer;
    std::vector<server::ScoreRequest> scores;
    std::vector<server::SearchRequest> searches;
    std::function<void(absl::StatusOr<server::SearchPage>)> unfinished_search;
    int cancels = 0;
  };
  const std::shared_ptr<Watched<Calls>> calls = std::make_shared<Watched<Calls>>();

  // What it answers. Set before the call.
  std::vector<std::string> export_pieces = {"some", "more"};
  // Next of an export and Finish of an import are not answered: they wait in `calls`.
  bool holds_transfers = false;
  absl::Status import_error;
  absl::StatusOr<server::SessionInfo> info = server::SessionInfo{.id = "abcd"};
  absl::Status open_error;  // of OpenDocument and Subscribe

  // Tells the RPC layer something, once it has asked.
  void FinishWrite(absl::StatusOr<server::WriteResult> result);
  void GiveRoom();
  void Progress(const server::SessionProgress& progress);
  std::shared_ptr<server::QuestionObserver> AwaitQuestion();
  void FinishSearch(absl::StatusOr<server::SearchPage> page);

  const server::SessionManagerOptions& options() const override { return options_; }
  const std::shared_ptr<const Model>& model() const override { return model_; }
  void Create(server::CreateRequest request, std::function<void(absl::StatusOr<server::SessionInfo>)> done) override;
  absl::StatusOr<server::SessionInfo> Get(const server::SessionId& id) const override;
  absl::StatusOr<server::SessionPage> List(const server::ListRequest& request) const override;
  void Fork(server::ForkRequest request, std::function<void(absl::StatusOr<server::SessionInfo>)> done) override;
  void Export(const server::SessionId& id, bool with_snapshot,
              std::function<void(absl::StatusOr<std::unique_ptr<server::SessionExporter>>)> done) override;
  void ResumeExport(const server::SessionId& id, const std::string& bundle,
                    std::function<void(absl::StatusOr<std::unique_ptr<server::SessionExporter>>)> done) override;
  absl::StatusOr<std::unique_ptr<server::SessionImporter>> Import(const server::SessionId& id) override;
  void Update(server::UpdateRequest request, std::function<void(absl::StatusOr<server::SessionInfo>)> done) override;
  void Delete(const server::SessionId& id, const std::string& etag, std::function<void(absl::Status)> done) override;
  void Snapshot(const server::SessionId& id, std::function<void(absl::StatusOr<server::SnapshotInfo>)> done) override;
  void Reread(const server::SessionId& id, std::function<void(absl::StatusOr<server::SessionInfo>)> done) override;
  absl::StatusOr<std::unique_ptr<server::DocumentWriter>> OpenDocument(const server::SessionId& id,
                                                                       std::string document,
                                                                       server::Utf8Policy invalid_utf8) override;
  absl::StatusOr<server::Subscription> Subscribe(
      const server::SessionId& id, std::function<void(const server::SessionProgress&)> on_progress) override;
  std::shared_ptr<server::RunningQuestion> StartQuestion(server::QuestionRequest request,
                                                         std::shared_ptr<server::QuestionObserver> observer) override;
  std::shared_ptr<server::RunningQuestion> StartScore(server::ScoreRequest request,
                                                      std::shared_ptr<server::QuestionObserver> observer) override;
  std::shared_ptr<server::RunningQuestion> StartSearch(
      server::SearchRequest request, std::function<void(absl::StatusOr<server::SearchPage>)> done) override;
  void BeginDrain() override {}
  bool WaitUntilDrained(absl::Duration) override { return true; }
  void Shutdown(absl::Duration) override {}

 private:
  server::SessionManagerOptions options_ = {.default_memory_options = kTinyMemoryOptions};
  std::shared_ptr<const Model> model_ = TinyServerModel();
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_RPC_FAKE_SESSION_MANAGER_H_
