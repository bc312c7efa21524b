// A session manager on a tiny model and a folder of its own.
#ifndef TOME_TESTS_SERVER_SESSION_MANAGER_FIXTURE_H_
#define TOME_TESTS_SERVER_SESSION_MANAGER_FIXTURE_H_

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/crc32c.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/errors.h"
#include "server/session/session_manager.h"
#include "tests/server/fake_clock.h"
#include "tests/server/tiny_server_model.h"
#include "tests/server/waiting.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome::testing {

// EXPECT_THAT(status, HasReason("SESSION_NOT_FOUND"))
MATCHER_P(HasReason, reason, "") {
  const absl::Status& status = GetStatus(arg);
  const auto details = server::GetErrorDetails(status);
  *result_listener << "which is " << status.ToString() << " with reason " << (details ? details->reason : "none");
  return details && details->reason == reason;
}

inline std::string Metadata(const absl::Status& status, const std::string& key) {
  const auto details = server::GetErrorDetails(status);
  return details && details->metadata.contains(key) ? details->metadata.at(key) : "(none)";
}

// Counts events of sessions and the like.
class EventRecorder final : public server::Observer {
 public:
  struct Counts {
    std::map<std::string, int> events;  // "evicted": 2
    std::uint64_t stored_bytes = 0;
    int commits = 0;
    std::int64_t segments = 0;
    std::int64_t running_questions = 0;
    std::int64_t prompt_tokens = 0;
    std::vector<server::QuestionRecord> questions;
    std::size_t max_reserved_bytes = 0;
    std::size_t held_bytes = 0;
    bool held_more_than_reserved = false;
    std::size_t archive_resident_bytes = 0;
    std::size_t archive_spilled_bytes = 0;
    std::int64_t spills_failed = 0;
  };
  void OnSegmentRead(std::int64_t, absl::Duration, bool) override {
    counts.Update([](Counts& c) { ++c.segments; });
  }
  void OnPromptRead(std::int64_t tokens) override {
    counts.Update([&](Counts& c) { c.prompt_tokens += tokens; });
  }
  void OnBytesStored(std::uint64_t bytes, absl::Duration) override {
    counts.Update([&](Counts& c) {
      c.stored_bytes += bytes;
      ++c.commits;
    });
  }
  void OnStateBytes(std::size_t reserved, std::size_t held) override {
    counts.Update([&](Counts& c) {
      c.max_reserved_bytes = std::max(c.max_reserved_bytes, reserved);
      c.held_bytes = held;
      c.held_more_than_reserved |= held > reserved;
    });
  }
  void OnArchiveBytes(std::size_t resident, std::size_t spilled) override {
    counts.Update([&](Counts& c) {
      c.archive_resident_bytes = resident;
      c.archive_spilled_bytes = spilled;
    });
  }
  void OnArchiveSpillsFailed(std::int64_t times, const absl::Status&) override {
    counts.Update([&](Counts& c) { c.spills_failed += times; });
  }
  void OnRunningQuestions(std::int64_t questions) override {
    counts.Update([&](Counts& c) { c.running_questions = questions; });
  }
  void OnQuestionFinished(const server::QuestionRecord& record) override {
    counts.Update([&](Counts& c) { c.questions.push_back(record); });
  }
  void OnSessionEvent(std::string_view, std::string_view event, std::string_view) override {
    counts.Update([&](Counts& c) { ++c.events[std::string(event)]; });
  }

  Watched<Counts> counts;
};

// Keeps what a question tells.
class AnswerRecorder final : public server::QuestionObserver {
 public:
  struct Heard {
    std::vector<server::QuestionProgress> progress;
    std::string text;
    std::vector<GeneratedToken> tokens;
    std::vector<absl::StatusOr<server::QuestionResult>> results;  // one, in the end
    bool after_the_end = false;                                   // something came after the result

    bool done() const { return !results.empty(); }
  };
  void OnProgress(const server::QuestionProgress& progress) override {
    heard.Update([&](Heard& h) {
      h.after_the_end |= h.done();
      h.progress.push_back(progress);
    });
  }
  void OnDelta(const server::AnswerDelta& delta) override {
    heard.Update([&](Heard& h) {
      h.after_the_end |= h.done();
      h.text += delta.text;
      h.tokens.insert(h.tokens.end(), delta.tokens.begin(), delta.tokens.end());
    });
  }
  void OnDone(const absl::StatusOr<server::QuestionResult>& result) override {
    heard.Update([&](Heard& h) {
      h.after_the_end |= h.done();
      h.results.push_back(result);
    });
  }

  Heard WaitUntilDone() {
    return heard.WaitUntil([](const Heard& h) { return h.done(); });
  }

  Watched<Heard> heard;
};

class ManagerFixture : public ::testing::Test {
 protected:
  using SessionManager = server::SessionManager;

  ManagerFixture() {
    options_.data_folder = folder_.File("data");
    options_.default_memory_options = kTinyMemoryOptions;
    options_.max_commit_delay = absl::ZeroDuration();
  }

  void Open(std::shared_ptr<const Model> model = TinyServerModel()) {
    manager_.reset();
    auto manager = SessionManager::Open(options_, std::move(model), events_, clock_);
    ASSERT_THAT(manager, IsOk());
    manager_ = *std::move(manager);
  }

  // Stops, and leaves the session only what it has stored.
  void StopAndRemoveSnapshots(const std::string& session) {
    manager_.reset();
    for (const auto& entry : std::filesystem::directory_iterator(options_.data_folder + "/sessions/" + session)) {
      if (entry.path().filename().string().starts_with("snapshot-")) std::filesystem::remove(entry.path());
    }
  }

  absl::StatusOr<server::SessionInfo> Create(server::CreateRequest request) {
    Awaited<absl::StatusOr<server::SessionInfo>> info;
    manager_->Create(std::move(request), info.callback());
    return info.Get();
  }
  std::string CreateSession(const std::string& id) { return Create({.session_id = id}).value().id; }

  absl::StatusOr<server::WriteResult> Write(server::DocumentWriter& writer, server::WriteRequest request) {
    Awaited<absl::StatusOr<server::WriteResult>> result;
    writer.Write(std::move(request), result.callback());
    return result.Get();
  }

  // Appends a whole document in one message.
  absl::StatusOr<server::WriteResult> Append(const std::string& session, const std::string& document,
                                             const std::string& text, bool finish = true, ByteOffset offset = 0,
                                             server::Utf8Policy policy = server::Utf8Policy::kRefuse) {
    auto writer = manager_->OpenDocument(session, document, policy);
    if (!writer.ok()) return writer.status();
    return Write(**writer, {.offset = offset, .data = text, .crc32c = Crc32c(text), .finish = finish});
  }

  // Waits for the progress that `condition` describes.
  template <typename Condition>
  server::SessionProgress WaitForProgress(const std::string& session, Condition condition) {
    // The first one of which it is true: others may follow at once.
    auto watched = std::make_shared<Watched<std::optional<server::SessionProgress>>>();
    auto subscription = manager_->Subscribe(session, [watched, condition](const server::SessionProgress& progress) {
      watched->Update([&](auto& found) {
        if (!found && condition(progress)) found = progress;
      });
    });
    EXPECT_THAT(subscription, IsOk());
    return *watched->WaitUntil([](const auto& found) { return found.has_value(); });
  }
  // Everything that is stored and makes a whole segment is read.
  server::SessionProgress WaitUntilRead(const std::string& session) {
    return WaitForProgress(session, [](const server::SessionProgress& progress) {
      return progress.phase == server::SessionPhase::kIdle && progress.durable_bytes > 0;
    });
  }

  server::QuestionRequest QuestionTo(const std::string& session, AnswerMode mode = AnswerMode::kReread) const {
    server::QuestionRequest request{.session_id = session, .question = "What did the lord say?", .mode = mode};
    request.prompt_form = server::PromptFormKind::kRaw;
    request.generation.max_tokens = 8;
    request.generation.log_probabilities = true;
    return request;
  }
  AnswerRecorder::Heard Ask(server::QuestionRequest request) {
    auto recorder = std::make_shared<AnswerRecorder>();
    manager_->StartQuestion(std::move(request), recorder);
    return recorder->WaitUntilDone();
  }
  AnswerRecorder::Heard Score(server::ScoreRequest request) {
    auto recorder = std::make_shared<AnswerRecorder>();
    manager_->StartScore(std::move(request), recorder);
    return recorder->WaitUntilDone();
  }
  absl::StatusOr<server::SearchPage> Search(server::SearchRequest request) {
    Awaited<absl::StatusOr<server::SearchPage>> page;
    manager_->StartSearch(std::move(request), page.callback());
    return page.Get();
  }

  TempDir folder_;
  FakeClock clock_;
  EventRecorder events_;
  server::SessionManagerOptions options_;
  std::unique_ptr<SessionManager> manager_;
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_SESSION_MANAGER_FIXTURE_H_
