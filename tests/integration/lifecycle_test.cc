// Sessions and the server from their beginning to their end.
#include <csignal>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server_fixture.h"
#include "tests/server/http_get.h"
#include "tests/server/tiny_server_model.h"

namespace tome::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class LifecycleTest : public ServerFixture {};

TEST_F(LifecycleTest, CreateAppendWatchAskListUpdateDelete) {
  Start();
  v1::Session session;
  v1::CreateSessionRequest create;
  create.set_session_id("genesis");
  create.set_request_id("once");
  create.mutable_session()->set_display_name("In the beginning");
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->CreateSession(&context, create, &session).ok());
    EXPECT_EQ(session.name(), "sessions/genesis");
  }
  EXPECT_EQ(session.options().window_tokens(), 64u);

  const std::string text = SomeText(30'000);
  AppendDocument(session.name(), "doc", text);
  const v1::WatchResponse report = WatchToTheEnd(session.name());
  EXPECT_EQ(report.ingested_bytes(), text.size());
  EXPECT_EQ(report.durable_bytes(), text.size());

  v1::AskResult result;
  ASSERT_TRUE(Ask(Question(session.name(), "What?"), &result).ok());
  EXPECT_GT(result.usage().generated_tokens(), 0u);

  const std::string metrics = HttpGet(metrics_port_, "/metrics");
  EXPECT_THAT(metrics, AllOf(HasSubstr("tome_sessions 1"), HasSubstr("tome_bytes_appended_total 30000"),
                             HasSubstr("tome_rpc_requests_total{code=\"OK\",method=\"Append\"} 1"),
                             HasSubstr("tome_question_duration_seconds_count{outcome=\"ok\"} 1"),
                             HasSubstr("tome_time_to_first_token_seconds_count 1")));

  grpc::ClientContext list_context, update_context, stale_context, delete_context, get_context;
  v1::ListSessionsResponse page;
  ASSERT_TRUE(stub_->ListSessions(&list_context, v1::ListSessionsRequest(), &page).ok());
  ASSERT_EQ(page.sessions_size(), 1);
  EXPECT_EQ(page.sessions(0).display_name(), "In the beginning");

  v1::UpdateSessionRequest update;
  update.mutable_session()->set_name(session.name());
  update.mutable_session()->set_display_name("Genesis");
  update.mutable_update_mask()->add_paths("display_name");
  v1::Session updated;
  ASSERT_TRUE(stub_->UpdateSession(&update_context, update, &updated).ok());
  EXPECT_EQ(updated.display_name(), "Genesis");
  EXPECT_NE(updated.etag(), session.etag());

  v1::DeleteSessionRequest remove;
  remove.set_name(session.name());
  remove.set_etag(session.etag());
  google::protobuf::Empty empty;
  EXPECT_EQ(ReasonOf(stub_->DeleteSession(&stale_context, remove, &empty)), "ETAG_MISMATCH");
  remove.set_etag(updated.etag());
  ASSERT_TRUE(stub_->DeleteSession(&delete_context, remove, &empty).ok());
  v1::GetSessionRequest get;
  get.set_name(session.name());
  EXPECT_EQ(stub_->GetSession(&get_context, get, &session).error_code(), grpc::NOT_FOUND);
}

TEST_F(LifecycleTest, SessionExistsAndBadOptionsAreTold) {
  Start();
  CreateSession("book");
  v1::CreateSessionRequest create;
  v1::Session session;
  grpc::ClientContext exists_context, options_context;
  create.set_session_id("book");
  EXPECT_EQ(stub_->CreateSession(&exists_context, create, &session).error_code(), grpc::ALREADY_EXISTS);
  create.set_session_id("other");
  create.mutable_session()->mutable_options()->set_window_tokens(1'000'000);
  const grpc::Status status = stub_->CreateSession(&options_context, create, &session);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(status).field_violations(0).field(), "session.options");
}

TEST_F(LifecycleTest, TermFinishesRunningAnswersAndExitsWithZero) {
  Start();
  const std::string session = CreateSession("book");
  AppendDocument(session, "doc", SomeText(5000));
  const std::string open = CreateSession("open");
  WatchToTheEnd(session);
  grpc::ClientContext ask_context, append_context;
  const auto append = stub_->Append(&append_context);
  append->Write(AppendMessage(open, "doc", 0, "begun"));
  v1::AppendResponse reply;
  ASSERT_TRUE(append->Read(&reply));

  const auto ask = stub_->Ask(&ask_context, Question(session, "Tell me everything.", 2000));
  v1::AskResponse event;
  while (ask->Read(&event) && !event.has_delta()) {
  }
  server_->Signal(SIGTERM);
  ASSERT_TRUE(server_->WaitForLog("draining"));
  while (append->Read(&reply)) {
  }
  EXPECT_EQ(append->Finish().error_code(), grpc::UNAVAILABLE);
  v1::AskResult late;
  EXPECT_EQ(Ask(Question(session, "What?"), &late).error_code(), grpc::UNAVAILABLE);
  while (ask->Read(&event)) {
  }
  EXPECT_TRUE(ask->Finish().ok());
  EXPECT_TRUE(event.has_result());
  EXPECT_EQ(server_->Wait(), 0);
}

TEST_F(LifecycleTest, GraceOverCutsAnswersShort) {
  Start({"--grace-seconds=0"});
  const std::string session = CreateSession("book");
  AppendDocument(session, "doc", "Some text.");
  grpc::ClientContext context;
  v1::AskRequest request = Question(session, "What?");
  request.set_wait_for_ingested_bytes(1 << 30);
  const auto ask = stub_->Ask(&context, request);
  v1::AskResponse event;
  ASSERT_TRUE(ask->Read(&event));
  server_->Signal(SIGINT);
  while (ask->Read(&event)) {
  }
  EXPECT_EQ(ReasonOf(ask->Finish()), "DRAINING");
  EXPECT_EQ(server_->Wait(), 0);
}

TEST_F(LifecycleTest, SecondSignalEndsTheGrace) {
  Start({"--grace-seconds=3600"});
  const std::string session = CreateSession("book");
  AppendDocument(session, "doc", "Some text.");
  grpc::ClientContext context;
  v1::AskRequest request = Question(session, "What?");
  request.set_wait_for_ingested_bytes(1 << 30);
  const auto ask = stub_->Ask(&context, request);
  v1::AskResponse event;
  ASSERT_TRUE(ask->Read(&event));
  server_->Signal(SIGTERM);
  ASSERT_TRUE(server_->WaitForLog("draining"));
  server_->Signal(SIGTERM);
  while (ask->Read(&event)) {
  }
  EXPECT_EQ(ask->Finish().error_code(), grpc::UNAVAILABLE);
  EXPECT_EQ(server_->Wait(), 0);
}

TEST_F(LifecycleTest, RestartResumesAtTheDurableOffset) {
  const std::string text = SomeText(20'000);
  for (const int signal : {SIGTERM, SIGKILL}) {
    SCOPED_TRACE(signal);
    Start();
    const std::string session = CreateSession(signal == SIGTERM ? "term" : "kill");
    v1::AppendResponse last;
    ASSERT_TRUE(Append({AppendMessage(session, "doc", 0, text.substr(0, 12'345))}, &last).ok());
    EXPECT_EQ(last.durable_offset(), 12'345u);
    EXPECT_EQ(Stop(signal), signal == SIGTERM ? 0 : -SIGKILL);

    Start();
    const v1::Session restored = GetSession(session);
    ASSERT_EQ(restored.documents_size(), 1);
    EXPECT_EQ(restored.documents(0).durable_bytes(), 12'345u);
    v1::AppendRequest rest = AppendMessage(session, "doc", 12'345, text.substr(12'345));
    rest.set_finish(true);
    ASSERT_TRUE(Append({rest}).ok());
    const v1::WatchResponse report = WatchToTheEnd(session);
    EXPECT_EQ(report.ingested_bytes(), text.size());

    const std::string whole = CreateSession(signal == SIGTERM ? "term-whole" : "kill-whole");
    AppendDocument(whole, "doc", text);
    EXPECT_EQ(WatchToTheEnd(whole).ingested_tokens(), report.ingested_tokens());
    v1::AskResult answer, expected;
    ASSERT_TRUE(Ask(Question(session, "What?"), &answer).ok());
    ASSERT_TRUE(Ask(Question(whole, "What?"), &expected).ok());
    EXPECT_EQ(answer.answer(), expected.answer());
    EXPECT_EQ(Stop(SIGTERM), 0);
  }
}

}  // namespace
}  // namespace tome::testing
