// Questions through the whole server.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server_fixture.h"
#include "tests/server/tiny_server_model.h"

namespace tome::testing {
namespace {

class AskTest : public ServerFixture {
 protected:
  // The session, but for the time of its last use.
  std::string SessionButItsUse() {
    v1::Session session = GetSession(session_);
    session.clear_last_use_time();
    return session.SerializeAsString();
  }

  AskTest() {
    Start();
    session_ = CreateSession("book");
    AppendDocument(session_, "doc", text_);
    WatchToTheEnd(session_);
  }

  // Far more than the window, with something early in it that is nowhere else.
  const std::string sentence_ = "A zebra from Zanzibar paints violins.\n";
  const std::string text_ = SomeText(1000, 1) + sentence_ + SomeText(9000 - sentence_.size(), 2);
  std::string session_;
};

TEST_F(AskTest, ResultTellsUsageTimingsAndCoverage) {
  v1::AskRequest request = Question(session_, "What is it about?", 5);
  request.set_mode(v1::ANSWER_MODE_WINDOW);
  request.mutable_generation()->set_log_probabilities(true);
  grpc::ClientContext context;
  const auto stream = stub_->Ask(&context, request);
  v1::AskResponse event;
  int tokens = 0;
  while (stream->Read(&event)) tokens += event.delta().tokens_size();
  ASSERT_TRUE(stream->Finish().ok());
  ASSERT_TRUE(event.has_result());
  const v1::AskResult& result = event.result();
  EXPECT_EQ(tokens, static_cast<int>(result.usage().generated_tokens()));
  EXPECT_LE(result.usage().generated_tokens(), 5u);
  EXPECT_GT(result.usage().prompt_tokens(), 0u);
  EXPECT_GT(result.usage().attended_tokens(), 0u);
  EXPECT_NE(result.finish_reason(), v1::AskResult::FINISH_REASON_UNSPECIFIED);
  const v1::Coverage& coverage = result.coverage();
  EXPECT_EQ(coverage.durable_bytes(), 10'000u);
  std::uint64_t exact = 0;
  for (const v1::ByteRange& range : coverage.exact()) exact += range.end() - range.begin();
  EXPECT_EQ(exact + coverage.forgotten_bytes(), 10'000u);
  EXPECT_GT(coverage.forgotten_bytes(), 0u);
}

TEST_F(AskTest, ScoresATextAndKeepsNothingOfIt) {
  v1::ScoreRequest request;
  request.set_session(session_);
  request.set_text(" and then");
  v1::ScoreResponse first, again;
  grpc::ClientContext first_context, second_context, empty_context;
  ASSERT_TRUE(stub_->Score(&first_context, request, &first).ok());
  ASSERT_TRUE(stub_->Score(&second_context, request, &again).ok());
  EXPECT_EQ(first.SerializeAsString(), again.SerializeAsString());
  ASSERT_GT(first.tokens_size(), 1);
  double sum = 0;
  std::uint64_t scored = 0;
  for (const v1::TokenScore& token : first.tokens()) {
    if (!token.has_log_probability()) continue;
    EXPECT_LT(token.log_probability(), 0);
    sum += token.log_probability();
    ++scored;
  }
  EXPECT_NEAR(first.log_probability(), sum, 1e-9);
  EXPECT_EQ(first.scored_tokens(), scored);
  EXPECT_EQ(first.ingested_bytes() + first.pending_bytes(), 10'000u);
  request.clear_text();
  EXPECT_EQ(stub_->Score(&empty_context, request, &again).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(AskTest, SessionsChooseAttentionAndPositionEncoding) {
  v1::CreateSessionRequest create;
  create.set_session_id("other");
  create.mutable_session()->mutable_options()->set_attention("scca-fixed(w=16)");
  create.mutable_session()->mutable_options()->set_position_encoding("yarn(2)");
  v1::Session session;
  grpc::ClientContext context, wrong_context, unknown_context;
  const grpc::Status created = stub_->CreateSession(&context, create, &session);
  ASSERT_TRUE(created.ok()) << created.error_message();
  EXPECT_EQ(session.options().attention(), "scca-fixed(w=16)");
  EXPECT_EQ(session.options().position_encoding(), "yarn(2)");
  AppendDocument(session.name(), "doc", text_);
  WatchToTheEnd(session.name());
  v1::ScoreRequest request;
  request.set_session(session_);
  request.set_text(" and then");
  v1::ScoreResponse dense, chunked;
  grpc::ClientContext dense_context, chunked_context;
  ASSERT_TRUE(stub_->Score(&dense_context, request, &dense).ok());
  request.set_session(session.name());
  ASSERT_TRUE(stub_->Score(&chunked_context, request, &chunked).ok());
  EXPECT_NE(dense.log_probability(), chunked.log_probability());

  create.set_session_id("wrong");
  create.mutable_session()->mutable_options()->set_attention("scca-fixed");
  grpc::Status status = stub_->CreateSession(&wrong_context, create, &session);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("expected w=width"), std::string::npos) << status.error_message();
  create.mutable_session()->mutable_options()->set_attention("dense");
  create.mutable_session()->mutable_options()->set_position_encoding("alibi(2)");
  status = stub_->CreateSession(&unknown_context, create, &session);
  EXPECT_NE(status.error_message().find("expected rope, linear(factor)"), std::string::npos) << status.error_message();
}

TEST_F(AskTest, TextThatHasLeftTheWindowIsFoundAndCited) {
  const auto holds_sentence = [this](const v1::ByteRange& range) {
    return range.document() == "doc" && range.begin() < 1000 + sentence_.size() && range.end() > 1000;
  };
  v1::SearchRequest search;
  search.set_session(session_);
  search.set_query("Which zebra paints violins?");
  search.set_effort(v1::EFFORT_FAST);  // by words: the tiny model's weights are random
  search.set_include_text(true);
  grpc::ClientContext context;
  v1::SearchResponse page;
  ASSERT_TRUE(stub_->Search(&context, search, &page).ok());
  ASSERT_GT(page.regions_size(), 0);
  const v1::ByteRange& found = page.regions(0).range();
  EXPECT_TRUE(holds_sentence(found)) << found.DebugString();
  EXPECT_EQ(page.regions(0).text(), text_.substr(found.begin(), found.end() - found.begin()));
  EXPECT_FALSE(page.next_page_token().empty());

  v1::AskRequest request = Question(session_, search.query());
  request.set_effort(v1::EFFORT_FAST);
  request.mutable_citations()->set_include_text(true);
  v1::AskResult result;
  ASSERT_TRUE(Ask(request, &result).ok());
  EXPECT_EQ(result.mode(), v1::ANSWER_MODE_REREAD);
  ASSERT_GT(result.citations_size(), 0);
  EXPECT_EQ(result.citations(0).range().SerializeAsString(), found.SerializeAsString());
  EXPECT_EQ(result.citations(0).text(), page.regions(0).text());
  for (const v1::ByteRange& range : result.coverage().exact()) EXPECT_FALSE(holds_sentence(range));
  // The best passage comes last in the prompt.
  EXPECT_TRUE(holds_sentence(result.passages(result.passages_size() - 1).range()));
}

TEST_F(AskTest, AttendsToWhatIsStoredAndReadsAgainWhatHasLeft) {
  const std::string session = SessionButItsUse();
  v1::AskRequest request = Question(session_, "Which zebra paints violins?");
  request.set_mode(v1::ANSWER_MODE_ATTEND);
  request.set_effort(v1::EFFORT_FAST);
  request.set_budget_tokens(400);
  v1::AskResult result;
  ASSERT_TRUE(Ask(request, &result).ok());
  EXPECT_EQ(result.mode(), v1::ANSWER_MODE_ATTEND);
  EXPECT_EQ(result.prompt_form(), v1::PROMPT_FORM_RAW);
  std::uint64_t stored_bytes = 0, reread_bytes = 0, reread_tokens = 0, stored_tokens = 0;
  bool reread_begins = false;
  for (const v1::Passage& passage : result.passages()) {
    EXPECT_FALSE(passage.stored() && reread_begins) << "what is stored comes first";
    reread_begins = !passage.stored();
    (passage.stored() ? stored_bytes : reread_bytes) += passage.range().end() - passage.range().begin();
    (passage.stored() ? stored_tokens : reread_tokens) += passage.tokens();
  }
  ASSERT_GT(result.passages_size(), 0);
  EXPECT_EQ(result.coverage().stored_bytes(), stored_bytes);
  EXPECT_EQ(result.coverage().reread_bytes(), reread_bytes);
  EXPECT_EQ(result.usage().reread_tokens(), reread_tokens);
  EXPECT_GE(result.usage().stored_tokens(), stored_tokens);
  EXPECT_LE(result.usage().stored_tokens(), stored_tokens + 8) << "with the sink";
  EXPECT_EQ(result.usage().attended_tokens(), result.usage().stored_tokens() + reread_tokens);
  EXPECT_EQ(SessionButItsUse(), session);
}

TEST_F(AskTest, PromptFormsAreTheClientsToMake) {
  v1::AskRequest request = Question(session_, "What?");
  v1::AskResult raw, custom;
  ASSERT_TRUE(Ask(request, &raw).ok());
  request.set_prompt_form(v1::PROMPT_FORM_CUSTOM);
  request.mutable_custom_form()->set_prompt("{instruction}\n\n{text}\n\n{turns}\n\n{question}");
  request.mutable_custom_form()->set_turn("{question}\n\n{answer}");
  ASSERT_TRUE(Ask(request, &custom).ok());
  EXPECT_EQ(custom.answer(), raw.answer());
  EXPECT_EQ(custom.prompt_form(), v1::PROMPT_FORM_CUSTOM);
  request.mutable_custom_form()->set_prompt("{text}\n\n{questions}");
  grpc::Status status = Ask(request, &custom);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), ::testing::HasSubstr("{questions}"));
  request.clear_custom_form();
  request.set_prompt_form(v1::PROMPT_FORM_PROFILE);
  status = Ask(request, &custom);
  EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(status), "NO_PROFILE_FORM");
}

TEST_F(AskTest, ASessionCostsWhatWasSaidBefore) {
  v1::GetModelRequest request;
  request.mutable_session_options()->set_window_tokens(96);
  request.mutable_session_options()->set_region_memory("ring=3,pool=2,precision=int8");
  v1::Model model;
  grpc::ClientContext model_context, create_context;
  ASSERT_TRUE(model_stub_->GetModel(&model_context, request, &model).ok());
  v1::CreateSessionRequest create;
  create.set_session_id("costly");
  *create.mutable_session()->mutable_options() = request.session_options();
  v1::Session session;
  ASSERT_TRUE(stub_->CreateSession(&create_context, create, &session).ok());
  EXPECT_EQ(session.max_state_bytes(), model.session_cost().max_state_bytes());
  EXPECT_EQ(session.options().SerializeAsString(), model.session_cost().options().SerializeAsString());
  AppendDocument(session.name(), "doc", text_);
  WatchToTheEnd(session.name());
  session = GetSession(session.name());
  EXPECT_LE(session.state_bytes(), session.max_state_bytes());
  // All but a part of a region's tokens in the window.
  EXPECT_GT(session.state_bytes(), session.max_state_bytes() - model.session_cost().exact_bytes() / 2);
}

TEST_F(AskTest, SameSeedSameAnswer) {
  v1::AskRequest request = Question(session_, "What?", 24);
  request.mutable_generation()->set_temperature(1);
  request.mutable_generation()->set_seed(7);
  v1::AskResult first, second, other;
  ASSERT_TRUE(Ask(request, &first).ok());
  ASSERT_TRUE(Ask(request, &second).ok());
  request.mutable_generation()->set_seed(8);
  ASSERT_TRUE(Ask(request, &other).ok());
  EXPECT_EQ(first.answer(), second.answer());
  EXPECT_NE(first.answer(), other.answer());
}

TEST_F(AskTest, TooLongQuestionIsRefusedAndTheSessionGoesOn) {
  v1::AskResult result;
  const grpc::Status status = Ask(Question(session_, SomeText(100'000)), &result);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(status), "QUESTION_TOO_LONG");
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(status).field_violations(0).field(), "question");
  EXPECT_TRUE(Ask(Question(session_, "What?"), &result).ok());
}

TEST_F(AskTest, CancelledQuestionLeavesTheSessionAsItWas) {
  v1::AskResult before, after;
  ASSERT_TRUE(Ask(Question(session_, "What?"), &before).ok());
  const std::string session = SessionButItsUse();
  {
    grpc::ClientContext context;
    const auto stream = stub_->Ask(&context, Question(session_, "Tell me everything.", 3000));
    v1::AskResponse event;
    while (stream->Read(&event) && !event.has_delta()) {
    }
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::CANCELLED);
  }
  ASSERT_TRUE(server_->WaitForLog("method=\"Ask\" code=\"CANCELLED\""));
  EXPECT_EQ(SessionButItsUse(), session);
  ASSERT_TRUE(Ask(Question(session_, "What?"), &after).ok());
  EXPECT_EQ(after.answer(), before.answer());
}

TEST_F(AskTest, DeadlineEndsTheWork) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  v1::AskRequest request = Question(session_, "What?");
  request.set_wait_for_ingested_bytes(1 << 30);
  EXPECT_EQ(stub_->Ask(&context, request)->Finish().error_code(), grpc::DEADLINE_EXCEEDED);
  // The server may hear of the client's end before its own clock says that the time is up.
  ASSERT_TRUE(server_->WaitForLog("method=\"Ask\" code="));
  EXPECT_THAT(server_->Errors(), ::testing::AnyOf(::testing::HasSubstr("code=\"DEADLINE_EXCEEDED\""),
                                                  ::testing::HasSubstr("code=\"CANCELLED\"")));
}

TEST_F(AskTest, UnknownSessionIsNotFound) {
  v1::AskResult result;
  EXPECT_EQ(Ask(Question("sessions/nobody", "What?"), &result).error_code(), grpc::NOT_FOUND);
}

}  // namespace
}  // namespace tome::testing
