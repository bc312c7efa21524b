// Questions from the manager's door: what they see, tell and leave behind.
#include "tests/server/session/manager_fixture.h"

namespace tome::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using tome::testing::AnswerRecorder;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::kTinyMemoryOptions;
using tome::testing::SomeText;
using tome::testing::StatusIs;

class QuestionsTest : public tome::testing::ManagerFixture {
 protected:
  void SetUp() override {
    Open();
    CreateSession("session");
  }
};

TEST_F(QuestionsTest, StreamsAnAnswerThatAddsUpToTheResult) {
  ASSERT_THAT(Append("session", "book", SomeText(4000)), IsOk());
  WaitUntilRead("session");
  const auto heard = Ask(QuestionTo("session", AnswerMode::kWindow));
  ASSERT_EQ(heard.results.size(), 1u);
  const QuestionResult& result = heard.results[0].value();
  EXPECT_FALSE(heard.after_the_end);
  EXPECT_EQ(result.answer, heard.text);
  EXPECT_EQ(result.generated_tokens, heard.tokens.size());
  EXPECT_NE(result.finish_reason, FinishReason::kNone);
  EXPECT_GT(result.prompt_tokens, 5u);
  EXPECT_GT(result.timings.time_to_first_token, absl::ZeroDuration());
  EXPECT_GE(result.timings.time_to_first_token,
            result.timings.waiting + result.timings.queued + result.timings.reading_question);
  EXPECT_EQ(heard.progress.front().phase, QuestionPhase::kQueued);
  EXPECT_EQ(heard.progress.back().phase, QuestionPhase::kReadingQuestion);
  EXPECT_EQ(heard.progress.back().done, heard.progress.back().total);
}

TEST_F(QuestionsTest, CoverageNamesTheExactBytesOfSinkAndWindow) {
  const std::string first = SomeText(1500, 1), second = SomeText(60, 2);
  ASSERT_THAT(Append("session", "first", first), IsOk());
  ASSERT_THAT(Append("session", "second", second), IsOk());
  WaitUntilRead("session");
  const QuestionResult result = Ask(QuestionTo("session", AnswerMode::kWindow)).results[0].value();
  const Coverage& coverage = result.coverage;
  EXPECT_EQ(coverage.durable_bytes, 1560u);
  EXPECT_EQ(coverage.ingested_bytes, 1560u);
  EXPECT_EQ(coverage.pending_bytes, 0u);
  const Memory twin =
      tome::testing::ReadWithEngine(tome::testing::TinyServerModel(), {first, second}, kTinyMemoryOptions);
  EXPECT_EQ(result.attended_tokens, static_cast<std::uint64_t>(twin.tokens_kept()));
  ASSERT_EQ(coverage.exact.size(), 3u);
  EXPECT_EQ(coverage.exact[0].document, "first");
  EXPECT_EQ(coverage.exact[0].begin, 0u);
  EXPECT_EQ(coverage.exact[1].document, "first");
  EXPECT_EQ(coverage.exact[1].end, 1500u);
  EXPECT_EQ(coverage.exact[2], (ByteRange{"second", 0, 60}));
  std::uint64_t exact = 0;
  for (const ByteRange& range : coverage.exact) exact += range.end - range.begin;
  EXPECT_EQ(exact + coverage.forgotten_bytes, 1560u);
  EXPECT_GT(coverage.forgotten_bytes, 0u);
}

TEST_F(QuestionsTest, ShortUnfinishedDocumentIsReadTogetherWithTheQuestion) {
  const std::string text = "The answer is 42. caf\xC3";  // within a character
  ASSERT_THAT(Append("session", "note", text, /*finish=*/false), IsOk());
  const QuestionResult result = Ask(QuestionTo("session", AnswerMode::kWindow)).results[0].value();
  EXPECT_EQ(result.coverage.durable_bytes, text.size());
  EXPECT_EQ(result.coverage.ingested_bytes, 0u);
  EXPECT_EQ(result.coverage.pending_bytes, text.size() - 1);
  EXPECT_THAT(result.coverage.exact, ElementsAre(ByteRange{"note", 0, text.size() - 1}));
  EXPECT_EQ(result.coverage.forgotten_bytes, 0u);
  EXPECT_GT(result.attended_tokens, 3u);
}

TEST_F(QuestionsTest, PendingTailGivesTheAnswerOfTheWholeText) {
  // The same text, once with its last part pending and once sealed, so that it is all read.
  CreateSession("sealed");
  const std::string text = SomeText(300);
  ASSERT_THAT(Append("session", "book", text, /*finish=*/false), IsOk());
  ASSERT_THAT(Append("sealed", "book", text), IsOk());
  WaitUntilRead("session");
  WaitUntilRead("sealed");
  const QuestionResult pending = Ask(QuestionTo("session")).results[0].value();
  const QuestionResult sealed = Ask(QuestionTo("sealed")).results[0].value();
  EXPECT_GT(pending.coverage.pending_bytes, 0u);
  EXPECT_EQ(pending.coverage.ingested_bytes + pending.coverage.pending_bytes, sealed.coverage.ingested_bytes);
  EXPECT_EQ(pending.coverage.exact.back().end, sealed.coverage.exact.back().end);
}

TEST_F(QuestionsTest, SameQuestionGivesTheSameAnswerAndLeavesTheSessionAlone) {
  ASSERT_THAT(Append("session", "book", SomeText(4000)), IsOk());
  WaitUntilRead("session");
  QuestionRequest request = QuestionTo("session");
  request.generation.sampling = {.temperature = 1.0, .seed = 7};
  const auto first = Ask(request);
  const SessionInfo before = manager_->Get("session").value();
  const auto second = Ask(request);
  EXPECT_EQ(first.results[0].value().answer, second.results[0].value().answer);
  const SessionInfo after = manager_->Get("session").value();
  EXPECT_EQ(after.ingested_tokens, before.ingested_tokens);
  EXPECT_EQ(after.state_bytes, before.state_bytes);
  EXPECT_EQ(after.etag, before.etag);
  EXPECT_EQ(after.update_time, before.update_time);
}

TEST_F(QuestionsTest, WaitsForBytesThatAreYetToCome) {
  const std::string text = SomeText(3000);
  ASSERT_THAT(Append("session", "book", text.substr(0, 1000), /*finish=*/false), IsOk());
  auto recorder = std::make_shared<AnswerRecorder>();
  QuestionRequest request = QuestionTo("session");
  request.wait_for_ingested_bytes = 3000;
  manager_->StartQuestion(request, recorder);
  const auto waiting = recorder->heard.WaitUntil([](const auto& heard) { return !heard.progress.empty(); });
  EXPECT_EQ(waiting.progress[0].phase, QuestionPhase::kWaitingForReading);
  EXPECT_EQ(waiting.progress[0].total, 3000u);
  // Not finished: the last bytes never fill a segment, and are read with the question.
  ASSERT_THAT(Append("session", "book", text.substr(1000), /*finish=*/false, 1000), IsOk());
  const QuestionResult result = recorder->WaitUntilDone().results[0].value();
  EXPECT_EQ(result.coverage.ingested_bytes + result.coverage.pending_bytes, 3000u);
  EXPECT_GT(result.timings.waiting, absl::ZeroDuration());
}

TEST_F(QuestionsTest, WaitsForTheFirstDocumentWhenAskedTo) {
  auto recorder = std::make_shared<AnswerRecorder>();
  QuestionRequest request = QuestionTo("session");
  request.wait_for_ingested_bytes = 10;
  manager_->StartQuestion(request, recorder);
  recorder->heard.WaitUntil([](const auto& heard) { return !heard.progress.empty(); });
  ASSERT_THAT(Append("session", "book", "Ten bytes!"), IsOk());
  EXPECT_EQ(recorder->WaitUntilDone().results[0].value().coverage.ingested_bytes, 10u);
}

TEST_F(QuestionsTest, AnswersFromWhatIsReadWhileReadingGoesOn) {
  ASSERT_THAT(Append("session", "book", SomeText(60'000)), IsOk());
  const QuestionResult result = Ask(QuestionTo("session")).results[0].value();
  EXPECT_EQ(result.coverage.durable_bytes, 60'000u);
  EXPECT_GT(result.coverage.ingested_bytes, 0u);
  EXPECT_LT(result.coverage.ingested_bytes, 60'000u);
  EXPECT_EQ(result.coverage.pending_bytes, 0u);
  EXPECT_TRUE(WaitForProgress("session", [](const SessionProgress& p) { return p.complete; }).complete);
}

TEST_F(QuestionsTest, ManyQuestionsAtOnceGiveTheAnswersOfOneByOne) {
  ASSERT_THAT(Append("session", "book", SomeText(2000)), IsOk());
  WaitUntilRead("session");
  const auto request = [this](int i) {
    QuestionRequest request = QuestionTo("session");
    request.question = "Question number " + std::to_string(i) + "?";
    request.generation.max_tokens = 4 + i;
    return request;
  };
  std::vector<std::shared_ptr<AnswerRecorder>> recorders;
  for (int i = 0; i < 12; ++i) {
    recorders.push_back(std::make_shared<AnswerRecorder>());
    manager_->StartQuestion(request(i), recorders.back());
  }
  for (int i = 0; i < 12; ++i) {
    const auto together = recorders[i]->WaitUntilDone();
    EXPECT_EQ(together.results[0].value().answer, Ask(request(i)).results[0].value().answer) << i;
    EXPECT_FALSE(together.after_the_end);
  }
}

TEST_F(QuestionsTest, CancelEndsAQuestionInEveryStage) {
  ASSERT_THAT(Append("session", "book", SomeText(2000)), IsOk());
  WaitUntilRead("session");
  {
    SCOPED_TRACE("waiting for bytes");
    auto recorder = std::make_shared<AnswerRecorder>();
    QuestionRequest request = QuestionTo("session");
    request.wait_for_ingested_bytes = 1'000'000;
    const auto question = manager_->StartQuestion(request, recorder);
    question->Cancel();
    question->Cancel();
    const auto heard = recorder->WaitUntilDone();
    EXPECT_THAT(heard.results[0], StatusIs(absl::StatusCode::kCancelled, ::testing::_));
    EXPECT_EQ(heard.results.size(), 1u);
  }
  {
    SCOPED_TRACE("answering");
    auto recorder = std::make_shared<AnswerRecorder>();
    QuestionRequest request = QuestionTo("session");
    request.generation.max_tokens = 450;
    const auto question = manager_->StartQuestion(request, recorder);
    recorder->heard.WaitUntil([](const auto& heard) { return !heard.tokens.empty() || heard.done(); });
    question->Cancel();
    const auto heard = recorder->WaitUntilDone();
    EXPECT_THAT(heard.results[0], HasReason("CANCELLED"));
    EXPECT_LT(heard.tokens.size(), 450u);
  }
  events_.counts.WaitUntil([](const auto& counts) { return counts.running_questions == 0; });
  EXPECT_THAT(Ask(QuestionTo("session")).results[0], IsOk());
}

TEST_F(QuestionsTest, LimitsHowManyQuestionsWait) {
  options_.max_running_questions = 1;
  options_.max_waiting_questions = 1;
  Open();
  ASSERT_THAT(Append("session", "book", SomeText(500)), IsOk());
  QuestionRequest request = QuestionTo("session");
  request.wait_for_ingested_bytes = 1'000'000;
  std::vector<std::shared_ptr<RunningQuestion>> questions;
  for (int i = 0; i < 2; ++i) {
    questions.push_back(manager_->StartQuestion(request, std::make_shared<AnswerRecorder>()));
  }
  const absl::Status refused = Ask(QuestionTo("session")).results[0].status();
  EXPECT_THAT(refused, HasReason("QUESTION_LIMIT"));
  EXPECT_EQ(GetErrorDetails(refused)->retry_delay, options_.retry_delay);
  for (const auto& question : questions) question->Cancel();
  EXPECT_THAT(Ask(QuestionTo("session")).results[0], IsOk());
}

TEST_F(QuestionsTest, QuestionsThatCannotBeAnsweredSayWhy) {
  CreateSession("empty");
  CreateSession("blank");
  ASSERT_THAT(Append("blank", "nothing", ""), IsOk());
  ASSERT_THAT(Append("session", "book", SomeText(500)), IsOk());
  EXPECT_THAT(Ask(QuestionTo("nobody")).results[0], HasReason("SESSION_NOT_FOUND"));
  EXPECT_THAT(Ask(QuestionTo("empty")).results[0], HasReason("SESSION_EMPTY"));
  EXPECT_THAT(Ask(QuestionTo("blank")).results[0], HasReason("SESSION_EMPTY"));

  QuestionRequest longer = QuestionTo("session");
  longer.question = SomeText(20'000);
  EXPECT_THAT(Ask(longer).results[0], StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("1024")));
  EXPECT_THAT(Ask(longer).results[0], HasReason("QUESTION_TOO_LONG"));
  longer.question = std::string(options_.max_question_bytes + 1, 'x');
  EXPECT_THAT(Ask(longer).results[0], HasReason("QUESTION_TOO_LONG"));

  QuestionRequest hot = QuestionTo("session");
  hot.generation.sampling.temperature = -1;
  EXPECT_THAT(Ask(hot).results[0], HasReason("GENERATION_OPTIONS"));
  EXPECT_THAT(Ask(QuestionTo("session")).results[0], IsOk());
}

TEST_F(QuestionsTest, RecordsWhatTelemetryNeeds) {
  ASSERT_THAT(Append("session", "book", SomeText(2000)), IsOk());
  WaitUntilRead("session");
  const QuestionResult result = Ask(QuestionTo("session", AnswerMode::kWindow)).results[0].value();
  const auto counts = events_.counts.WaitUntil([](const auto& counts) { return !counts.questions.empty(); });
  EXPECT_EQ(counts.stored_bytes, 2000u);
  EXPECT_GT(counts.segments, 10);
  EXPECT_EQ(counts.questions[0].session_id, "session");
  EXPECT_EQ(counts.questions[0].generated_tokens, static_cast<std::int64_t>(result.generated_tokens));
  EXPECT_EQ(counts.prompt_tokens, static_cast<std::int64_t>(result.prompt_tokens));
}

}  // namespace
}  // namespace tome::server
