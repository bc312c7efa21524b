#include "server/session/session_manager.h"

#include <sqlite3.h>

#include <filesystem>

#include "tests/server/session/manager_fixture.h"

namespace tome::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using tome::testing::Awaited;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::kTinyMemoryOptions;
using tome::testing::Metadata;
using tome::testing::OtherTinyServerModel;
using tome::testing::SomeText;
using tome::testing::StatusIs;
using tome::testing::TinyServerModel;

class SessionManagerTest : public tome::testing::ManagerFixture {
 protected:
  absl::StatusOr<SessionInfo> Update(UpdateRequest request) {
    Awaited<absl::StatusOr<SessionInfo>> info;
    manager_->Update(std::move(request), info.callback());
    return info.Get();
  }
  absl::Status Delete(const std::string& id, const std::string& etag = "") {
    Awaited<absl::Status> status;
    manager_->Delete(id, etag, status.callback());
    return status.Get();
  }
};

TEST_F(SessionManagerTest, CreatesSessionsWithDefaultsFilledIn) {
  Open();
  const SessionInfo info = Create({.session_id = "my-session",
                                   .display_name = "Mine",
                                   .labels = {{"a", "b"}},
                                   .memory = {.options = {0, 128, 0}}})
                               .value();
  EXPECT_EQ(info.id, "my-session");
  EXPECT_EQ(info.display_name, "Mine");
  EXPECT_EQ(info.labels, (std::map<std::string, std::string>{{"a", "b"}}));
  EXPECT_EQ(info.options.sink_tokens, kTinyMemoryOptions.sink_tokens);
  EXPECT_EQ(info.options.window_tokens, 128);
  EXPECT_EQ(info.options.segment_tokens, kTinyMemoryOptions.segment_tokens);
  EXPECT_EQ(info.phase, SessionPhase::kIdle);
  EXPECT_EQ(info.model_digest, TinyServerModel()->info().model_digest);
  EXPECT_GT(info.max_state_bytes, 0u);
  EXPECT_THAT(info.etag, Not(IsEmpty()));
  EXPECT_THAT(Create({.session_id = "my-session"}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("my-session")));
  const std::string made = Create({}).value().id;
  EXPECT_GE(made.size(), 16u);
  EXPECT_THAT(manager_->Get(made), IsOk());
  EXPECT_THAT(manager_->Get("nobody"), HasReason("SESSION_NOT_FOUND"));
}

TEST_F(SessionManagerTest, RefusesMemoryOptionsThatDoNotFitModelOrServer) {
  Open();
  EXPECT_THAT(Create({.memory = {.options = {8, 1 << 20, 32}}}), HasReason("MEMORY_OPTIONS"));
  options_.max_state_bytes = manager_->Get(CreateSession("some")).value().max_state_bytes;
  Open();
  EXPECT_THAT(Create({.memory = {.options = {8, 65, 32}}}), HasReason("MEMORY_OPTIONS"));
  EXPECT_THAT(Create({.memory = {.options = {8, 64, 32}}}), IsOk());
}

TEST_F(SessionManagerTest, BudgetsCutTheRegionMemory) {
  options_.default_memory_options.regions = *ParseRegionMemoryOptions("selected=2,ring=40,query-region=32");
  Open();
  const std::size_t whole = Create({}).value().max_state_bytes;
  options_.default_state_bytes = whole * 3 / 4;
  Open();
  EXPECT_LE(manager_->options().default_memory_options.regions.ring_regions, 39);
  const SessionInfo usual = Create({}).value(), asked = Create({.memory = {.max_state_bytes = whole * 2 / 3}}).value();
  EXPECT_LE(usual.max_state_bytes, whole * 3 / 4);
  EXPECT_LE(asked.max_state_bytes, whole * 2 / 3);
  EXPECT_GT(asked.options.regions.ring_regions, 2);
  EXPECT_LT(asked.options.regions.ring_regions, usual.options.regions.ring_regions);
  const SessionInfo longer = Create({.memory = {.options = {0, 80, 0}}}).value();
  EXPECT_LE(longer.max_state_bytes, whole * 3 / 4) << "the server's budget is for other options as well";
  EXPECT_THAT(Create({.memory = {.max_state_bytes = 1000}}), HasReason("MEMORY_OPTIONS"));
}

TEST_F(SessionManagerTest, RepeatedRequestIdGivesTheSameSessionAlsoAfterARestart) {
  Open();
  Awaited<absl::StatusOr<SessionInfo>> first, second;
  manager_->Create({.request_id = "once"}, first.callback());
  manager_->Create({.request_id = "once"}, second.callback());
  const std::string id = first.Get().value().id;
  EXPECT_EQ(second.Get().value().id, id);
  Open();
  EXPECT_EQ(Create({.request_id = "once"}).value().id, id);
  EXPECT_NE(Create({.request_id = "twice"}).value().id, id);
}

TEST_F(SessionManagerTest, LimitsTheNumberOfSessions) {
  options_.max_sessions = 2;
  Open();
  CreateSession("first");
  CreateSession("second");
  EXPECT_THAT(Create({}), HasReason("SESSION_LIMIT"));
  EXPECT_THAT(Delete("first"), IsOk());
  EXPECT_THAT(Create({}), IsOk());
}

TEST_F(SessionManagerTest, ListsNewestFirstInPagesThatNewSessionsDoNotDisturb) {
  Open();
  for (const char* id : {"sess-a", "sess-b", "sess-c"}) CreateSession(id);
  const auto ids = [](const SessionPage& page) {
    std::vector<std::string> ids;
    for (const SessionInfo& info : page.sessions) ids.push_back(info.id);
    return ids;
  };
  const SessionPage first = manager_->List({.page_size = 2, .page_token = ""}).value();
  EXPECT_THAT(ids(first), ElementsAre("sess-c", "sess-b"));
  CreateSession("sess-d");
  EXPECT_THAT(Delete("sess-b"), IsOk());
  const SessionPage second = manager_->List({.page_size = 2, .page_token = first.next_page_token}).value();
  EXPECT_THAT(ids(second), ElementsAre("sess-a"));
  EXPECT_EQ(second.next_page_token, "");
  for (const char* token : {"x", "12.ses", "zz.sess-a", "00012.sess-a", "12.SESS"}) {
    EXPECT_THAT(manager_->List({.page_size = 2, .page_token = token}), HasReason("PAGE_TOKEN")) << token;
  }
}

TEST_F(SessionManagerTest, UpdatesWithEtagsAndKeepsTheUpdate) {
  Open();
  const SessionInfo created = Create({.session_id = "session", .display_name = "old", .labels = {{"k", "v"}}}).value();
  const SessionInfo updated = Update({.session_id = "session", .etag = created.etag, .display_name = "new"}).value();
  EXPECT_EQ(updated.display_name, "new");
  EXPECT_EQ(updated.labels, created.labels);
  EXPECT_NE(updated.etag, created.etag);
  EXPECT_GT(updated.update_time, created.update_time);
  EXPECT_THAT(Update({.session_id = "session", .etag = created.etag, .display_name = "late"}),
              HasReason("ETAG_MISMATCH"));
  EXPECT_THAT(Update({.session_id = "session", .labels = std::map<std::string, std::string>()}), IsOk());
  EXPECT_THAT(Update({.session_id = "nobody"}), HasReason("SESSION_NOT_FOUND"));
  Open();
  EXPECT_EQ(manager_->Get("session").value().display_name, "new");
  EXPECT_THAT(manager_->Get("session").value().labels, IsEmpty());
}

TEST_F(SessionManagerTest, DeletesForGood) {
  Open();
  const std::string etag = Create({.session_id = "session"}).value().etag;
  ASSERT_THAT(Append("session", "book", SomeText(2000)), IsOk());
  EXPECT_THAT(Delete("session", "other"), HasReason("ETAG_MISMATCH"));
  EXPECT_THAT(Delete("session", etag), IsOk());
  EXPECT_THAT(Delete("session"), HasReason("SESSION_NOT_FOUND"));
  EXPECT_THAT(manager_->Get("session"), HasReason("SESSION_NOT_FOUND"));
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() / "data" / "sessions"));
  CreateSession("session");
  EXPECT_THAT(manager_->Get("session").value().documents, IsEmpty());
}

TEST_F(SessionManagerTest, DeletingTellsWritersWatchersAndQuestions) {
  Open();
  CreateSession("session");
  auto writer = manager_->OpenDocument("session", "book", Utf8Policy::kRefuse).value();
  ASSERT_THAT(Write(*writer, {.data = SomeText(2000)}), IsOk());
  tome::testing::Watched<bool> deleted;
  const Subscription subscription = manager_
                                        ->Subscribe("session",
                                                    [&](const SessionProgress& progress) {
                                                      if (progress.deleted)
                                                        deleted.Update([](bool& value) { value = true; });
                                                    })
                                        .value();
  auto recorder = std::make_shared<tome::testing::AnswerRecorder>();
  QuestionRequest question = QuestionTo("session");
  question.wait_for_ingested_bytes = 1'000'000;
  manager_->StartQuestion(question, recorder);
  EXPECT_THAT(Delete("session"), IsOk());
  deleted.WaitUntil([](bool value) { return value; });
  EXPECT_THAT(recorder->WaitUntilDone().results[0], HasReason("SESSION_DELETED"));
  EXPECT_THAT(Write(*writer, {.offset = 2000, .data = "more"}), HasReason("SESSION_DELETED"));
}

TEST_F(SessionManagerTest, ReadsAnAppendedDocumentToItsEnd) {
  Open();
  CreateSession("session");
  const std::string text = SomeText(5000);
  const WriteResult result = Append("session", "book", text).value();
  EXPECT_EQ(result.durable_offset, text.size());
  EXPECT_TRUE(result.sealed);
  const SessionProgress progress =
      WaitForProgress("session", [](const SessionProgress& progress) { return progress.complete; });
  EXPECT_EQ(progress.ingested_bytes, text.size());
  EXPECT_EQ(progress.phase, SessionPhase::kIdle);
  EXPECT_EQ(progress.time_left, absl::ZeroDuration());
  const SessionInfo info = manager_->Get("session").value();
  ASSERT_EQ(info.documents.size(), 1u);
  EXPECT_EQ(info.documents[0].ingested_bytes, text.size());
  EXPECT_EQ(info.documents[0].ingested_tokens, info.ingested_tokens);
  const bool bos = TinyServerModel()->tokenizer()->add_bos();
  EXPECT_EQ(info.ingested_tokens, TinyServerModel()->tokenizer()->Encode(text).size() + bos);
  EXPECT_GT(info.state_bytes, 0u);
  EXPECT_LE(info.state_bytes, info.max_state_bytes);
}

TEST_F(SessionManagerTest, ReadsWholeSegmentsOfAnUnfinishedDocument) {
  Open();
  CreateSession("session");
  const std::string text = SomeText(3000);
  ASSERT_THAT(Append("session", "book", text, /*finish=*/false), IsOk());
  const SessionProgress progress = WaitUntilRead("session");
  EXPECT_EQ(progress.ingested_tokens % kTinyMemoryOptions.segment_tokens, 0u);
  EXPECT_GT(progress.ingested_bytes, 2500u);
  EXPECT_LT(progress.ingested_bytes, text.size());
  EXPECT_FALSE(progress.complete);
}

TEST_F(SessionManagerTest, WriterFailsForGoodAfterAnErrorAndTellsTheCommittedOffset) {
  Open();
  CreateSession("session");
  auto writer = manager_->OpenDocument("session", "book", Utf8Policy::kRefuse).value();
  Awaited<absl::StatusOr<WriteResult>> first, gap, later;
  writer->Write({.data = "hello"}, first.callback());
  writer->Write({.offset = 9, .data = "gap"}, gap.callback());
  writer->Write({.offset = 5, .data = "fine, but late"}, later.callback());
  EXPECT_EQ(first.Get().value().durable_offset, 5u);
  EXPECT_THAT(gap.Get(), StatusIs(absl::StatusCode::kAborted, HasSubstr("5")));
  EXPECT_EQ(Metadata(gap.Get().status(), "committed_offset"), "5");
  EXPECT_THAT(later.Get(), HasReason("OFFSET_MISMATCH"));
  auto other = manager_->OpenDocument("session", "book", Utf8Policy::kRefuse).value();
  EXPECT_EQ(Write(*other, {.offset = 5, .data = " world", .finish = true}).value().durable_offset, 11u);
}

TEST_F(SessionManagerTest, HoldsWritersBackWhenTheQueueIsFull) {
  options_.max_append_queue_bytes = 1000;
  options_.max_commit_bytes = 500;
  Open();
  CreateSession("session");
  auto writer = manager_->OpenDocument("session", "book", Utf8Policy::kRefuse).value();
  const std::string text = SomeText(20'000);
  std::atomic<int> not_durable = 0;
  for (std::size_t offset = 0; offset < text.size(); offset += 400) {
    tome::testing::Watched<bool> ready;
    writer->WhenRoom([&] { ready.Update([](bool& value) { value = true; }); });
    ready.WaitUntil([](bool value) { return value; });
    EXPECT_LE(not_durable * 400, 1000) << "room was told, but the queue is full";
    ++not_durable;
    writer->Write({.offset = offset, .data = text.substr(offset, 400)},
                  [&not_durable](const absl::StatusOr<WriteResult>& result) {
                    EXPECT_THAT(result, IsOk());
                    --not_durable;
                  });
  }
  EXPECT_EQ(Write(*writer, {.offset = text.size(), .finish = true}).value().durable_offset, text.size());
}

TEST_F(SessionManagerTest, RestartKeepsDocumentsAndReadsThemAgainOnUse) {
  Open();
  CreateSession("session");
  const std::string text = SomeText(4000);
  ASSERT_THAT(Append("session", "one", text), IsOk());
  ASSERT_THAT(Append("session", "two", "unfinished \xE4\xBA", /*finish=*/false), IsOk());
  WaitUntilRead("session");
  const auto before = Ask(QuestionTo("session"));
  const SessionInfo info = manager_->Get("session").value();
  StopAndRemoveSnapshots("session");
  Open();
  const SessionInfo listed = manager_->List({.page_size = 10, .page_token = ""}).value().sessions.at(0);
  EXPECT_EQ(listed.phase, SessionPhase::kEvicted);
  EXPECT_EQ(listed.durable_bytes, info.durable_bytes);
  EXPECT_EQ(listed.ingested_bytes, 0u);
  EXPECT_EQ(listed.create_time, info.create_time);
  EXPECT_EQ(listed.documents.size(), 2u);
  const auto after = Ask(QuestionTo("session"));
  EXPECT_EQ(after.results[0].value().answer, before.results[0].value().answer);
  EXPECT_EQ(after.results[0].value().coverage.ingested_bytes, before.results[0].value().coverage.ingested_bytes);
  EXPECT_EQ(after.progress[0].phase, QuestionPhase::kWaitingForReading);
  EXPECT_EQ(events_.counts.Get().events["restored"], 1);
  // The character that was cut can be completed, and nothing else.
  EXPECT_THAT(Append("session", "two", "x", false, info.documents[1].durable_bytes), HasReason("INVALID_UTF8"));
  EXPECT_THAT(Append("session", "two", "\xBA!", true, info.documents[1].durable_bytes), IsOk());
}

TEST_F(SessionManagerTest, AnotherModelReadsTheStoredBytesAgain) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "book", SomeText(3000)), IsOk());
  WaitUntilRead("session");
  StopAndRemoveSnapshots("session");
  Open(OtherTinyServerModel());
  EXPECT_EQ(manager_->Get("session").value().model_digest, TinyServerModel()->info().model_digest);
  EXPECT_TRUE(WaitUntilRead("session").complete);
  EXPECT_EQ(manager_->Get("session").value().model_digest, OtherTinyServerModel()->info().model_digest);
  EXPECT_EQ(events_.counts.Get().events["model_changed"], 1);
  Open(OtherTinyServerModel());
  WaitUntilRead("session");
  EXPECT_EQ(events_.counts.Get().events["model_changed"], 1);
}

TEST_F(SessionManagerTest, DamagedBytesFailTheSessionWithDocumentAndRange) {
  Open();
  CreateSession("session");
  CreateSession("other");
  ASSERT_THAT(Append("session", "book", SomeText(3000)), IsOk());
  ASSERT_THAT(Append("other", "book", SomeText(3000)), IsOk());
  StopAndRemoveSnapshots("session");
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((options_.data_folder + "/sessions/session/session.db").c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "UPDATE chunks SET data = zeroblob(3000)", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  Open();
  const auto heard = Ask(QuestionTo("session"));
  EXPECT_THAT(heard.results[0], StatusIs(absl::StatusCode::kDataLoss, HasSubstr("'book'")));
  EXPECT_EQ(Metadata(heard.results[0].status(), "begin"), "0");
  EXPECT_EQ(Metadata(heard.results[0].status(), "end"), "3000");
  const SessionInfo info = manager_->Get("session").value();
  EXPECT_EQ(info.phase, SessionPhase::kFailed);
  EXPECT_THAT(info.problem, HasSubstr("book"));
  EXPECT_THAT(Ask(QuestionTo("other")).results[0], IsOk());
  EXPECT_THAT(Delete("session"), IsOk());
}

TEST_F(SessionManagerTest, UnreadableSessionIsListedAsFailedAndCanBeDeleted) {
  Open();
  CreateSession("session");
  CreateSession("other");
  manager_.reset();
  tome::testing::WriteFile(options_.data_folder + "/sessions/session/session.db", "not a database at all, sorry");
  Open();
  const SessionInfo info = manager_->Get("session").value();
  EXPECT_EQ(info.phase, SessionPhase::kFailed);
  EXPECT_THAT(info.problem, Not(IsEmpty()));
  const absl::Status refused = Append("session", "book", "text").status();
  EXPECT_THAT(refused, HasReason("STORED_DATA_DAMAGED"));
  EXPECT_EQ(Metadata(refused, "session"), "session");
  EXPECT_THAT(Ask(QuestionTo("session")).results[0], StatusIs(absl::StatusCode::kDataLoss, ::testing::_));
  EXPECT_THAT(Update({.session_id = "session", .display_name = "x"}),
              StatusIs(absl::StatusCode::kDataLoss, ::testing::_));
  EXPECT_THAT(manager_->Get("other"), IsOk());
  EXPECT_THAT(Delete("session"), IsOk());
  EXPECT_FALSE(std::filesystem::exists(options_.data_folder + "/sessions/session"));
}

TEST_F(SessionManagerTest, EvictsIdleSessionsAndRebuildsTheSameState) {
  Open();
  options_.max_state_bytes = manager_->Get(CreateSession("sess-a")).value().max_state_bytes;
  Open();
  CreateSession("sess-b");
  ASSERT_THAT(Append("sess-a", "book", SomeText(4000, 1)), IsOk());
  WaitUntilRead("sess-a");
  const auto before = Ask(QuestionTo("sess-a"));
  ASSERT_THAT(Append("sess-b", "book", SomeText(4000, 2)), IsOk());
  WaitUntilRead("sess-b");
  const SessionInfo evicted = manager_->Get("sess-a").value();
  EXPECT_EQ(evicted.phase, SessionPhase::kEvicted);
  EXPECT_EQ(evicted.state_bytes, 0u);
  EXPECT_EQ(evicted.ingested_bytes, 4000u) << "it was read, and comes back on use";
  EXPECT_EQ(evicted.durable_bytes, 4000u);
  const auto after = Ask(QuestionTo("sess-a"));
  EXPECT_EQ(after.results[0].value().answer, before.results[0].value().answer);
  ASSERT_EQ(after.tokens.size(), before.tokens.size());
  for (std::size_t i = 0; i < after.tokens.size(); ++i) {
    EXPECT_EQ(after.tokens[i].log_probability, before.tokens[i].log_probability);
  }
  EXPECT_EQ(manager_->Get("sess-b").value().phase, SessionPhase::kEvicted);
}

TEST_F(SessionManagerTest, DrainingRefusesNewWorkAndLosesNothing) {
  Open();
  CreateSession("session");
  auto writer = manager_->OpenDocument("session", "book", Utf8Policy::kRefuse).value();
  Awaited<absl::StatusOr<WriteResult>> queued;
  writer->Write({.data = SomeText(3000)}, queued.callback());
  manager_->BeginDrain();
  EXPECT_THAT(Create({}), HasReason("DRAINING"));
  EXPECT_THAT(Append("session", "book", "x"), HasReason("DRAINING"));
  EXPECT_THAT(Write(*writer, {.offset = 3000, .data = "x"}), HasReason("DRAINING"));
  EXPECT_THAT(Ask(QuestionTo("session")).results[0], HasReason("DRAINING"));
  EXPECT_THAT(manager_->Subscribe("session", [](const SessionProgress&) {}).status(), HasReason("DRAINING"));
  EXPECT_THAT(Delete("session"), HasReason("DRAINING"));
  EXPECT_TRUE(manager_->WaitUntilDrained(absl::Seconds(60)));
  EXPECT_TRUE(queued.Has());
  EXPECT_THAT(queued.Get(), IsOk());
  manager_->Shutdown();
  EXPECT_EQ(manager_->Get("session").value().durable_bytes, 3000u);
  writer.reset();
  Open();
  EXPECT_EQ(manager_->Get("session").value().durable_bytes, 3000u);
}

TEST_F(SessionManagerTest, ShutdownEndsQuestionsThatStillRun) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "book", SomeText(1000)), IsOk());
  auto recorder = std::make_shared<tome::testing::AnswerRecorder>();
  QuestionRequest request = QuestionTo("session");
  request.wait_for_ingested_bytes = 1'000'000;
  manager_->StartQuestion(request, recorder);
  manager_->BeginDrain();
  EXPECT_FALSE(manager_->WaitUntilDrained(absl::ZeroDuration()));
  manager_->Shutdown();
  const auto heard = recorder->heard.Get();
  ASSERT_TRUE(heard.done());
  EXPECT_THAT(heard.results[0], HasReason("DRAINING"));
}

TEST_F(SessionManagerTest, OptionsThatMakeNoSenseAreRefused) {
  const auto open = [this] { return SessionManager::Open(options_, TinyServerModel(), events_, clock_).status(); };
  const SessionManagerOptions good = options_;
  options_.reading_share = 1.5;
  EXPECT_THAT(open(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reading_share")));
  options_ = good;
  options_.max_state_bytes = 1000;
  EXPECT_THAT(open(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_state_bytes")));
  options_ = good;
  options_.default_state_bytes = 1000;
  EXPECT_THAT(open(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 1000 bytes")));
  options_ = good;
  options_.default_memory_options.window_tokens = 1 << 20;
  EXPECT_THAT(open(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("default memory options")));
  EXPECT_FALSE(std::filesystem::exists(options_.data_folder)) << "something was made before the options were checked";
}

}  // namespace
}  // namespace tome::server
