// Calls over a real channel, before a session layer that does what the test says.
#include <string>
#include <thread>
#include <vector>

#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/errors.h"
#include "tests/server/rpc/rpc_fixture.h"

namespace tome::testing {
namespace {

using ::testing::HasSubstr;
using Calls = FakeSessionManager::Calls;

constexpr char kName[] = "sessions/abcd";

v1::AppendRequest Message(std::uint64_t offset, const std::string& data) {
  v1::AppendRequest request;
  request.set_session(kName);
  request.set_document("doc");
  request.set_write_offset(offset);
  request.set_data(data);
  return request;
}

class UnaryTest : public RpcFixture {};

TEST_F(UnaryTest, NothingIsServedBeforeTheServerIsOpen) {
  EXPECT_EQ(Health("liveness"), 1);
  for (const char* service : {"", "tome.v1.SessionService", "tome.v1.ModelService"}) EXPECT_EQ(Health(service), 2);
  grpc::ClientContext get_context, append_context, ask_context, watch_context;
  v1::GetSessionRequest get;
  get.set_name(kName);
  v1::Session session;
  EXPECT_EQ(ReasonOf(stub_->GetSession(&get_context, get, &session)), "STARTING");
  auto append = stub_->Append(&append_context);
  append->Write(Message(0, "text"));
  EXPECT_EQ(ReasonOf(append->Finish()), "STARTING");
  v1::WatchRequest watch;
  watch.set_session(kName);
  EXPECT_EQ(ReasonOf(stub_->Watch(&watch_context, watch)->Finish()), "STARTING");
  v1::AskRequest ask;
  ask.set_session(kName);
  ask.set_question("?");
  EXPECT_EQ(ReasonOf(stub_->Ask(&ask_context, ask)->Finish()), "STARTING");

  Open();
  for (const char* service : {"", "tome.v1.SessionService", "tome.v1.ModelService", "liveness"}) {
    EXPECT_EQ(Health(service), 1) << service;
  }
  grpc::ClientContext again;
  EXPECT_TRUE(stub_->GetSession(&again, get, &session).ok());
  rpc_->Drain();
  EXPECT_EQ(Health(""), 2);
  EXPECT_EQ(Health("liveness"), 1);
}

TEST_F(UnaryTest, SessionsAreCreatedListedUpdatedAndDeleted) {
  Open();
  v1::Session session;
  grpc::ClientContext create_context, list_context, update_context, delete_context;
  v1::CreateSessionRequest create;
  create.set_session_id("abcd");
  EXPECT_TRUE(stub_->CreateSession(&create_context, create, &session).ok());
  EXPECT_EQ(session.name(), kName);
  EXPECT_EQ(sessions_.calls->Get().creates.at(0).session_id, "abcd");

  v1::ListSessionsRequest list;
  list.set_page_size(100'000);
  list.set_page_token("here");
  list.set_filter("pinned=true");
  list.set_order_by("name");
  v1::ListSessionsResponse page;
  EXPECT_TRUE(stub_->ListSessions(&list_context, list, &page).ok());
  EXPECT_EQ(page.sessions_size(), 2);
  EXPECT_EQ(page.next_page_token(), "more");
  EXPECT_EQ(sessions_.calls->Get().lists.at(0).page_size, 1000);
  EXPECT_EQ(sessions_.calls->Get().lists.at(0).page_token, "here");
  EXPECT_EQ(sessions_.calls->Get().lists.at(0).filter, "pinned=true");
  EXPECT_EQ(sessions_.calls->Get().lists.at(0).order_by, "name");

  v1::UpdateSessionRequest update;
  update.mutable_session()->set_name(kName);
  EXPECT_TRUE(stub_->UpdateSession(&update_context, update, &session).ok());
  EXPECT_EQ(sessions_.calls->Get().updates.at(0).session_id, "abcd");

  v1::DeleteSessionRequest remove;
  remove.set_name(kName);
  google::protobuf::Empty empty;
  EXPECT_TRUE(stub_->DeleteSession(&delete_context, remove, &empty).ok());
  EXPECT_THAT(sessions_.calls->Get().deletes, ::testing::ElementsAre("abcd"));
}

TEST_F(UnaryTest, SessionsAreSnapshotAndReadAgain) {
  Open();
  grpc::ClientContext snapshot_context, reread_context, invalid_context;
  v1::SnapshotSessionRequest request;
  request.set_name(kName);
  v1::Snapshot snapshot;
  EXPECT_TRUE(stub_->SnapshotSession(&snapshot_context, request, &snapshot).ok());
  EXPECT_EQ(snapshot.number(), 7u);
  EXPECT_EQ(snapshot.size_bytes(), 70u);
  EXPECT_THAT(sessions_.calls->Get().snapshots, ::testing::ElementsAre("abcd"));

  v1::RereadSessionRequest reread;
  reread.set_name(kName);
  v1::Session session;
  EXPECT_TRUE(stub_->RereadSession(&reread_context, reread, &session).ok());
  EXPECT_EQ(session.name(), kName);
  EXPECT_THAT(sessions_.calls->Get().rereads, ::testing::ElementsAre("abcd"));

  request.set_name("abcd");
  EXPECT_EQ(stub_->SnapshotSession(&invalid_context, request, &snapshot).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(UnaryTest, ErrorsCarryDetails) {
  Open();
  sessions_.info = server::MakeError(absl::StatusCode::kNotFound, "no such session",
                                     {.reason = "SESSION_NOT_FOUND", .metadata = {{"session", "abcd"}}});
  v1::GetSessionRequest get;
  get.set_name(kName);
  v1::Session session;
  grpc::ClientContext context, invalid_context;
  const grpc::Status status = stub_->GetSession(&context, get, &session);
  EXPECT_EQ(status.error_code(), grpc::NOT_FOUND);
  EXPECT_EQ(DetailOf<google::rpc::ResourceInfo>(status).resource_name(), kName);
  const server::CallRecord record = recorder_.First();
  EXPECT_EQ(record.method, "GetSession");
  EXPECT_EQ(record.code, absl::StatusCode::kNotFound);
  EXPECT_EQ(record.session, kName);
  EXPECT_THAT(record.peer, HasSubstr("127.0.0.1"));

  get.set_name("nonsense");
  const grpc::Status invalid = stub_->GetSession(&invalid_context, get, &session);
  EXPECT_EQ(invalid.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(invalid).field_violations(0).field(), "name");
}

TEST_F(UnaryTest, MessagesThatAreNoneAreInvalidArguments) {
  Open();
  const std::string not_utf8 = "\x0A\x02\xC3\x28";
  for (const std::string& bytes : {std::string("\xFF\xFF\xFF"), not_utf8, std::string("\x0A\x7F")}) {
    for (const char* method : {"/tome.v1.SessionService/GetSession", "/tome.v1.ModelService/Tokenize",
                               "/tome.v1.SessionService/Watch", "/tome.v1.SessionService/Ask"}) {
      const grpc::Status status = CallWithBytes(method, bytes);
      EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT) << method;
      EXPECT_EQ(ReasonOf(status), "MALFORMED_MESSAGE") << method;
    }
  }
}

TEST_F(UnaryTest, MessagesOfFiveMegabytesAreRefused) {
  Open();
  v1::TokenizeRequest request;
  request.set_text(std::string(5 << 20, 'x'));
  v1::TokenizeResponse response;
  grpc::ClientContext context, append_context, after_context;
  EXPECT_EQ(model_stub_->Tokenize(&context, request, &response).error_code(), grpc::RESOURCE_EXHAUSTED);
  auto append = stub_->Append(&append_context);
  append->Write(Message(0, std::string(5 << 20, 'x')));
  EXPECT_EQ(append->Finish().error_code(), grpc::RESOURCE_EXHAUSTED);
  request.set_text("x");
  EXPECT_TRUE(model_stub_->Tokenize(&after_context, request, &response).ok());
}

TEST_F(UnaryTest, TokensOfATextAddUpToIt) {
  Open();
  v1::TokenizeRequest request;
  request.set_text("In the beginning \xE2\x82\xAC \xF0\x9F\x98\x80");
  v1::TokenizeResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(model_stub_->Tokenize(&context, request, &response).ok());
  std::size_t bytes = 0;
  for (const v1::Token& token : response.tokens()) bytes += token.num_bytes();
  EXPECT_EQ(bytes, request.text().size());
}

TEST_F(UnaryTest, ModelIsTold) {
  Open();
  v1::Model model;
  grpc::ClientContext context;
  ASSERT_TRUE(model_stub_->GetModel(&context, v1::GetModelRequest(), &model).ok());
  EXPECT_EQ(model.server_version(), "test");
  EXPECT_EQ(model.format(), "huggingface");
  EXPECT_EQ(model.session_cost().max_state_bytes(), model.max_state_bytes());
}

TEST_F(UnaryTest, SessionCostIsThatOfTheOptionsAskedFor) {
  Open();
  v1::GetModelRequest request;
  request.mutable_session_options()->set_window_tokens(100);
  request.mutable_session_options()->set_region_memory("off");
  v1::Model model;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(model_stub_->GetModel(&context, request, &model).ok());
  }
  const v1::SessionCost& cost = model.session_cost();
  EXPECT_EQ(cost.options().window_tokens(), 100u);
  EXPECT_EQ(cost.options().sink_tokens(), model.default_options().sink_tokens());
  EXPECT_EQ(cost.options().region_memory(), "off");
  EXPECT_EQ(cost.region_memory_bytes(), 0u);
  EXPECT_EQ(cost.max_state_bytes(), cost.exact_bytes());
  EXPECT_LT(cost.max_state_bytes(), cost.max_resident_bytes());
  for (const auto& [window, regions] :
       std::initializer_list<std::pair<int, const char*>>{{100'000, "off"}, {100, "selected=512,ring=600"}}) {
    request.mutable_session_options()->set_window_tokens(window);
    request.mutable_session_options()->set_region_memory(regions);
    grpc::ClientContext context;
    const grpc::Status status = model_stub_->GetModel(&context, request, &model);
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("the model takes 1024"));
    EXPECT_EQ(ReasonOf(status), "MEMORY_OPTIONS");
  }
}

TEST_F(UnaryTest, SessionCostKeepsToABudget) {
  Open();
  v1::GetModelRequest request;
  v1::MemoryOptions& options = *request.mutable_session_options();
  options.set_region_memory("selected=2,ring=40");
  const auto ask = [&](v1::Model* model) {
    grpc::ClientContext context;
    return model_stub_->GetModel(&context, request, model);
  };
  v1::Model model;
  ASSERT_TRUE(ask(&model).ok());
  const std::uint64_t whole = model.session_cost().max_state_bytes(), exact = model.session_cost().exact_bytes();
  options.set_max_state_bytes((whole + exact) / 2);
  ASSERT_TRUE(ask(&model).ok());
  EXPECT_LE(model.session_cost().max_state_bytes(), options.max_state_bytes());
  EXPECT_GT(model.session_cost().max_state_bytes(), exact);
  EXPECT_THAT(model.session_cost().options().region_memory(), HasSubstr("selected=2,"));
  options.set_max_state_bytes(exact);
  const grpc::Status status = ask(&model);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(status), "MEMORY_OPTIONS");
  EXPECT_THAT(status.error_message(), HasSubstr(std::to_string(exact)));
}

TEST_F(UnaryTest, PortInUseIsAnError) {
  const auto second = server::RpcServer::Start({.listen = fmt::format("127.0.0.1:{}", rpc_->port())}, recorder_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(std::to_string(rpc_->port())));
}

TEST_F(UnaryTest, BadTlsFilesAreErrors) {
  const auto missing = server::RpcServer::Start(
      {.listen = "127.0.0.1:0", .tls_cert_file = "/nonexistent/cert.pem", .tls_key_file = "/nonexistent/key.pem"},
      recorder_);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kInvalidArgument);
  const auto half = server::RpcServer::Start({.listen = "127.0.0.1:0", .tls_cert_file = "cert.pem"}, recorder_);
  EXPECT_EQ(half.status().code(), absl::StatusCode::kInvalidArgument);
}

// --- Append ----------------------------------------------------------------------------------------------------------

class AppendTest : public RpcFixture {
 protected:
  AppendTest() {
    Open();
    append_ = stub_->Append(&context_);
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::AppendRequest, v1::AppendResponse>> append_;
  v1::AppendResponse reply_;
};

TEST_F(AppendTest, ReadsTheNextMessageOnlyWhenThereIsRoom) {
  append_->Write(Message(0, "one"));
  append_->Write(Message(3, "two"));
  sessions_.FinishWrite(server::WriteResult{.durable_offset = 3});
  ASSERT_TRUE(append_->Read(&reply_));
  EXPECT_EQ(reply_.durable_offset(), 3u);
  EXPECT_EQ(sessions_.calls->Get().writes.size(), 1u);
  sessions_.GiveRoom();
  sessions_.FinishWrite(server::WriteResult{.durable_offset = 6});
  ASSERT_TRUE(append_->Read(&reply_));
  EXPECT_EQ(reply_.durable_offset(), 6u);
  EXPECT_EQ(sessions_.calls->Get().writes.at(1).data, "two");
}

TEST_F(AppendTest, EndsWhenHalfClosedAndEverythingIsStored) {
  v1::AppendRequest last = Message(0, "all");
  last.set_finish(true);
  last.set_crc32c(17);
  append_->Write(last);
  append_->WritesDone();
  sessions_.GiveRoom();
  sessions_.FinishWrite(server::WriteResult{.durable_offset = 3, .sealed = true});
  ASSERT_TRUE(append_->Read(&reply_));
  EXPECT_TRUE(reply_.sealed());
  EXPECT_FALSE(append_->Read(&reply_));
  EXPECT_TRUE(append_->Finish().ok());
  const Calls calls = sessions_.calls->WaitUntil([](const Calls& c) { return c.live_subscriptions == 0; });
  EXPECT_EQ(calls.document, "doc");
  EXPECT_TRUE(calls.writes.at(0).finish);
  EXPECT_EQ(calls.writes.at(0).crc32c, 17u);
  EXPECT_EQ(recorder_.First().code, absl::StatusCode::kOk);
}

TEST_F(AppendTest, TellsHowReadingMovesOn) {
  append_->Write(Message(0, "text"));
  sessions_.FinishWrite(server::WriteResult{.durable_offset = 400});
  ASSERT_TRUE(append_->Read(&reply_));
  server::SessionProgress progress;
  progress.last_document = {.name = "another", .ingested_bytes = 999};
  sessions_.Progress(progress);
  progress.last_document = {.name = "doc", .ingested_bytes = 300};
  sessions_.Progress(progress);
  ASSERT_TRUE(append_->Read(&reply_));
  EXPECT_EQ(reply_.durable_offset(), 400u);
  EXPECT_EQ(reply_.ingested_offset(), 300u);
}

TEST_F(AppendTest, RefusedWriteEndsTheStreamWithItsError) {
  append_->Write(Message(9, "text"));
  sessions_.FinishWrite(
      server::MakeError(absl::StatusCode::kAborted, "a gap",
                        {.reason = "OFFSET_MISMATCH", .metadata = {{"session", "abcd"}, {"committed_offset", "5"}}}));
  const grpc::Status status = append_->Finish();
  EXPECT_EQ(status.error_code(), grpc::ABORTED);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status).metadata().at("committed_offset"), "5");
}

TEST_F(AppendTest, InvalidMessageEndsTheStreamAfterWhatWasTakenIsStored) {
  append_->Write(Message(0, "good"));
  sessions_.GiveRoom();
  v1::AppendRequest other = Message(4, "bad");
  other.set_document("another");
  append_->Write(other);
  sessions_.FinishWrite(server::WriteResult{.durable_offset = 4});
  ASSERT_TRUE(append_->Read(&reply_));
  EXPECT_EQ(reply_.durable_offset(), 4u);
  const grpc::Status status = append_->Finish();
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(status).field_violations(0).field(), "document");
  EXPECT_EQ(sessions_.calls->Get().writes.size(), 1u);
}

TEST_F(AppendTest, MoreThanAMebibyteInAMessageIsRefused) {
  append_->Write(Message(0, std::string((1 << 20) + 1, 'x')));
  const grpc::Status status = append_->Finish();
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(status).field_violations(0).field(), "data");
}

TEST_F(AppendTest, UnknownSessionEndsTheStream) {
  sessions_.open_error = server::MakeError(absl::StatusCode::kNotFound, "no", {.reason = "SESSION_NOT_FOUND"});
  append_->Write(Message(0, "x"));
  EXPECT_EQ(ReasonOf(append_->Finish()), "SESSION_NOT_FOUND");
}

TEST_F(AppendTest, NothingSentEndsWell) {
  append_->WritesDone();
  EXPECT_TRUE(append_->Finish().ok());
}

TEST_F(AppendTest, CancelledWhileAWriteIsUnderWay) {
  append_->Write(Message(0, "text"));
  sessions_.calls->WaitUntil([](const Calls& c) { return !c.unfinished_writes.empty(); });
  context_.TryCancel();
  EXPECT_EQ(append_->Finish().error_code(), grpc::CANCELLED);
  EXPECT_EQ(recorder_.First().code, absl::StatusCode::kCancelled);
  // The session layer calls back when the call is long gone.
  sessions_.FinishWrite(server::WriteResult{.durable_offset = 4});
  sessions_.GiveRoom();
  sessions_.Progress({.complete = true});
  EXPECT_EQ(sessions_.calls->Get().live_subscriptions, 0);
}

TEST_F(AppendTest, DrainEndsTheStreamAfterWhatWasTakenIsStored) {
  append_->Write(Message(0, "text"));
  sessions_.calls->WaitUntil([](const Calls& c) { return !c.unfinished_writes.empty(); });
  rpc_->Drain();
  sessions_.FinishWrite(server::WriteResult{.durable_offset = 4});
  ASSERT_TRUE(append_->Read(&reply_));
  EXPECT_EQ(reply_.durable_offset(), 4u);
  EXPECT_EQ(ReasonOf(append_->Finish()), "DRAINING");

  grpc::ClientContext context;
  auto late = stub_->Append(&context);
  EXPECT_EQ(ReasonOf(late->Finish()), "DRAINING");
}

TEST_F(AppendTest, DeletedSessionEndsTheStream) {
  append_->Write(Message(0, "text"));
  sessions_.FinishWrite(server::WriteResult{.durable_offset = 4});
  ASSERT_TRUE(append_->Read(&reply_));
  sessions_.Progress({.deleted = true});
  EXPECT_EQ(ReasonOf(append_->Finish()), "SESSION_DELETED");
}

// --- Watch -----------------------------------------------------------------------------------------------------------

class WatchTest : public RpcFixture {
 protected:
  void Start(std::uint64_t until = 0) {
    Open();
    v1::WatchRequest request;
    request.set_session(kName);
    request.set_until_ingested_bytes(until);
    watch_ = stub_->Watch(&context_, request);
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchResponse>> watch_;
  v1::WatchResponse report_;
};

TEST_F(WatchTest, CloseChangesComeAsOneAndTheLastIsTold) {
  Start();
  sessions_.Progress({.phase = server::SessionPhase::kReading, .ingested_bytes = 1});
  ASSERT_TRUE(watch_->Read(&report_));
  EXPECT_EQ(report_.ingested_bytes(), 1u);
  const absl::Time begin = absl::Now();
  for (std::uint64_t i = 2; i <= 1000; ++i) {
    sessions_.Progress({.phase = server::SessionPhase::kReading, .ingested_bytes = i});
  }
  sessions_.Progress({.ingested_bytes = 1001, .complete = true});
  int messages = 0;
  while (watch_->Read(&report_)) ++messages;
  EXPECT_TRUE(watch_->Finish().ok());
  EXPECT_EQ(report_.ingested_bytes(), 1001u);
  EXPECT_LE(messages, 1 + (absl::Now() - begin) / absl::Milliseconds(100));
}

TEST_F(WatchTest, EndsWhenTheBytesAskedForAreRead) {
  Start(500);
  sessions_.Progress({.phase = server::SessionPhase::kReading, .ingested_bytes = 499});
  ASSERT_TRUE(watch_->Read(&report_));
  sessions_.Progress({.phase = server::SessionPhase::kReading, .ingested_bytes = 500});
  ASSERT_TRUE(watch_->Read(&report_));
  EXPECT_FALSE(watch_->Read(&report_));
  EXPECT_TRUE(watch_->Finish().ok());
}

TEST_F(WatchTest, EndsWhenReadingFailed) {
  Start();
  sessions_.Progress({.phase = server::SessionPhase::kFailed, .problem = "why"});
  ASSERT_TRUE(watch_->Read(&report_));
  EXPECT_EQ(report_.problem(), "why");
  EXPECT_FALSE(watch_->Read(&report_));
  EXPECT_TRUE(watch_->Finish().ok());
}

TEST_F(WatchTest, EndsWhenTheSessionIsDeleted) {
  Start();
  sessions_.Progress({.deleted = true});
  EXPECT_FALSE(watch_->Read(&report_));
  EXPECT_TRUE(watch_->Finish().ok());
}

TEST_F(WatchTest, EndsWhenTheServerDrains) {
  Start();
  sessions_.calls->WaitUntil([](const Calls& c) { return c.live_subscriptions == 1; });
  rpc_->Drain();
  EXPECT_EQ(ReasonOf(watch_->Finish()), "DRAINING");
}

TEST_F(WatchTest, CancelledWhileTheNextMessageWaits) {
  Start();
  sessions_.Progress({.ingested_bytes = 1});
  ASSERT_TRUE(watch_->Read(&report_));
  sessions_.Progress({.ingested_bytes = 2});
  context_.TryCancel();
  EXPECT_EQ(watch_->Finish().error_code(), grpc::CANCELLED);
  EXPECT_EQ(recorder_.First().code, absl::StatusCode::kCancelled);
  sessions_.Progress({.ingested_bytes = 3});
  sessions_.calls->WaitUntil([](const Calls& c) { return c.live_subscriptions == 0; });
}

}  // namespace
}  // namespace tome::testing
