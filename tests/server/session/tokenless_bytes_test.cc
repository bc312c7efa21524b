// Bytes for which the model's vocabulary has no token: they are read like all others, and say nothing.
#include <random>

#include "tests/server/session/durability_fixture.h"

namespace tome::server {
namespace {

using ::testing::HasSubstr;
using tome::testing::AnswerRecorder;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::kTokenlessBytes;
using tome::testing::Metadata;
using tome::testing::SomeText;
using tome::testing::StatusIs;
using tome::testing::TokenlessServerModel;

class TokenlessBytesTest : public tome::testing::DurabilityFixture {
 protected:
  void SetUp() override {
    Open(TokenlessServerModel());
    CreateSession("session");
  }

  void AppendAll(const std::string& session, const std::vector<std::string>& documents, std::size_t first = 0) {
    for (std::size_t i = first; i < documents.size(); ++i) {
      ASSERT_THAT(Append(session, "document " + std::to_string(i), documents[i]), IsOk());
    }
  }

  // Waits as Watch does, and looks at each document.
  void ExpectAllRead(const std::string& session, const std::vector<std::string>& documents) {
    WaitForProgress(session, [](const SessionProgress& progress) {
      return progress.complete && progress.phase == SessionPhase::kIdle;
    });
    const SessionInfo info = *manager_->Get(session);
    EXPECT_EQ(info.ingested_bytes, info.durable_bytes);
    ASSERT_EQ(info.documents.size(), documents.size());
    for (std::size_t i = 0; i < documents.size(); ++i) {
      EXPECT_EQ(info.documents[i].durable_bytes, documents[i].size());
      EXPECT_EQ(info.documents[i].ingested_bytes, documents[i].size()) << "document " << i;
    }
  }
};

std::vector<std::string> MixedDocuments() {
  std::vector<std::string> documents = {"\x04", SomeText(300), SomeText(900, 2) + "\x1d", "\x1d\x1d"};
  for (int length = 30; length < 34; ++length) documents.push_back(std::string(length, 'x') + "\x1d");
  documents.push_back("\x16");
  return documents;
}

TEST_F(TokenlessBytesTest, EachIsReadAloneAndSoIsWhatFollows) {
  std::vector<std::string> documents;
  for (const char byte : kTokenlessBytes) {
    documents.push_back(std::string(1, byte));
    AppendAll("session", documents, documents.size() - 1);
    ExpectAllRead("session", documents);
  }
  documents.push_back(SomeText(700));
  AppendAll("session", documents, documents.size() - 1);
  ExpectAllRead("session", documents);
}

TEST_F(TokenlessBytesTest, AreReadWhereverTheyStandAfterEveryWayBack) {
  std::vector<std::string> documents = MixedDocuments();
  AppendAll("session", documents);
  ExpectAllRead("session", documents);
  const std::string expected = StateDigest("session");
  const SnapshotInfo snapshot = manager_->Get("session")->snapshots.at(0);
  EXPECT_EQ(snapshot.ingested_bytes, manager_->Get("session")->durable_bytes);

  ASSERT_THAT(Fork({.session_id = "session", .new_session_id = "fork"}), IsOk());
  ExpectAllRead("fork", documents);
  for (const bool with_snapshot : {true, false}) {
    TOME_ASSERT_OK_AND_ASSIGN(const std::string archive, Export("session", with_snapshot));
    const std::string id = with_snapshot ? "copy" : "bare";
    ASSERT_THAT(Import(archive, id), IsOk());
    ExpectAllRead(id, documents);
    EXPECT_EQ(StateDigest(id), expected);
  }
  Open(TokenlessServerModel());
  for (const char* id : {"session", "fork", "copy"}) ExpectAllRead(id, documents);
  Kill();
  Open(TokenlessServerModel());
  ExpectAllRead("session", documents);
  ASSERT_THAT(Reread("session"), IsOk());
  ExpectAllRead("session", documents);
  EXPECT_EQ(StateDigest("session"), expected);

  StopAndRemoveSnapshots("session");
  Open(TokenlessServerModel());
  documents.push_back("\x06");
  documents.push_back(SomeText(500, 3));
  AppendAll("session", documents, documents.size() - 2);
  ExpectAllRead("session", documents);
}

TEST_F(TokenlessBytesTest, OnlyTheyMakeASessionThatGoesAndComesBack) {
  const std::vector<std::string> documents = {"\x04", "\x1d\x04"};
  AppendAll("session", documents);
  ExpectAllRead("session", documents);
  EXPECT_THAT(Snapshot("session"), HasReason("SESSION_EMPTY"));
  ASSERT_THAT(Fork({.session_id = "session", .new_session_id = "fork"}), IsOk());
  ExpectAllRead("fork", documents);
  Kill();
  Open(TokenlessServerModel());
  ExpectAllRead("session", documents);
}

TEST_F(TokenlessBytesTest, RandomDocumentsAreReadToTheirEnds) {
  for (int seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const std::string id = CreateSession("random-" + std::to_string(seed));
    std::vector<std::string> documents(1 + random() % 6);
    for (std::size_t i = 0; i < documents.size(); ++i) {
      for (std::size_t left = random() % 120; left > 0; --left) {
        documents[i] += random() % 2 == 0 ? kTokenlessBytes[random() % kTokenlessBytes.size()] : 'x';
      }
      const std::string name = "document " + std::to_string(i);
      const std::size_t cut = random() % (documents[i].size() + 1);
      ASSERT_THAT(Append(id, name, documents[i].substr(0, cut), /*finish=*/false), IsOk());
      if (random() % 3 == 0 && cut > 0) WaitUntilRead(id);
      if (random() % 3 == 0) Snapshot(id).IgnoreError();  // there may be nothing to keep
      if (random() % 4 == 0) Kill(), Open(TokenlessServerModel());
      ASSERT_THAT(Append(id, name, documents[i].substr(cut), /*finish=*/true, cut), IsOk());
    }
    if (random() % 2 == 0) Open(TokenlessServerModel());
    ExpectAllRead(id, documents);
  }
}

// --- Asking ---

TEST_F(TokenlessBytesTest, NothingIsAnsweredFromThemAlone) {
  AppendAll("session", {"\x04", "\x1d"});
  CreateSession("open");
  ASSERT_THAT(Append("open", "document", "\x04", /*finish=*/false), IsOk());
  for (const char* id : {"session", "open"}) {
    for (const std::uint64_t wait : {0, 1}) {
      for (const AnswerMode mode : {AnswerMode::kReread, AnswerMode::kWindow, AnswerMode::kAttend}) {
        QuestionRequest request = QuestionTo(id, mode);
        request.wait_for_ingested_bytes = wait;
        const absl::Status status = Ask(request).results[0].status();
        EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("nothing was read")));
        EXPECT_THAT(status, HasReason("SESSION_EMPTY"));
      }
      EXPECT_THAT(Score({.session_id = id, .text = "Why?"}).results[0], HasReason("SESSION_EMPTY"));
      SearchRequest search{.session_id = id, .query = "Why?", .page_size = 10};
      search.wait_for_ingested_bytes = wait;
      EXPECT_THAT(Search(search), HasReason("SESSION_EMPTY"));
    }
  }
}

TEST_F(TokenlessBytesTest, AQuestionWaitsForTextThatFollowsThem) {
  const std::string text = SomeText(400);
  ASSERT_THAT(Append("session", "nothing", "\x04"), IsOk());
  QuestionRequest request = QuestionTo("session");
  request.wait_for_ingested_bytes = 1 + text.size();
  auto recorder = std::make_shared<AnswerRecorder>();
  manager_->StartQuestion(request, recorder);
  recorder->heard.WaitUntil([](const auto& heard) {
    return heard.done() ||
           (!heard.progress.empty() && heard.progress.back().phase == QuestionPhase::kWaitingForReading);
  });
  EXPECT_FALSE(recorder->heard.Get().done());
  ASSERT_THAT(Append("session", "text", text), IsOk());
  const auto heard = recorder->WaitUntilDone();
  ASSERT_THAT(heard.results[0], IsOk());
  EXPECT_EQ(heard.results[0]->coverage.searchable_bytes, 1 + text.size());
  EXPECT_EQ(heard.results[0]->coverage.unread_bytes, 0u);
}

TEST_F(TokenlessBytesTest, AQuestionOfWhiteSpaceOrWithoutTokensIsRefused) {
  AppendAll("session", {SomeText(400)});
  for (const std::string text : {" ", "\n\t ", "\x04", "\x04\x1d", "\xEF\xBB\xBF", "\xE3\x80\x80", "\xE2\x80\x8B "}) {
    SCOPED_TRACE(::testing::PrintToString(text));
    for (const AnswerMode mode : {AnswerMode::kReread, AnswerMode::kWindow, AnswerMode::kAttend}) {
      QuestionRequest request = QuestionTo("session", mode);
      request.question = text;
      const absl::Status status = Ask(request).results[0].status();
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("")));
      EXPECT_THAT(status, HasReason("QUESTION_EMPTY"));
      EXPECT_EQ(Metadata(status, "field"), "question");
    }
    const absl::Status status = Search({.session_id = "session", .query = text, .page_size = 10}).status();
    EXPECT_THAT(status, HasReason("QUESTION_EMPTY"));
    EXPECT_EQ(Metadata(status, "field"), "query");
  }
  EXPECT_THAT(Ask(QuestionTo("session")).results[0], IsOk());
}

TEST_F(TokenlessBytesTest, ATextToScoreNeedsTokensAndMayBeWhiteSpace) {
  AppendAll("session", {SomeText(400)});
  for (const std::string text : {"\x04", "\x04\x1d\x04"}) {
    EXPECT_THAT(Score({.session_id = "session", .text = text}).results[0], HasReason("QUESTION_EMPTY"));
  }
  for (const std::string text : {" ", "\n\n", "\x04 ", "\xEF\xBB\xBF", "x\x04"}) {
    EXPECT_THAT(Score({.session_id = "session", .text = text}).results[0], IsOk()) << ::testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace tome::server
