// Questions that are answered over text found and read again: beside the engine alone, and by what their results say.
#include "engine/base/utf8.h"
#include "engine/generation/prompt_form.h"
#include "server/storage/sqlite.h"
#include "tests/server/session/manager_fixture.h"

namespace tome::server {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::kTinyMemoryOptions;
using tome::testing::Metadata;
using tome::testing::ReadWithEngine;
using tome::testing::SomeText;
using tome::testing::StatusIs;
using tome::testing::TinyServerModel;

// What the engine says without a service around it.
struct EngineAnswer {
  std::string text;
  std::shared_ptr<const Evidence> evidence;
};

EngineAnswer AnswerWithEngine(const Memory& memory, const QuestionRequest& request, int budget_tokens) {
  tome::Question question{.text = request.question,
                          .instruction = request.instruction,
                          .turns = {},
                          .form = RawPromptForm(),
                          .route = {.effort = *request.effort},
                          .budget_tokens = budget_tokens,
                          .mode = request.mode};
  for (const Turn& turn : request.turns) question.turns.emplace_back(turn.question, turn.answer);
  Task task = Task::Answer(memory, {}, question, request.generation).value();
  EngineAnswer answer;
  while (!task.finished()) {
    Task* const tasks[] = {&task};
    const StepResult step = Step(tasks)[0];
    EXPECT_THAT(step.status, IsOk());
    answer.text += step.text;
    if (step.evidence) answer.evidence = step.evidence;
  }
  return answer;
}

std::uint64_t NumBytes(const std::vector<ByteRange>& ranges) {
  std::uint64_t sum = 0;
  for (const ByteRange& range : ranges) sum += range.end - range.begin;
  return sum;
}

std::uint64_t NumBytes(const std::vector<AnswerPassage>& passages) {
  std::uint64_t sum = 0;
  for (const AnswerPassage& passage : passages) sum += passage.range.end - passage.range.begin;
  return sum;
}

bool Within(const ByteRange& inner, const ByteRange& outer) {
  return inner.document == outer.document && outer.begin <= inner.begin && inner.end <= outer.end;
}

class RereadTest : public tome::testing::ManagerFixture {
 protected:
  void SetUp() override {
    Open();
    CreateSession("session");
  }

  // Three documents, the second shorter than a region.
  void AppendBooks() {
    for (std::size_t i = 0; i < books_.size(); ++i) {
      ASSERT_THAT(Append("session", "book" + std::to_string(i), books_[i]), IsOk());
    }
    WaitUntilRead("session");
  }
  ByteRange RangeOf(const TokenSpan& span) const {
    return {"book" + std::to_string(span.document), span.begin, span.begin + span.num_bytes};
  }

  const std::vector<std::string> books_ = {SomeText(4000, 1), "A note.", SomeText(2500, 2)};
};

TEST_F(RereadTest, AnswersAndFindsWhatTheEngineDoes) {
  AppendBooks();
  const Memory memory = ReadWithEngine(TinyServerModel(), books_, kTinyMemoryOptions);
  for (const Effort effort : {Effort::kFast, Effort::kBalanced, Effort::kThorough}) {
    SCOPED_TRACE(static_cast<int>(effort));
    QuestionRequest request = QuestionTo("session");
    request.instruction = "Be brief.";
    request.turns = {{"Who came?", "Moses."}};
    request.effort = effort;
    request.budget_tokens = 200;
    const auto heard = Ask(request);
    const QuestionResult result = heard.results[0].value();
    const EngineAnswer expected = AnswerWithEngine(memory, request, 200);

    EXPECT_EQ(result.answer, expected.text);
    EXPECT_EQ(heard.text, expected.text);
    EXPECT_EQ(result.mode, AnswerMode::kReread);
    EXPECT_EQ(result.effort, effort);
    EXPECT_EQ(result.budget_tokens, 200);
    EXPECT_EQ(result.regions_scanned, static_cast<std::uint64_t>(memory.num_regions()));
    EXPECT_EQ(result.attended_tokens, static_cast<std::uint64_t>(expected.evidence->text_tokens));
    ASSERT_EQ(result.passages.size(), expected.evidence->passages.size());
    for (std::size_t i = 0; i < result.passages.size(); ++i) {
      const Passage& passage = expected.evidence->passages[i];
      EXPECT_EQ(result.passages[i].range, RangeOf(passage.span));
      EXPECT_EQ(result.passages[i].tokens, passage.tokens);
      EXPECT_EQ(result.passages[i].score, passage.score);
    }
    // The citations are the best of the regions found, and of these they are those that were read again.
    ASSERT_FALSE(result.citations.empty());
    auto found = expected.evidence->found.begin();
    for (const RoutedRegion& citation : result.citations) {
      while (found != expected.evidence->found.end() && RangeOf(found->span) != citation.range) ++found;
      ASSERT_NE(found, expected.evidence->found.end());
      EXPECT_EQ(citation.score, found->score);
      EXPECT_EQ(citation.attention_mass, found->attention_mass);
      EXPECT_EQ(citation.stem_score, found->stem_score);
      EXPECT_EQ(citation.token_score, found->token_score);
      EXPECT_EQ(citation.log_likelihood.has_value(), effort != Effort::kFast);
      EXPECT_EQ(citation.log_likelihood.value_or(0), found->log_likelihood);
      EXPECT_TRUE(std::any_of(result.passages.begin(), result.passages.end(),
                              [&](const AnswerPassage& passage) { return Within(citation.range, passage.range); }));
    }
    EXPECT_EQ(result.citations.front().range, RangeOf(expected.evidence->found.front().span));
  }
}

TEST_F(RereadTest, AttendsToWhatTheEngineDoes) {
  AppendBooks();
  const Memory memory = ReadWithEngine(TinyServerModel(), books_, kTinyMemoryOptions);
  bool some_stored = false, some_reread = false;
  for (const char* question : {"What did the lord say?", "Who came unto Moses?", "What came to pass in the land?"}) {
    QuestionRequest request = QuestionTo("session", AnswerMode::kAttend);
    request.question = question;
    request.effort = Effort::kFast;
    request.budget_tokens = 300;
    const QuestionResult result = Ask(request).results[0].value();
    const EngineAnswer expected = AnswerWithEngine(memory, request, 300);
    EXPECT_EQ(result.answer, expected.text);
    EXPECT_EQ(result.mode, AnswerMode::kAttend);
    EXPECT_EQ(result.prompt_form, PromptFormKind::kRaw);
    EXPECT_EQ(result.stored_tokens, static_cast<std::uint64_t>(expected.evidence->stored_tokens));
    EXPECT_EQ(result.reread_tokens, static_cast<std::uint64_t>(expected.evidence->text_tokens));
    EXPECT_EQ(result.attended_tokens, result.stored_tokens + result.reread_tokens);
    EXPECT_GT(result.prompt_tokens, 0u);
    EXPECT_LT(result.prompt_tokens, 100u) << "text that is read again is counted by itself";
    std::uint64_t stored_bytes = 0, reread_bytes = 0;
    ASSERT_EQ(result.passages.size(), expected.evidence->passages.size());
    for (std::size_t i = 0; i < result.passages.size(); ++i) {
      const Passage& passage = expected.evidence->passages[i];
      EXPECT_EQ(result.passages[i].range, RangeOf(passage.span));
      EXPECT_EQ(result.passages[i].stored, passage.stored);
      (passage.stored ? stored_bytes : reread_bytes) += passage.span.num_bytes;
      (passage.stored ? some_stored : some_reread) = true;
    }
    EXPECT_EQ(result.coverage.stored_bytes, stored_bytes);
    EXPECT_EQ(result.coverage.reread_bytes, reread_bytes);
    EXPECT_EQ(result.coverage.archive_only_bytes + NumBytes(result.coverage.exact), result.coverage.searchable_bytes);
    EXPECT_FALSE(result.citations.empty());
  }
  EXPECT_TRUE(some_stored);
  EXPECT_TRUE(some_reread);
}

TEST_F(RereadTest, CustomFormIsUsedInEveryMode) {
  AppendBooks();
  for (const AnswerMode mode : {AnswerMode::kReread, AnswerMode::kAttend, AnswerMode::kWindow}) {
    QuestionRequest raw = QuestionTo("session", mode);
    QuestionRequest custom = raw;
    custom.prompt_form = PromptFormKind::kCustom;
    custom.custom_form = RawPromptForm();
    const QuestionResult expected = Ask(raw).results[0].value(), result = Ask(custom).results[0].value();
    EXPECT_EQ(result.prompt_form, PromptFormKind::kCustom);
    EXPECT_EQ(result.answer, expected.answer);
    EXPECT_EQ(result.prompt_tokens, expected.prompt_tokens);
    custom.custom_form.prompt += "!";
    EXPECT_GT(Ask(custom).results[0]->prompt_tokens, expected.prompt_tokens);
    custom.custom_form = {.prompt = "{text} {question}"};
    custom.turns = {{"Who?", "Moses."}};
    EXPECT_THAT(Ask(custom).results[0], HasReason("PROMPT_FORM"));
  }
}

TEST_F(RereadTest, PromptTokensAreCountedAlsoWhereTheTextIsWhiteSpace) {
  Open();
  const std::string texts[] = {std::string(700, ' '), std::string(700, '\n'), std::string(600, ' ') + "a word"};
  for (const std::string& text : texts) {
    const std::string id = CreateSession("blank-" + std::to_string(&text - texts));
    ASSERT_THAT(Append(id, "doc", text), IsOk());
    WaitUntilRead(id);
    for (const AnswerMode mode : {AnswerMode::kReread, AnswerMode::kAttend, AnswerMode::kWindow}) {
      const QuestionRequest request = QuestionTo(id, mode);
      const absl::StatusOr<QuestionResult> result = Ask(request).results[0];
      ASSERT_THAT(result, IsOk());
      const std::size_t question_tokens = TinyServerModel()->tokenizer()->Encode(request.question).size();
      EXPECT_GE(result->prompt_tokens, question_tokens) << static_cast<int>(mode);
      EXPECT_LE(result->prompt_tokens, question_tokens + 20) << static_cast<int>(mode);
    }
  }
}

TEST_F(RereadTest, TellsItsPhasesAndWhatTheyTook) {
  AppendBooks();
  const auto heard = Ask(QuestionTo("session"));
  std::vector<QuestionPhase> phases;
  std::uint64_t done = 0;
  for (const QuestionProgress& progress : heard.progress) {
    if (phases.empty() || phases.back() != progress.phase) phases.push_back(progress.phase);
    EXPECT_GE(progress.done, done);
    EXPECT_LE(progress.done, progress.total);
    done = progress.done;
  }
  EXPECT_THAT(phases, ::testing::ElementsAre(QuestionPhase::kQueued, QuestionPhase::kRouting, QuestionPhase::kReranking,
                                             QuestionPhase::kReadingText));
  EXPECT_EQ(heard.progress.back().done, heard.progress.back().total);
  const QuestionTimings& timings = heard.results[0]->timings;
  EXPECT_EQ(timings.reading_question, absl::ZeroDuration());
  for (const absl::Duration part : {timings.routing, timings.reranking, timings.reading_text, timings.generating}) {
    EXPECT_GT(part, absl::ZeroDuration());
  }
  EXPECT_GE(timings.time_to_first_token, timings.waiting + timings.queued + timings.routing + timings.reranking);
  const auto counts = events_.counts.WaitUntil([](const auto& counts) { return !counts.questions.empty(); });
  EXPECT_EQ(counts.questions[0].routing, timings.routing);
  EXPECT_EQ(counts.questions[0].reranking, timings.reranking);
  EXPECT_EQ(counts.questions[0].reading_text, timings.reading_text);
}

TEST_F(RereadTest, CoverageAddsUp) {
  for (const bool finish : {false, true}) {
    SCOPED_TRACE(finish);
    const std::string session = CreateSession(finish ? "sealed" : "open");
    ASSERT_THAT(Append(session, "book0", books_[0], finish), IsOk());
    WaitUntilRead(session);
    const QuestionResult result = Ask(QuestionTo(session)).results[0].value();
    const Coverage& coverage = result.coverage;
    EXPECT_EQ(coverage.durable_bytes, books_[0].size());
    EXPECT_EQ(coverage.pending_bytes > 0, !finish);
    EXPECT_EQ(coverage.searchable_bytes, coverage.ingested_bytes + coverage.pending_bytes);
    EXPECT_EQ(coverage.searchable_bytes + coverage.unread_bytes, coverage.durable_bytes);
    EXPECT_EQ(coverage.archive_only_bytes + NumBytes(coverage.exact), coverage.searchable_bytes);
    EXPECT_EQ(coverage.reread_bytes, NumBytes(result.passages));
    EXPECT_GT(coverage.archive_only_bytes, 0u);
    EXPECT_EQ(coverage.forgotten_bytes, 0u);
  }
}

TEST_F(RereadTest, SaysHowMuchIsNotReadYet) {
  ASSERT_THAT(Append("session", "book0", SomeText(60'000)), IsOk());
  const Coverage coverage = Ask(QuestionTo("session")).results[0]->coverage;
  EXPECT_EQ(coverage.durable_bytes, 60'000u);
  EXPECT_GT(coverage.unread_bytes, 0u);
  EXPECT_EQ(coverage.searchable_bytes + coverage.unread_bytes, 60'000u);
}

TEST_F(RereadTest, PendingBytesAreSearchedAndCitedLikeSealedOnes) {
  CreateSession("sealed");
  ASSERT_THAT(Append("session", "book0", books_[0], /*finish=*/false), IsOk());
  ASSERT_THAT(Append("sealed", "book0", books_[0]), IsOk());
  WaitUntilRead("session");
  WaitUntilRead("sealed");
  const QuestionResult pending = Ask(QuestionTo("session")).results[0].value();
  const QuestionResult sealed = Ask(QuestionTo("sealed")).results[0].value();
  EXPECT_GT(pending.coverage.pending_bytes, 0u);
  EXPECT_EQ(pending.answer, sealed.answer);
  EXPECT_EQ(pending.regions_scanned, sealed.regions_scanned);
  ASSERT_EQ(pending.citations.size(), sealed.citations.size());
  for (std::size_t i = 0; i < pending.citations.size(); ++i) {
    EXPECT_EQ(pending.citations[i].range, sealed.citations[i].range);
    EXPECT_EQ(pending.citations[i].score, sealed.citations[i].score);
  }
}

TEST_F(RereadTest, AShortNoteIsReadWhole) {
  ASSERT_THAT(Append("session", "note", "The answer is 42.", /*finish=*/false), IsOk());
  const QuestionResult result = Ask(QuestionTo("session")).results[0].value();
  ASSERT_EQ(result.passages.size(), 1u);
  EXPECT_EQ(result.passages[0].range, (ByteRange{"note", 0, 17}));
  EXPECT_EQ(result.coverage.reread_bytes, 17u);
  EXPECT_EQ(result.coverage.archive_only_bytes, 0u);
}

TEST_F(RereadTest, CitedTextIsTheStoredBytesOfItsRange) {
  std::map<std::string, std::string> documents;
  for (std::size_t i = 0; i < books_.size(); ++i) documents["book" + std::to_string(i)] = books_[i];
  // Characters that take several tokens, bytes that are none, and an unfinished character at the end.
  for (int i = 0; i < 200; ++i) documents["damaged"] += "\xF0\x9F\x93\x96 \xC3\xE4\xBA quagga\xFF said \xE4\xBA\xBA ";
  documents["damaged"] += "\xE4\xBA";
  for (const auto& [name, bytes] : documents) {
    ASSERT_THAT(Append("session", name, bytes, /*finish=*/true, 0, Utf8Policy::kReplace), IsOk());
  }
  WaitUntilRead("session");
  QuestionRequest request = QuestionTo("session");
  request.question = "\xF0\x9F\x93\x96 \xC3 quagga said \xE4\xBA\xBA";
  request.effort = Effort::kFast;  // which looks for words
  request.budget_tokens = 700;
  request.citations = {.include_text = true, .max_citations = 64};
  const QuestionResult result = Ask(request).results[0].value();
  for (const RoutedRegion& citation : result.citations) {
    const std::string& bytes = documents.at(citation.range.document);
    EXPECT_EQ(citation.text, bytes.substr(citation.range.begin, citation.range.end - citation.range.begin));
    // Cut at characters: read by itself it says what it says within the whole.
    EXPECT_EQ(ReplaceInvalidUtf8(bytes.substr(0, citation.range.begin)) + ReplaceInvalidUtf8(citation.text) +
                  ReplaceInvalidUtf8(bytes.substr(citation.range.end)),
              ReplaceInvalidUtf8(bytes));
  }
  EXPECT_THAT(result.citations,
              Contains(::testing::Field(&RoutedRegion::range, ::testing::Field(&ByteRange::document, "damaged"))));
  request.citations.include_text = false;
  EXPECT_THAT(Ask(request).results[0]->citations[0].text, IsEmpty());
}

TEST_F(RereadTest, CitationsAreTheBestUpToTheirLimit) {
  AppendBooks();
  QuestionRequest request = QuestionTo("session");
  request.citations.max_citations = 64;
  const std::vector<RoutedRegion> all = Ask(request).results[0]->citations;
  ASSERT_GT(all.size(), 3u);
  request.citations.max_citations = 3;
  const std::vector<RoutedRegion> best = Ask(request).results[0]->citations;
  ASSERT_EQ(best.size(), 3u);
  for (std::size_t i = 0; i < best.size(); ++i) EXPECT_EQ(best[i].range, all[i].range);
}

TEST_F(RereadTest, BudgetIsKeptAndChecked) {
  AppendBooks();
  QuestionRequest request = QuestionTo("session");
  EXPECT_EQ(Ask(request).results[0]->budget_tokens, 512);  // also half of this model's context
  for (const int budget : {64, 100, 400}) {
    request.budget_tokens = budget;
    const QuestionResult result = Ask(request).results[0].value();
    EXPECT_EQ(result.budget_tokens, budget);
    EXPECT_LE(result.attended_tokens, static_cast<std::uint64_t>(budget));
    EXPECT_GE(result.attended_tokens, 32u);
  }
  for (const int budget : {-1, 1, 63, 1025}) {
    request.budget_tokens = budget;
    const absl::Status refused = Ask(request).results[0].status();
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("64 (a region) to 1024")));
    EXPECT_THAT(refused, HasReason("ANSWER_BUDGET"));
    EXPECT_EQ(Metadata(refused, "field"), "budget_tokens");
  }
  // Within its range, but not together with the question and so long an answer.
  request.budget_tokens = 1024;
  request.generation.max_tokens = 1000;
  EXPECT_THAT(Ask(request).results[0], HasReason("QUESTION_TOO_LONG"));
}

TEST_F(RereadTest, SessionsStoredBeforeThereWereRegionsAreAnsweredToo) {
  manager_.reset();
  options_.data_folder += "-of-version-1";
  options_.default_memory_options.regions.selected = 0;
  Open();
  CreateSession("session");
  AppendBooks();
  const QuestionResult before = Ask(QuestionTo("session")).results[0].value();
  manager_.reset();
  ASSERT_THAT(
      Database::Open(options_.data_folder + "/sessions/session/session.db", Database::Mode::kOpen)
          ->Execute("ALTER TABLE session DROP COLUMN region_tokens; ALTER TABLE session DROP COLUMN region_memory; "
                    "ALTER TABLE session DROP COLUMN attention; ALTER TABLE session DROP COLUMN position_encoding; "
                    "ALTER TABLE session DROP COLUMN time_to_live; ALTER TABLE session DROP COLUMN pinned; "
                    "ALTER TABLE session DROP COLUMN last_use_time; DROP TABLE bases; DROP TABLE snapshots; "
                    "PRAGMA user_version = 1"),
      IsOk());
  Open();
  EXPECT_EQ(manager_->Get("session")->options.region_tokens, 64);
  EXPECT_EQ(manager_->Get("session")->options.regions.selected, 0);
  const QuestionResult after = Ask(QuestionTo("session")).results[0].value();
  EXPECT_EQ(after.answer, before.answer);
  EXPECT_EQ(after.citations.front().range, before.citations.front().range);
}

TEST_F(RereadTest, DamagedStoredTextIsToldWhenItIsCited) {
  AppendBooks();
  ASSERT_THAT(Database::Open(options_.data_folder + "/sessions/session/session.db", Database::Mode::kOpen)
                  ->Execute("UPDATE chunks SET crc32c = crc32c + 1"),
              IsOk());
  QuestionRequest request = QuestionTo("session");
  EXPECT_THAT(Ask(request).results[0], IsOk());
  request.citations.include_text = true;
  EXPECT_THAT(Ask(request).results[0], HasReason("STORED_DATA_DAMAGED"));
}

}  // namespace
}  // namespace tome::server
