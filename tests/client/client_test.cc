#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/client/fake_server.h"

namespace tome::client {
namespace {

using ::testing::ElementsAre;

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() {
    auto client = Client::Connect(
        {.address = server_.address(),
         .sleeper = [this](std::chrono::milliseconds delay, const Cancellation*) { delays_.push_back(delay); }});
    client_ = *std::move(client);
  }

  static v1::AskRequest Question() {
    v1::AskRequest request;
    request.set_session("sessions/s");
    request.set_question("why?");
    return request;
  }

  FakeServer server_;
  std::vector<std::chrono::milliseconds> delays_;
  std::unique_ptr<Client> client_;
};

TEST_F(ClientTest, RefusesOptionsThatCannotWork) {
  EXPECT_EQ(Client::Connect({.address = ""}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Client::Connect({.tls = TlsOptions{.client_key = "key"}}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ClientTest, CreatesWithAnIdOfItsOwnForTheRequest) {
  const auto session = client_->CreateSession({});
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(session->name(), "sessions/fake-1");
  const std::string first = server_.last_create().request_id();
  EXPECT_GE(first.size(), 16);
  client_->CreateSession({}).IgnoreError();
  EXPECT_NE(server_.last_create().request_id(), first);
  v1::CreateSessionRequest request;
  request.set_request_id("mine");
  request.set_session_id("other");
  EXPECT_TRUE(client_->CreateSession(request).ok());
  EXPECT_EQ(server_.last_create().request_id(), "mine");
}

TEST_F(ClientTest, ListsAllPages) {
  for (const char* id : {"a", "b", "c", "d", "e"}) server_.AddSession(id);
  const auto sessions = client_->ListSessions();
  ASSERT_TRUE(sessions.ok()) << sessions.status();
  ASSERT_EQ(sessions->size(), 5);
  EXPECT_EQ(sessions->front().name(), "sessions/a");
  EXPECT_EQ(sessions->back().name(), "sessions/e");
}

TEST_F(ClientTest, ListsWithAFilterAndAnOrder) {
  v1::ListSessionsRequest query;
  query.set_filter("pinned=true");
  query.set_order_by("name desc");
  EXPECT_TRUE(client_->ListSessions(query).ok());
  EXPECT_EQ(server_.last_list().filter(), "pinned=true");
  EXPECT_EQ(server_.last_list().order_by(), "name desc");
}

TEST_F(ClientTest, ForksWithAnIdOfItsOwnForTheRequest) {
  server_.AddSession("s");
  server_.AddCallFault({grpc::StatusCode::UNAVAILABLE, "the reply was lost"});
  v1::ForkSessionRequest request;
  request.set_name("sessions/s");
  const auto fork = client_->ForkSession(request);
  ASSERT_TRUE(fork.ok()) << fork.status();
  EXPECT_EQ(fork->name(), "sessions/fake-fork");
  EXPECT_GE(server_.last_fork().request_id().size(), 16);
  EXPECT_EQ(delays_.size(), 1);
}

TEST_F(ClientTest, ExportsAnewAfterALostConnectionWhereThatCanBe) {
  server_.AddSession("s");
  server_.SetArchive({"a", "bc", "def"}, /*fault_after=*/2);
  v1::ExportSessionRequest request;
  request.set_name("sessions/s");
  std::string archive;
  int restarts = 0;
  const auto take = [&](std::string_view bytes) {
    archive += bytes;
    return absl::OkStatus();
  };
  const auto restart = [&] {
    ++restarts;
    archive.clear();
    return absl::OkStatus();
  };
  EXPECT_TRUE(client_->ExportSession(request, {.take = take, .restart = restart}).ok());
  EXPECT_EQ(archive, "abcdef");
  EXPECT_EQ(restarts, 1);

  archive.clear();
  server_.SetArchive({"a", "b"}, /*fault_after=*/1);
  EXPECT_TRUE(absl::IsUnavailable(client_->ExportSession(request, {.take = take, .restart = nullptr})));
  EXPECT_EQ(archive, "a");
  archive.clear();
  server_.SetArchive({"a", "b"}, /*fault_after=*/0);
  EXPECT_TRUE(client_->ExportSession(request, {.take = take, .restart = nullptr}).ok()) << "nothing had come yet";
  EXPECT_EQ(archive, "ab");

  const auto full = [](std::string_view) { return absl::ResourceExhaustedError("full"); };
  EXPECT_TRUE(absl::IsResourceExhausted(client_->ExportSession(request, {.take = full, .restart = restart})));
  request.set_name("sessions/none");
  EXPECT_TRUE(absl::IsNotFound(client_->ExportSession(request, {.take = take, .restart = restart})));
}

TEST_F(ClientTest, ImportsOnceAndTellsWhatWasSent) {
  std::string archive(3'000'000, 'x');
  std::size_t at = 0;
  CallbackSource source([&](char* buffer, std::size_t size) -> absl::StatusOr<std::size_t> {
    const std::size_t part = std::min(size, archive.size() - at);
    archive.copy(buffer, part, at);
    at += part;
    return part;
  });
  std::uint64_t told = 0;
  const auto session = client_->ImportSession("mine", source, [&](std::uint64_t sent) { told = sent; });
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(session->name(), "sessions/mine");
  EXPECT_EQ(told, archive.size());
  EXPECT_EQ(server_.imported_bytes(), archive);
  CallbackSource broken([](char*, std::size_t) -> absl::StatusOr<std::size_t> { return absl::DataLossError("torn"); });
  EXPECT_TRUE(absl::IsDataLoss(client_->ImportSession("", broken, nullptr).status()));
}

TEST_F(ClientTest, TriesAgainAfterErrorsThatMayPass) {
  server_.AddSession("s");
  server_.AddCallFault({grpc::StatusCode::UNAVAILABLE, "starting"});
  server_.AddCallFault(MakeError(grpc::StatusCode::UNAVAILABLE, "", "STARTING", {}, std::chrono::milliseconds(700)));
  EXPECT_TRUE(client_->GetSession("sessions/s").ok());
  ASSERT_EQ(delays_.size(), 2);
  EXPECT_EQ(delays_[1].count(), 700);
}

TEST_F(ClientTest, DoesNotTryAgainAfterErrorsThatStay) {
  EXPECT_EQ(client_->GetSession("sessions/none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(delays_.empty());
}

TEST_F(ClientTest, SearchesAlsoAfterErrorsThatPass) {
  server_.AddSession("s");
  server_.AddCallFault({grpc::StatusCode::UNAVAILABLE, "starting"});
  v1::SearchRequest request;
  request.set_session("sessions/s");
  request.set_query("light");
  request.set_page_size(2);
  const auto page = client_->Search(request);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->regions_size(), 2);
  EXPECT_EQ(delays_.size(), 1);
  EXPECT_EQ(server_.last_search().query(), "light");
  request.set_session("sessions/none");
  EXPECT_EQ(client_->Search(request).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ClientTest, GivesUpOnAServerThatIsNotThere) {
  server_.Stop();
  EXPECT_EQ(client_->GetModel().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(delays_.empty());
}

TEST_F(ClientTest, TakesADeletedSessionAsDeletedWhenTheFirstReplyWasLost) {
  server_.AddSession("s");
  server_.AddCallFault({grpc::StatusCode::UNAVAILABLE, "connection reset"});
  EXPECT_EQ(client_->DeleteSession("sessions/s"), absl::OkStatus());
  EXPECT_EQ(client_->DeleteSession("sessions/s").code(), absl::StatusCode::kNotFound);
}

TEST_F(ClientTest, UpdatesASession) {
  server_.AddSession("s");
  v1::UpdateSessionRequest request;
  request.mutable_session()->set_name("sessions/s");
  request.mutable_session()->set_display_name("new");
  const auto session = client_->UpdateSession(request);
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session->display_name(), "new");
}

TEST_F(ClientTest, StreamsAnAnswer) {
  server_.AddSession("s");
  std::vector<std::string> deltas;
  int progress = 0;
  const auto result =
      client_->Ask(Question(), {.on_progress = [&](const v1::AskProgress&) { ++progress; },
                                .on_delta = [&](const v1::AskDelta& delta) { deltas.push_back(delta.text()); }});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(deltas, ElementsAre("In the ", "beginning"));
  EXPECT_EQ(result->answer(), "In the beginning");
  EXPECT_EQ(progress, 1);
}

TEST_F(ClientTest, AsksAgainOnlyWhileNothingWasAnswered) {
  server_.AddSession("s");
  server_.AddCallFault({grpc::StatusCode::UNAVAILABLE, "connection reset"});
  EXPECT_TRUE(client_->Ask(Question(), {}).ok());
  EXPECT_EQ(delays_.size(), 1);
  server_.SetAnswer({"half an"}, {grpc::StatusCode::UNAVAILABLE, "connection reset"});
  EXPECT_EQ(client_->Ask(Question(), {}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(delays_.size(), 1);
}

TEST_F(ClientTest, CancelsAQuestionFromAnotherThread) {
  server_.AddSession("s");
  server_.HoldAnswer();
  Cancellation cancellation;
  std::thread cancelling([&] {
    EXPECT_TRUE(server_.WaitUntil([this] { return server_.asks_waiting_locked() > 0; }));
    cancellation.Cancel();
  });
  EXPECT_EQ(client_->Ask(Question(), {}, {.cancellation = &cancellation}).status().code(),
            absl::StatusCode::kCancelled);
  cancelling.join();
  EXPECT_TRUE(server_.WaitUntil([this] { return server_.asks_waiting_locked() == 0; }));
}

TEST_F(ClientTest, KeepsADeadlineOverTheWholeCall) {
  server_.AddSession("s");
  server_.HoldAnswer();
  const CallOptions options{.deadline = std::chrono::system_clock::now() + std::chrono::milliseconds(50)};
  EXPECT_EQ(client_->Ask(Question(), {}, options).status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClientTest, WatchesUntilTheReportsEndAndAcrossALostConnection) {
  server_.AddDocument("s", {.name = "book", .bytes = "text", .sealed = true});
  server_.AddCallFault({grpc::StatusCode::UNAVAILABLE, "connection reset"});
  server_.HoldReading(true);
  v1::WatchRequest request;
  request.set_session("sessions/s");
  std::vector<std::uint64_t> read;
  EXPECT_EQ(client_->Watch(request,
                           [&](const v1::WatchResponse& report) {
                             read.push_back(report.ingested_bytes());
                             server_.HoldReading(false);
                             return true;
                           }),
            absl::OkStatus());
  EXPECT_THAT(read, ElementsAre(0, 4));
  EXPECT_EQ(delays_.size(), 1);
}

TEST_F(ClientTest, StopsWatchingWhenTheCallerHasSeenEnough) {
  server_.AddDocument("s", {.name = "book", .bytes = "text"});
  v1::WatchRequest request;
  request.set_session("sessions/s");
  EXPECT_EQ(client_->Watch(request, [](const v1::WatchResponse&) { return false; }), absl::OkStatus());
}

TEST_F(ClientTest, Tokenizes) {
  const auto response = client_->Tokenize("abc");
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->tokens_size(), 3);
}

}  // namespace
}  // namespace tome::client
