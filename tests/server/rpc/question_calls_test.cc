// Ask and Search over a real channel, before a session layer that does what the test says.
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/errors.h"
#include "tests/server/rpc/rpc_fixture.h"

namespace tome::testing {
namespace {

using Calls = FakeSessionManager::Calls;

constexpr char kName[] = "sessions/abcd";

// --- Ask -------------------------------------------------------------------------------------------------------------

class AskTest : public RpcFixture {
 protected:
  std::shared_ptr<server::QuestionObserver> Start() {
    Open();
    v1::AskRequest request;
    request.set_session(kName);
    request.set_question("Who?");
    ask_ = stub_->Ask(&context_, request);
    return sessions_.AwaitQuestion();
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::AskResponse>> ask_;
  v1::AskResponse event_;
};

TEST_F(AskTest, StreamsProgressTextAndResult) {
  const auto question = Start();
  question->OnProgress({.phase = server::QuestionPhase::kReadingQuestion, .done = 1, .total = 2});
  ASSERT_TRUE(ask_->Read(&event_));
  EXPECT_EQ(event_.progress().phase(), v1::AskProgress::PHASE_READING_QUESTION);
  question->OnProgress({.phase = server::QuestionPhase::kReranking, .done = 2, .total = 9});
  ASSERT_TRUE(ask_->Read(&event_));
  EXPECT_EQ(event_.progress().phase(), v1::AskProgress::PHASE_RERANKING);
  question->OnDelta({.text = "He "});
  ASSERT_TRUE(ask_->Read(&event_));
  EXPECT_EQ(event_.delta().text(), "He ");
  question->OnDelta({.text = "is"});
  server::QuestionResult result{.answer = "He is", .finish_reason = FinishReason::kStopToken, .generated_tokens = 2};
  result.coverage.exact = {{.document = "doc", .begin = 3, .end = 9}};
  result.citations = {{.range = {.document = "doc", .begin = 5, .end = 8}, .score = 0.75, .text = "abc"}};
  question->OnDone(result);
  ASSERT_TRUE(ask_->Read(&event_));
  EXPECT_EQ(event_.delta().text(), "is");
  ASSERT_TRUE(ask_->Read(&event_));
  EXPECT_EQ(event_.result().answer(), "He is");
  EXPECT_EQ(event_.result().finish_reason(), v1::AskResult::FINISH_REASON_STOP_TOKEN);
  EXPECT_EQ(event_.result().coverage().exact(0).end(), 9u);
  EXPECT_EQ(event_.result().citations(0).range().begin(), 5u);
  EXPECT_EQ(event_.result().citations(0).text(), "abc");
  EXPECT_FALSE(ask_->Read(&event_));
  EXPECT_TRUE(ask_->Finish().ok());
  EXPECT_EQ(sessions_.calls->Get().cancels, 0);
}

TEST_F(AskTest, WhateverTheReaderDoesTheTextIsWhole) {
  const auto question = Start();
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    const std::string piece = std::to_string(i) + " ";
    question->OnDelta({.text = piece});
    expected += piece;
  }
  question->OnDone(server::QuestionResult{.answer = expected});
  std::string text;
  while (ask_->Read(&event_)) text += event_.delta().text();
  EXPECT_EQ(text, expected);
  EXPECT_TRUE(ask_->Finish().ok());
}

TEST_F(AskTest, ErrorEndsTheStream) {
  const auto question = Start();
  question->OnDone(server::MakeError(absl::StatusCode::kInvalidArgument, "too long",
                                     {.reason = "QUESTION_TOO_LONG", .metadata = {{"field", "question"}}}));
  const grpc::Status status = ask_->Finish();
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(status), "QUESTION_TOO_LONG");
}

TEST_F(AskTest, CancelledCallCancelsTheQuestion) {
  const auto question = Start();
  question->OnDelta({.text = "He"});
  ASSERT_TRUE(ask_->Read(&event_));
  context_.TryCancel();
  sessions_.calls->WaitUntil([](const Calls& c) { return c.cancels > 0; });
  question->OnDelta({.text = "is"});
  question->OnDone(absl::CancelledError("cancelled"));
  EXPECT_EQ(ask_->Finish().error_code(), grpc::CANCELLED);
  EXPECT_EQ(recorder_.First().code, absl::StatusCode::kCancelled);
}

TEST_F(AskTest, PassedDeadlineCancelsTheQuestion) {
  context_.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  const auto question = Start();
  sessions_.calls->WaitUntil([](const Calls& c) { return c.cancels > 0; });
  question->OnDone(absl::CancelledError("cancelled"));
  EXPECT_EQ(ask_->Finish().error_code(), grpc::DEADLINE_EXCEEDED);
  // On a busy machine the client's end may be heard of long before the server's own clock says that the time is up.
  EXPECT_THAT(recorder_.First().code,
              ::testing::AnyOf(absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kCancelled));
}

TEST_F(AskTest, ValidationComesBeforeTheQuestion) {
  Open();
  ask_ = stub_->Ask(&context_, v1::AskRequest());
  const grpc::Status status = ask_->Finish();
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(status).field_violations_size(), 2);
  EXPECT_TRUE(sessions_.calls->Get().questions.empty());
}

TEST_F(AskTest, EndsWithTheServer) {
  const auto question = Start();
  std::thread stop([this] { rpc_->Stop(absl::ZeroDuration()); });
  sessions_.calls->WaitUntil([](const Calls& c) { return c.cancels > 0; });
  question->OnDone(absl::CancelledError("cancelled"));
  stop.join();
  EXPECT_FALSE(ask_->Finish().ok());
}

// --- Search ----------------------------------------------------------------------------------------------------------

class SearchCallTest : public RpcFixture {
 protected:
  SearchCallTest() {
    request_.set_session(kName);
    request_.set_query("Where is the cat?");
  }
  ~SearchCallTest() override {
    if (call_.joinable()) call_.join();
  }

  // Calls on another thread.
  void Start() {
    Open();
    call_ = std::thread([this] { status_ = stub_->Search(&context_, request_, &response_); });
    sessions_.calls->WaitUntil([](const Calls& c) { return !c.searches.empty(); });
  }
  void Join() { call_.join(); }

  grpc::ClientContext context_;
  v1::SearchRequest request_;
  std::thread call_;
  grpc::Status status_;
  v1::SearchResponse response_;
};

TEST_F(SearchCallTest, RepliesWithThePage) {
  request_.set_effort(v1::EFFORT_THOROUGH);
  request_.set_page_size(3);
  request_.set_page_token("next");
  Start();
  const server::SearchRequest asked = sessions_.calls->Get().searches[0];
  EXPECT_EQ(asked.session_id, "abcd");
  EXPECT_EQ(asked.query, "Where is the cat?");
  EXPECT_EQ(asked.effort, Effort::kThorough);
  EXPECT_EQ(asked.page_size, 3);
  EXPECT_EQ(asked.page_token, "next");
  server::SearchPage page{.next_page_token = "after"};
  page.regions = {{.range = {.document = "doc", .begin = 5, .end = 8}, .score = 0.75}};
  sessions_.FinishSearch(page);
  Join();
  EXPECT_TRUE(status_.ok());
  ASSERT_EQ(response_.regions_size(), 1);
  EXPECT_EQ(response_.regions(0).range().document(), "doc");
  EXPECT_EQ(response_.next_page_token(), "after");
  EXPECT_EQ(recorder_.First().method, "Search");
}

TEST_F(SearchCallTest, ErrorsCarryDetails) {
  Start();
  sessions_.FinishSearch(server::MakeError(absl::StatusCode::kAborted, "read on",
                                           {.reason = "SEARCH_CHANGED", .metadata = {{"field", "page_token"}}}));
  Join();
  EXPECT_EQ(status_.error_code(), grpc::ABORTED);
  EXPECT_EQ(ReasonOf(status_), "SEARCH_CHANGED");
}

TEST_F(SearchCallTest, ValidationComesBeforeTheSearch) {
  Open();
  const grpc::Status status = stub_->Search(&context_, v1::SearchRequest(), &response_);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(status), "INVALID_FIELD");
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(status).field_violations_size(), 2);
  EXPECT_TRUE(sessions_.calls->Get().searches.empty());
}

TEST_F(SearchCallTest, NothingIsSearchedBeforeTheServerIsOpen) {
  EXPECT_EQ(ReasonOf(stub_->Search(&context_, request_, &response_)), "STARTING");
}

TEST_F(SearchCallTest, CancelledCallCancelsTheSearch) {
  Start();
  context_.TryCancel();
  sessions_.calls->WaitUntil([](const Calls& c) { return c.cancels > 0; });
  sessions_.FinishSearch(absl::CancelledError("cancelled"));
  Join();
  EXPECT_EQ(status_.error_code(), grpc::CANCELLED);
  EXPECT_EQ(recorder_.First().code, absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace tome::testing
