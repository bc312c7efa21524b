// How the command shows things: numbers, tables, bars, JSON, errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "client/command/ask_summary.h"
#include "client/command/context.h"
#include "client/command/error_text.h"
#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/command/json.h"
#include "client/command/progress.h"
#include "client/command/regions.h"
#include "client/command/session_cost.h"
#include "client/command/table.h"
#include "client/errors.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/client/fake_server.h"

namespace tome::command {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(FormatTest, WritesNumbersForPeople) {
  const std::pair<std::uint64_t, const char*> bytes[] = {{0, "0 B"},
                                                         {999, "999 B"},
                                                         {1000, "1.0 KB"},
                                                         {999'949, "999.9 KB"},
                                                         {999'950, "1.0 MB"},
                                                         {4'300'000, "4.3 MB"},
                                                         {18'446'744'073'709'551'615ULL, "18.4 EB"}};
  for (const auto& [value, text] : bytes) EXPECT_EQ(FormatBytes(value), text);
  const std::pair<std::uint64_t, const char*> counts[] = {
      {0, "0"}, {999, "999"}, {1000, "1,000"}, {1'234'567, "1,234,567"}};
  for (const auto& [value, text] : counts) EXPECT_EQ(FormatCount(value), text);
  const std::pair<std::int64_t, const char*> durations[] = {
      {-5, "0.0 s"},     {840, "0.8 s"},     {9'949, "9.9 s"},     {9'950, "10 s"},       {59'499, "59 s"},
      {59'500, "1m00s"}, {185'000, "3m05s"}, {7'440'000, "2h04m"}, {442'800'000, "5d03h"}};
  for (const auto& [value, text] : durations) EXPECT_EQ(FormatDuration(milliseconds(value)), text) << value;
  EXPECT_EQ(FormatPercent(0, 0), "100%");
  EXPECT_EQ(FormatPercent(999, 1000), "99%");
  EXPECT_EQ(FormatPercent(1000, 1000), "100%");
  google::protobuf::Timestamp time;
  EXPECT_EQ(FormatTime(time), "-");
  time.set_seconds(1'700'000'000);
  EXPECT_EQ(FormatTime(time), "2023-11-14 22:13:20Z");
}

TEST(FormatTest, MakesTextOfOthersHarmless) {
  EXPECT_EQ(Printable("plain \u00e9 \u6f22"), "plain \u00e9 \u6f22");
  EXPECT_EQ(Printable("\x1b[2Jgone\x7f"), "\\x1b[2Jgone\\x7f");
  EXPECT_EQ(Printable("\u009b2J"), "\\x9b2J");
  EXPECT_EQ(Printable("a\nb\tc"), "a\\nb\\tc");
  EXPECT_EQ(Printable("a\nb\tc\r", /*keep_lines=*/true), "a\nb\tc\\x0d");
  EXPECT_EQ(Printable("bad \xff."), "bad \ufffd.");
}

TEST(FormatTest, CutsTextToALine) {
  EXPECT_EQ(Excerpt(" two\n\twords\r\n ", 9), "two words");
  EXPECT_EQ(Excerpt("two words", 8), "two w...");
  EXPECT_EQ(Excerpt("two words", 3), "...");
  EXPECT_EQ(Excerpt("", 9), "");
  EXPECT_EQ(Excerpt("\u6f22\u5b57\u6f22\u5b57", 8), "\u6f22\u5b57\u6f22\u5b57");
  EXPECT_EQ(Excerpt("\u6f22\u5b57\u6f22\u5b57", 7), "\u6f22\u5b57...");
  EXPECT_EQ(Excerpt("a\x1b[2J", 80), "a\\x1b[2J");
  EXPECT_EQ(DisplayWidth(Excerpt(std::string(100'000, 'x'), 72)), 72);
}

TEST(FormatTest, QuotesWordsForAShell) {
  EXPECT_EQ(ShellWord("books/bible.txt"), "books/bible.txt");
  EXPECT_EQ(ShellWord("my book"), "'my book'");
  EXPECT_EQ(ShellWord("it's"), "'it'\\''s'");
  EXPECT_EQ(ShellWord(""), "''");
}

TEST(FormatTest, CountsColumns) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("\u6f22\u5b57"), 4);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1);
}

TEST(TableTest, AlignsColumns) {
  Table table({{"NAME"}, {"BYTES", true}});
  table.AddRow({"\u6f22\u5b57", "1"});
  table.AddRow({"longer", "12,345"});
  table.AddRow({"evil\x1b[2J"});
  EXPECT_EQ(table.Render(),
            "NAME          BYTES\n"
            "\u6f22\u5b57              1\n"
            "longer       12,345\n"
            "evil\\x1b[2J\n");
  EXPECT_EQ(RenderFields({{"a", "1"}, {"long", "2"}}), "a     1\nlong  2\n");
}

ProgressView View(std::uint64_t done, std::uint64_t stored, std::optional<std::uint64_t> total) {
  return {.label = "reading",
          .done_bytes = done,
          .stored_bytes = stored,
          .total_bytes = total,
          .tokens_per_second = 1523.4,
          .time_left = milliseconds(192'000)};
}

TEST(ProgressTest, DrawsABarThatFitsTheTerminal) {
  EXPECT_EQ(FormatBar(View(1'000'000, 2'000'000, 4'000'000), 84),
            "reading  [#####=====..........]  25%  1.0 MB of 4.0 MB  1,523 tokens/s  3m12s left");
  EXPECT_EQ(FormatBar(View(1'000'000, 2'000'000, 4'000'000), 66),
            "reading   25%  1.0 MB of 4.0 MB  1,523 tokens/s  3m12s left");
  EXPECT_EQ(FormatBar(View(1'000'000, 2'000'000, 4'000'000), 50), "reading   25%  1.0 MB of 4.0 MB  3m12s left");
  EXPECT_EQ(FormatBar(View(1'000'000, 2'000'000, 4'000'000), 8), " 25%  ");
  EXPECT_EQ(FormatBar(View(1'000'000, 2'000'000, std::nullopt), 200),
            "reading  1.0 MB of 2.0 MB so far  1,523 tokens/s  3m12s left");
  for (int columns = 0; columns < 200; ++columns) {
    for (const std::uint64_t done : {0, 5, 10, 20}) {
      const std::string bar = FormatBar(View(done, 15, 10), columns);
      EXPECT_LT(static_cast<int>(bar.size()), std::max(columns, 1)) << bar;
    }
  }
  EXPECT_THAT(FormatBar(View(0, 0, 0), 100), HasSubstr("[####"));
  EXPECT_THAT(FormatBar(View(10, 10, 10), 100), Not(HasSubstr(".]")));
}

class ProgressDisplayTest : public ::testing::Test {
 protected:
  ProgressDisplay::Clock clock() {
    return [this] { return now_; };
  }
  std::size_t lines() {
    const std::string text = out_.str();
    return std::count(text.begin(), text.end(), '\n');
  }
  std::size_t redraws() {
    const std::string text = out_.str();
    return std::count(text.begin(), text.end(), '\r');
  }

  std::chrono::steady_clock::time_point now_{};
  std::ostringstream out_;
};

TEST_F(ProgressDisplayTest, RedrawsATerminalAtMostTenTimesASecond) {
  ProgressDisplay display(out_, [] { return 80; }, clock());
  for (int i = 0; i < 1000; ++i) {
    display.Show(View(i, 1000, 1000));
    now_ += milliseconds(1);
  }
  EXPECT_EQ(redraws(), 10);
  EXPECT_EQ(lines(), 0);
  display.Show(View(1000, 1000, 1000));
  display.Finish(/*keep=*/true);
  EXPECT_EQ(lines(), 1);
  EXPECT_THAT(out_.str(), HasSubstr("100%"));
}

TEST_F(ProgressDisplayTest, WritesFewPlainLinesElsewhere) {
  ProgressDisplay display(out_, nullptr, clock());
  for (int i = 0; i <= 1000; ++i) {
    display.Show(View(i, 1000, 1000));
    now_ += milliseconds(100);
  }
  EXPECT_EQ(lines(), 11);  // 0%, 10%, ..., 100%
  EXPECT_EQ(redraws(), 0);
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));
}

TEST_F(ProgressDisplayTest, WritesPlainLinesAtMostEveryFewSeconds) {
  ProgressDisplay display(out_, nullptr, clock());
  for (int i = 0; i <= 1000; ++i) {
    display.Show(View(i, 1000, 1000));
    now_ += milliseconds(10);
  }
  EXPECT_EQ(lines(), 4);  // at 0, 3, 6 and 9 seconds
  display.Finish(/*keep=*/true);
  EXPECT_EQ(lines(), 5);  // and how it ended
  display.Finish(/*keep=*/true);
  EXPECT_EQ(lines(), 5);
}

TEST_F(ProgressDisplayTest, KeepsNotesOnLinesOfTheirOwn) {
  ProgressDisplay display(out_, [] { return 80; }, clock());
  display.Show(View(1, 2, 4));
  display.Note("connection lost");
  EXPECT_THAT(out_.str(), HasSubstr("\r\x1b[Kconnection lost\n\r\x1b[Kreading"));
  display.Finish(/*keep=*/false);
  EXPECT_THAT(out_.str(), ::testing::EndsWith("\r\x1b[K"));
}

TEST(JsonTest, ShowsEveryFieldByItsName) {
  v1::Session session;
  session.set_name("sessions/x");
  (*session.mutable_labels())["b"] = "2";
  (*session.mutable_labels())["a"] = "1";
  session.mutable_create_time()->set_seconds(1'700'000'000);
  session.set_phase(v1::Session::PHASE_READING);
  session.set_durable_bytes(9'007'199'254'740'993ULL);
  session.add_documents()->set_sealed(true);
  const Json json = ToJson(session);
  EXPECT_EQ(json["name"], "sessions/x");
  EXPECT_EQ(json["display_name"], "");
  EXPECT_EQ(Dump(json["labels"]), R"({"a":"1","b":"2"})");
  EXPECT_EQ(json["create_time"], "2023-11-14T22:13:20Z");
  EXPECT_TRUE(json["update_time"].is_null());
  EXPECT_TRUE(json["options"].is_null());
  EXPECT_EQ(json["phase"], "reading");
  EXPECT_EQ(Dump(json["durable_bytes"]), "9007199254740993");
  EXPECT_EQ(json["documents"][0]["sealed"], true);
  EXPECT_EQ(json["documents"][0]["ingested_bytes"], 0);
}

TEST(JsonTest, ShowsDurationsInSecondsAndEnumsInLowerCase) {
  v1::AskResult result;
  result.set_finish_reason(v1::AskResult::FINISH_REASON_MAX_TOKENS);
  result.mutable_timings()->mutable_generating()->set_nanos(250'000'000);
  const Json json = ToJson(result);
  EXPECT_EQ(json["finish_reason"], "max_tokens");
  EXPECT_EQ(json["timings"]["generating_seconds"], 0.25);
  EXPECT_TRUE(json["timings"]["waiting_seconds"].is_null());
  v1::WatchResponse unknown;
  unknown.set_phase(static_cast<v1::Session::Phase>(77));
  EXPECT_FALSE(Dump(ToJson(unknown)).empty());
}

TEST(JsonTest, ShowsAnErrorWithItsDetails) {
  const absl::Status status = client::FromGrpc(client::MakeError(grpc::StatusCode::ABORTED, "no", "OFFSET_MISMATCH",
                                                                 {{"committed_offset", "7"}}, milliseconds(1500)));
  const Json json = Json::parse(Dump(ErrorToJson(status)));
  EXPECT_EQ(json["error"]["message"], "no");
  EXPECT_EQ(json["error"]["code"], "ABORTED");
  EXPECT_EQ(json["error"]["reason"], "OFFSET_MISMATCH");
  EXPECT_EQ(json["error"]["metadata"]["committed_offset"], "7");
  EXPECT_EQ(json["error"]["retry_delay_seconds"], 1.5);
  EXPECT_TRUE(json["error"]["field_violations"].is_array());
  EXPECT_EQ(Json::parse(Dump(ErrorToJson(absl::InternalError("\xff"))))["error"]["message"], "\ufffd");
}

v1::AskResult SomeResult(v1::AnswerMode mode) {
  v1::AskResult result;
  result.set_mode(mode);
  result.set_finish_reason(v1::AskResult::FINISH_REASON_MAX_TOKENS);
  result.mutable_usage()->set_prompt_tokens(45);
  result.mutable_usage()->set_generated_tokens(120);
  result.mutable_usage()->set_attended_tokens(2112);
  result.mutable_timings()->mutable_generating()->set_seconds(4);
  result.mutable_timings()->mutable_queued()->set_seconds(1);
  result.mutable_timings()->mutable_time_to_first_token()->set_seconds(2);
  result.mutable_coverage()->set_durable_bytes(5'000'000);
  result.mutable_coverage()->set_ingested_tokens(1'000'000);
  result.mutable_coverage()->set_unread_bytes(999'000);
  return result;
}

TEST(AskSummaryTest, TellsUsageTimesAndCoverageInOneLine) {
  v1::AskResult result = SomeResult(v1::ANSWER_MODE_WINDOW);
  result.mutable_coverage()->set_forgotten_bytes(3'900'000);
  v1::ByteRange& range = *result.mutable_coverage()->add_exact();
  range.set_document("bible");
  range.set_end(300);
  EXPECT_EQ(
      FormatAskSummary(result),
      "cut at --max-tokens | 45 prompt + 120 generated tokens at 30.0 tokens/s | first token after 2.0 s (queued "
      "1.0 s) | saw 2,112 of 1,000,000 tokens read (bytes bible:0-300), 3.9 MB have left the window, 999.0 KB are "
      "not read yet");
  EXPECT_THAT(FormatAskSummary({}), Not(HasSubstr("\n")));
}

TEST(AskSummaryTest, TellsWhatWasReadAgain) {
  v1::AskResult result = SomeResult(v1::ANSWER_MODE_REREAD);
  result.set_regions_scanned(15'625);
  result.set_regions_reranked(40);
  result.add_passages();
  result.add_passages();
  result.mutable_timings()->mutable_routing()->set_nanos(60'000'000);
  result.mutable_timings()->mutable_reranking()->set_nanos(500'000'000);
  result.mutable_timings()->mutable_reading_text()->set_nanos(440'000'000);
  EXPECT_EQ(
      FormatAskSummary(result),
      "cut at --max-tokens | 45 prompt + 120 generated tokens at 30.0 tokens/s | first token after 2.0 s (queued "
      "1.0 s, finding text 0.1 s, ranking 40 regions 0.5 s, reading it 0.4 s) | read 2,112 tokens again in 2 passages, "
      "found in 15,625 regions of 1,000,000 tokens, 999.0 KB are not read yet");
}

TEST(AskSummaryTest, TellsWhatWasAttendedToFromStorage) {
  v1::AskResult result = SomeResult(v1::ANSWER_MODE_ATTEND);
  result.set_regions_scanned(15'625);
  result.set_prompt_form(v1::PROMPT_FORM_QUESTION_ANSWER);
  result.mutable_usage()->set_stored_tokens(2048);
  EXPECT_THAT(FormatAskSummary(result),
              HasSubstr("attended to 2,048 stored tokens, read 0 tokens again, found in 15,625 regions"));
  result.mutable_usage()->set_reread_tokens(64);
  for (const bool stored : {true, true, false}) {
    v1::Passage& passage = *result.add_passages();
    passage.set_stored(stored);
    passage.mutable_range()->set_document("b\n");
    passage.mutable_range()->set_end(static_cast<std::uint64_t>(result.passages_size()));
  }
  EXPECT_THAT(FormatAskSummary(result), HasSubstr("45 prompt (qa form) + 120 generated"));
  EXPECT_THAT(FormatAskSummary(result), HasSubstr("attended to 2,048 stored tokens (bytes b\\n:0-1, b\\n:0-2), read 64 "
                                                  "tokens again (bytes b\\n:0-3), found in"));
}

TEST(SessionCostTest, IsFieldsAndATable) {
  v1::SessionCost cost;
  cost.mutable_options()->set_sink_tokens(64);
  cost.mutable_options()->set_window_tokens(2048);
  cost.mutable_options()->set_segment_tokens(512);
  cost.mutable_options()->set_region_tokens(64);
  cost.mutable_options()->set_region_memory("off");
  cost.set_exact_bytes(97'000'000);
  cost.set_region_memory_bytes(96'000'000);
  cost.set_max_state_bytes(193'000'000);
  cost.set_attended_tokens(3711);
  cost.set_archive_bytes_per_token(38.06);
  cost.set_text_bytes_per_token(4.1);
  cost.set_dense_bytes_per_token(23'040);
  cost.set_max_resident_bytes(4'294'967'296);
  cost.set_resident_sessions(22);
  v1::SessionCostAtLength& length = *cost.add_lengths();
  length.set_tokens(1'048'576);
  length.set_archive_bytes(40'000'000);
  length.set_memory_bytes(233'000'000);
  length.set_text_bytes(4'300'000);
  length.set_dense_bytes(24'159'191'040);
  length.set_dense_ratio(103.7);
  EXPECT_EQ(FormatSessionCost(cost),
            "memory         sink 64, window 2048, segment 512, region 64 tokens\n"
            "region memory  off\n"
            "attends to     at most 3,711 tokens while it reads\n"
            "state          at most 193.0 MB, however much is read: sink and window 97.0 MB, region memory 96.0 MB\n"
            "grows by       about 38.1 bytes of archive a token, and about 4.1 of stored English text\n"
            "instead of     23,040 bytes a token, all keys and values in bf16\n"
            "fits           22 such sessions in the 4.3 GB that the server holds\n"
            "\n"
            "   TOKENS     STATE  ARCHIVE  TOGETHER  TEXT ON DISK  ALL KEYS AND VALUES  RATIO\n"
            "1,048,576  193.0 MB  40.0 MB  233.0 MB        4.3 MB              24.2 GB   104x\n");
}

TEST(RegionsTest, AreATableOrTheirWholeText) {
  google::protobuf::RepeatedPtrField<v1::SearchRegion> regions;
  EXPECT_EQ(RenderRegions(regions, /*whole_text=*/true), "");
  v1::SearchRegion& region = *regions.Add();
  region.mutable_range()->set_document("evil\x1b[2J");
  region.mutable_range()->set_begin(1200);
  region.mutable_range()->set_end(1475);
  region.set_score(0.98765);
  region.set_text("One \x1b[2Jline.\nAnother.");
  EXPECT_EQ(RenderRegions(regions, /*whole_text=*/false),
            "#  SCORE  BYTES                  TEXT\n"
            "1  0.988  evil\\x1b[2J:1200-1475  One \\x1b[2Jline. Another.\n");
  EXPECT_EQ(RenderRegions(regions, /*whole_text=*/true),
            "[1] evil\\x1b[2J:1200-1475  score 0.988\n    One \\x1b[2Jline.\n    Another.\n\n");
}

TEST(ErrorTextTest, SaysWhatHappenedAndWhatToDo) {
  const std::string server = "127.0.0.1:7440";
  EXPECT_EQ(DescribeError(absl::UnavailableError("connection refused"), server),
            "cannot reach a server at 127.0.0.1:7440: start one with tome-server, or name another with --server "
            "(connection refused)");
  const auto describe = [&](grpc::StatusCode code, const char* reason, std::optional<milliseconds> delay) {
    return DescribeError(client::FromGrpc(client::MakeError(code, "so it is", reason, {}, delay)), server);
  };
  EXPECT_EQ(describe(grpc::StatusCode::UNAVAILABLE, "DRAINING", milliseconds(2000)),
            "the server at 127.0.0.1:7440 is not available: so it is; try again in 2.0 s");
  EXPECT_THAT(describe(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_UTF8", {}), HasSubstr("--replace-invalid-utf8"));
  EXPECT_THAT(describe(grpc::StatusCode::INVALID_ARGUMENT, "MEMORY_OPTIONS", {}), HasSubstr("--window, --segment"));
  EXPECT_THAT(describe(grpc::StatusCode::NOT_FOUND, "SESSION_NOT_FOUND", {}), HasSubstr("tome list"));
  EXPECT_EQ(DescribeError(absl::InternalError("two\nlines \x1b[2J"), server), "two\\nlines \\x1b[2J");
  EXPECT_EQ(DescribeError(absl::InternalError(""), server), "INTERNAL");
}

TEST(ErrorTextTest, SaysOfAFieldWhatTheMessageDoesNot) {
  google::rpc::Status status;
  status.set_code(grpc::StatusCode::INVALID_ARGUMENT);
  google::rpc::BadRequest request;
  for (const char* description : {"a budget of 3 bytes is...", "too many"}) {
    google::rpc::BadRequest::FieldViolation* violation = request.add_field_violations();
    violation->set_field("options");
    violation->set_description(description);
  }
  status.add_details()->PackFrom(request);
  const grpc::Status error(grpc::StatusCode::INVALID_ARGUMENT, "a budget of 3 bytes is too small",
                           status.SerializeAsString());
  EXPECT_EQ(DescribeError(client::FromGrpc(error), "localhost:7440"),
            "a budget of 3 bytes is too small; options: too many");
}

TEST(ExitCodeTest, TellsTheKindsOfErrorsApart) {
  const std::pair<absl::Status, int> cases[] = {
      {absl::OkStatus(), 0},
      {absl::InternalError(""), 1},
      {absl::DataLossError(""), 1},
      {absl::UnknownError(""), 1},
      {UsageError("wrong"), 2},
      {absl::NotFoundError(""), 3},
      {absl::UnavailableError(""), 4},
      {absl::DeadlineExceededError(""), 4},
      {absl::InvalidArgumentError(""), 5},
      {absl::FailedPreconditionError(""), 5},
      {absl::AlreadyExistsError(""), 5},
      {absl::AbortedError(""), 5},
      {absl::ResourceExhaustedError(""), 5},
  };
  for (const auto& [status, code] : cases) EXPECT_EQ(static_cast<int>(ExitCodeFor(status)), code) << status;
}

TEST(SessionNameTest, TakesTheNameAndTheIdAlone) {
  EXPECT_EQ(*SessionName("bible"), "sessions/bible");
  EXPECT_EQ(*SessionName("sessions/bible"), "sessions/bible");
  for (const char* wrong : {"", "sessions/", "a/b", "a b", "a\n", "documents/x"}) {
    EXPECT_TRUE(IsUsageError(SessionName(wrong).status())) << wrong;
  }
}

}  // namespace
}  // namespace tome::command
