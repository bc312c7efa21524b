#include "server/rpc/wire/validation.h"

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/rpc/wire/field_violations.h"
#include "server/rpc/wire/limits.h"
#include "server/rpc/wire/session_name.h"
#include "tests/support/status_matchers.h"

namespace tome::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kName[] = "sessions/abcd";

std::vector<std::string> Fields(const absl::Status& status) {
  EXPECT_EQ(status.code(), status.ok() ? absl::StatusCode::kOk : absl::StatusCode::kInvalidArgument);
  std::vector<std::string> fields;
  for (const FieldViolation& violation : GetFieldViolations(status)) fields.push_back(violation.field);
  EXPECT_EQ(status.ok(), fields.empty());
  return fields;
}

template <typename Request>
struct Row {
  const char* what;
  std::function<void(Request&)> change;
  std::vector<std::string> fields;  // at fault; none: the request is taken
};

template <typename Request>
void Check(const Request& base, const std::vector<Row<Request>>& rows) {
  EXPECT_THAT(Fields(Validate(base)), IsEmpty());
  for (const Row<Request>& row : rows) {
    Request request = base;
    row.change(request);
    EXPECT_EQ(Fields(Validate(request)), row.fields) << row.what;
  }
}

TEST(ValidationTest, SessionNames) {
  const std::string longest(63, 'a');
  const struct {
    std::string name;
    bool allowed;
  } rows[] = {
      {"sessions/abcd", true},
      {"sessions/a-1-", true},
      {"sessions/" + longest, true},
      {"sessions/" + longest + "a", false},
      {"sessions/abc", false},
      {"sessions/1bcd", false},
      {"sessions/-bcd", false},
      {"sessions/Abcd", false},
      {"sessions/ab_d", false},
      {"sessions/ab/d", false},
      {"sessions/../..", false},
      {"sessions/", false},
      {"session/abcd", false},
      {"abcd", false},
      {"", false},
      {" sessions/abcd", false},
      {"sessions/abcd\n", false},
      {std::string("sessions/abc\0d", 14), false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(ParseSessionName(row.name).has_value(), row.allowed) << row.name;
    v1::GetSessionRequest get;
    get.set_name(row.name);
    EXPECT_EQ(Validate(get).ok(), row.allowed) << row.name;
  }
  EXPECT_EQ(ParseSessionName(SessionName("abcd")), "abcd");
}

TEST(ValidationTest, CreateSession) {
  using R = v1::CreateSessionRequest;
  Check<R>(
      R(),
      {
          {"id", [](R& r) { r.set_session_id("book-1"); }, {}},
          {"short id", [](R& r) { r.set_session_id("abc"); }, {"session_id"}},
          {"long id", [](R& r) { r.set_session_id(std::string(64, 'a')); }, {"session_id"}},
          {"upper case id", [](R& r) { r.set_session_id("Book-1"); }, {"session_id"}},
          {"longest request id", [](R& r) { r.set_request_id(std::string(128, 'x')); }, {}},
          {"too long request id", [](R& r) { r.set_request_id(std::string(129, 'x')); }, {"request_id"}},
          {"longest name, in characters",
           [](R& r) {
             for (int i = 0; i < 128; ++i) r.mutable_session()->mutable_display_name()->append("\xC3\xA4");
           },
           {}},
          {"too long name",
           [](R& r) { r.mutable_session()->set_display_name(std::string(129, 'n')); },
           {"session.display_name"}},
          {"labels", [](R& r) { (*r.mutable_session()->mutable_labels())["a.b_c/d-1"] = std::string(256, 'v'); }, {}},
          {"empty label key", [](R& r) { (*r.mutable_session()->mutable_labels())[""] = "v"; }, {"session.labels"}},
          {"upper case label key",
           [](R& r) { (*r.mutable_session()->mutable_labels())["A"] = "v"; },
           {"session.labels"}},
          {"long label key",
           [](R& r) { (*r.mutable_session()->mutable_labels())[std::string(64, 'k')] = "v"; },
           {"session.labels"}},
          {"long label value",
           [](R& r) { (*r.mutable_session()->mutable_labels())["k"] = std::string(257, 'v'); },
           {"session.labels"}},
          {"33 labels",
           [](R& r) {
             for (int i = 0; i < 33; ++i) (*r.mutable_session()->mutable_labels())["k" + std::to_string(i)] = "";
           },
           {"session.labels"}},
          {"options", [](R& r) { r.mutable_session()->mutable_options()->set_window_tokens(1024); }, {}},
          {"options beyond int",
           [](R& r) { r.mutable_session()->mutable_options()->set_window_tokens(0x80000000u); },
           {"session.options.window_tokens"}},
          {"several",
           [](R& r) {
             r.set_session_id("x");
             r.set_request_id(std::string(129, 'x'));
           },
           {"session_id", "request_id"}},
          {"ignored fields", [](R& r) { r.mutable_session()->set_name("nonsense"); }, {}},
      });
}

TEST(ValidationTest, ListSessions) {
  using R = v1::ListSessionsRequest;
  Check<R>(R(), {
                    {"negative page size", [](R& r) { r.set_page_size(-1); }, {"page_size"}},
                    {"huge page size", [](R& r) { r.set_page_size(std::numeric_limits<std::int32_t>::max()); }, {}},
                    {"long token", [](R& r) { r.set_page_token(std::string(2049, 't')); }, {"page_token"}},
                });
}

TEST(ValidationTest, ForkSession) {
  using R = v1::ForkSessionRequest;
  R base;
  base.set_name(kName);
  Check<R>(base, {
                     {"no name", [](R& r) { r.clear_name(); }, {"name"}},
                     {"id", [](R& r) { r.set_session_id("fork-1"); }, {}},
                     {"bad id", [](R& r) { r.set_session_id("../x"); }, {"session_id"}},
                     {"long request", [](R& r) { r.set_request_id(std::string(129, 'r')); }, {"request_id"}},
                     {"long name", [](R& r) { r.set_display_name(std::string(129, 'n')); }, {"display_name"}},
                 });
}

TEST(ValidationTest, UpdateSession) {
  using R = v1::UpdateSessionRequest;
  R base;
  base.mutable_session()->set_name(kName);
  Check<R>(base,
           {
               {"no name", [](R& r) { r.mutable_session()->clear_name(); }, {"session.name"}},
               {"known paths",
                [](R& r) {
                  r.mutable_update_mask()->add_paths("display_name");
                  r.mutable_update_mask()->add_paths("labels");
                  r.mutable_update_mask()->add_paths("time_to_live");
                  r.mutable_update_mask()->add_paths("pinned");
                },
                {}},
               {"shortest time", [](R& r) { r.mutable_session()->mutable_time_to_live()->set_seconds(1); }, {}},
               {"longest time",
                [](R& r) { r.mutable_session()->mutable_time_to_live()->set_seconds(100ll * 366 * 86400); },
                {}},
               {"no time", [](R& r) { r.mutable_session()->mutable_time_to_live(); }, {"session.time_to_live"}},
               {"less than a second",
                [](R& r) { r.mutable_session()->mutable_time_to_live()->set_nanos(999'999'999); },
                {"session.time_to_live"}},
               {"longer time",
                [](R& r) { r.mutable_session()->mutable_time_to_live()->set_seconds(100ll * 366 * 86400 + 1); },
                {"session.time_to_live"}},
               {"wrong nanoseconds",
                [](R& r) {
                  r.mutable_session()->mutable_time_to_live()->set_seconds(5);
                  r.mutable_session()->mutable_time_to_live()->set_nanos(-1);
                },
                {"session.time_to_live"}},
               {"unknown path", [](R& r) { r.mutable_update_mask()->add_paths("options"); }, {"update_mask"}},
               {"star", [](R& r) { r.mutable_update_mask()->add_paths("*"); }, {"update_mask"}},
               {"long etag", [](R& r) { r.mutable_session()->set_etag(std::string(129, 'e')); }, {"session.etag"}},
               {"long name",
                [](R& r) { r.mutable_session()->set_display_name(std::string(129, 'e')); },
                {"session.display_name"}},
           });
}

TEST(ValidationTest, DeleteAndWatch) {
  v1::DeleteSessionRequest remove;
  EXPECT_THAT(Fields(Validate(remove)), ElementsAre("name"));
  remove.set_name(kName);
  EXPECT_TRUE(Validate(remove).ok());
  v1::WatchRequest watch;
  EXPECT_THAT(Fields(Validate(watch)), ElementsAre("session"));
  watch.set_session(kName);
  EXPECT_TRUE(Validate(watch).ok());
}

TEST(ValidationTest, Ask) {
  using R = v1::AskRequest;
  R base;
  base.set_session(kName);
  base.set_question("Why?");
  const double nan = std::nan("");
  const double infinity = std::numeric_limits<double>::infinity();
  Check<R>(
      base,
      {
          {"no session", [](R& r) { r.clear_session(); }, {"session"}},
          {"no question", [](R& r) { r.clear_question(); }, {"question"}},
          {"unknown form", [](R& r) { r.set_prompt_form(static_cast<v1::PromptForm>(17)); }, {"prompt_form"}},
          {"a form that is not asked for", [](R& r) { r.mutable_custom_form(); }, {"custom_form"}},
          {"no custom form", [](R& r) { r.set_prompt_form(v1::PROMPT_FORM_CUSTOM); }, {"custom_form"}},
          {"custom form without marks",
           [](R& r) {
             r.set_prompt_form(v1::PROMPT_FORM_CUSTOM);
             r.mutable_custom_form()->set_prompt("What?");
           },
           {"custom_form"}},
          {"custom form",
           [](R& r) {
             r.set_prompt_form(v1::PROMPT_FORM_CUSTOM);
             r.mutable_custom_form()->set_prompt("{text}\n\n{question}");
           },
           {}},
          {"unknown mode", [](R& r) { r.set_mode(static_cast<v1::AnswerMode>(17)); }, {"mode"}},
          {"unknown effort", [](R& r) { r.set_effort(static_cast<v1::Effort>(-1)); }, {"effort"}},
          {"known ones",
           [](R& r) {
             r.set_mode(v1::ANSWER_MODE_WINDOW);
             r.set_effort(v1::EFFORT_THOROUGH);
           },
           {}},
          {"budget", [](R& r) { r.set_budget_tokens(0x80000000u); }, {"budget_tokens"}},
          {"64 citations", [](R& r) { r.mutable_citations()->set_max_citations(64); }, {}},
          {"65 citations", [](R& r) { r.mutable_citations()->set_max_citations(65); }, {"citations.max_citations"}},
          {"empty turn", [](R& r) { r.add_turns(); }, {"turns[0].question"}},
          {"max_tokens", [](R& r) { r.mutable_generation()->set_max_tokens(0x80000000u); }, {"generation.max_tokens"}},
          {"top_k", [](R& r) { r.mutable_generation()->set_top_k(0xFFFFFFFFu); }, {"generation.top_k"}},
          {"hottest", [](R& r) { r.mutable_generation()->set_temperature(10); }, {}},
          {"too hot", [](R& r) { r.mutable_generation()->set_temperature(10.01); }, {"generation.temperature"}},
          {"cold", [](R& r) { r.mutable_generation()->set_temperature(-0.1); }, {"generation.temperature"}},
          {"NaN", [nan](R& r) { r.mutable_generation()->set_temperature(nan); }, {"generation.temperature"}},
          {"infinite",
           [infinity](R& r) { r.mutable_generation()->set_temperature(infinity); },
           {"generation.temperature"}},
          {"top_p", [](R& r) { r.mutable_generation()->set_top_p(1.1); }, {"generation.top_p"}},
          {"top_p NaN", [nan](R& r) { r.mutable_generation()->set_top_p(nan); }, {"generation.top_p"}},
          {"min_p", [](R& r) { r.mutable_generation()->set_min_p(-1); }, {"generation.min_p"}},
          {"penalty",
           [](R& r) { r.mutable_generation()->set_repetition_penalty(11); },
           {"generation.repetition_penalty"}},
          {"16 stop texts",
           [](R& r) {
             for (int i = 0; i < 16; ++i) r.mutable_generation()->add_stop("x");
           },
           {}},
          {"17 stop texts",
           [](R& r) {
             for (int i = 0; i < 17; ++i) r.mutable_generation()->add_stop("x");
           },
           {"generation.stop"}},
          {"empty stop text",
           [](R& r) {
             r.mutable_generation()->add_stop("x");
             r.mutable_generation()->add_stop("");
           },
           {"generation.stop[1]"}},
          {"long stop text",
           [](R& r) { r.mutable_generation()->add_stop(std::string(257, 's')); },
           {"generation.stop[0]"}},
      });
}

TEST(ValidationTest, Search) {
  using R = v1::SearchRequest;
  R base;
  base.set_session(kName);
  base.set_query("Why?");
  Check<R>(base, {
                     {"no session", [](R& r) { r.clear_session(); }, {"session"}},
                     {"no query", [](R& r) { r.clear_query(); }, {"query"}},
                     {"unknown effort", [](R& r) { r.set_effort(static_cast<v1::Effort>(17)); }, {"effort"}},
                     {"many", [](R& r) { r.set_page_size(1'000'000); }, {}},
                     {"negative page", [](R& r) { r.set_page_size(-1); }, {"page_size"}},
                     {"long token", [](R& r) { r.set_page_token(std::string(2049, 't')); }, {"page_token"}},
                     {"all at once",
                      [](R& r) {
                        r.Clear();
                        r.set_page_size(-1);
                      },
                      {"session", "query", "page_size"}},
                 });
}

TEST(ValidationTest, GetModel) {
  using R = v1::GetModelRequest;
  Check<R>(R(), {
                    {"options", [](R& r) { r.mutable_session_options()->set_window_tokens(9); }, {}},
                    {"sink",
                     [](R& r) { r.mutable_session_options()->set_sink_tokens(0x80000000u); },
                     {"session_options.sink_tokens"}},
                    {"region memory",
                     [](R& r) { r.mutable_session_options()->set_region_memory("ring=many"); },
                     {"session_options.region_memory"}},
                });
}

TEST(ValidationTest, Tokenize) {
  v1::TokenizeRequest request;
  EXPECT_TRUE(Validate(request).ok());
  request.set_text(std::string(kMaxTokenizeBytes, 'x'));
  EXPECT_TRUE(Validate(request).ok());
  request.mutable_text()->push_back('x');
  EXPECT_THAT(Fields(Validate(request)), ElementsAre("text"));
}

v1::AppendRequest FirstAppend() {
  v1::AppendRequest request;
  request.set_session(kName);
  request.set_document("genesis.txt");
  return request;
}

TEST(ValidationTest, DocumentNames) {
  const struct {
    std::string name;
    bool allowed;
  } rows[] = {
      {"genesis.txt", true},
      {"with space", true},
      {"\xE6\x9C\xAC", true},
      {std::string(255, 'd'), true},
      {"", false},
      {std::string(256, 'd'), false},
      {"a/b", false},
      {"tab\t", false},
      {"line\n", false},
      {std::string("nul\0", 4), false},
      {"del\x7F", false},
      {"c1 \xC2\x85", false},
  };
  for (const auto& row : rows) {
    v1::AppendRequest request = FirstAppend();
    request.set_document(row.name);
    EXPECT_EQ(ValidateFirst(request).ok(), row.allowed) << row.name;
  }
}

TEST(ValidationTest, FirstAppendNamesSessionAndDocument) {
  EXPECT_THAT(Fields(ValidateFirst(v1::AppendRequest())), UnorderedElementsAre("session", "document"));
  EXPECT_TRUE(ValidateFirst(FirstAppend()).ok());
}

TEST(ValidationTest, AppendDataAndOffset) {
  v1::AppendRequest request = FirstAppend();
  request.set_data(std::string(kMaxAppendBytes, 'x'));
  EXPECT_TRUE(ValidateFirst(request).ok());
  EXPECT_TRUE(ValidateNext(request, FirstAppend()).ok());
  request.mutable_data()->push_back('x');
  EXPECT_THAT(Fields(ValidateFirst(request)), ElementsAre("data"));
  EXPECT_THAT(Fields(ValidateNext(request, FirstAppend())), ElementsAre("data"));
  request.clear_data();
  request.set_write_offset(std::numeric_limits<std::uint64_t>::max());
  EXPECT_THAT(Fields(ValidateFirst(request)), ElementsAre("write_offset"));
}

TEST(ValidationTest, LaterAppendsRepeatOrLeaveOut) {
  const v1::AppendRequest first = FirstAppend();
  EXPECT_TRUE(ValidateNext(v1::AppendRequest(), first).ok());
  EXPECT_TRUE(ValidateNext(first, first).ok());
  v1::AppendRequest other = first;
  other.set_session("sessions/other");
  other.set_document("other");
  other.set_invalid_utf8(v1::INVALID_UTF8_POLICY_REPLACE);
  EXPECT_THAT(Fields(ValidateNext(other, first)), ElementsAre("session", "document", "invalid_utf8"));
}

TEST(ValidationTest, UnknownUtf8Policy) {
  v1::AppendRequest request = FirstAppend();
  request.set_invalid_utf8(static_cast<v1::InvalidUtf8Policy>(9));
  EXPECT_THAT(Fields(ValidateFirst(request)), ElementsAre("invalid_utf8"));
}

}  // namespace
}  // namespace tome::server
