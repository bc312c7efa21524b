// SIGTERM, whatever clients do at that moment: the server ends with exit code 0 and does not wait for them. A server
// that hangs fails the test in ServerProcess::Wait.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server_fixture.h"
#include "tests/server/tiny_server_model.h"
#include "tests/support/engine_models.h"

namespace tome::testing {
namespace {

using ::testing::HasSubstr;

constexpr char kBook[] = "sessions/book";
// More than a connection and the library hold for a client that does not read.
constexpr std::size_t kBookBytes = std::size_t{6} << 20;
// So that nothing ends only because the grace is over.
const std::string kLongGrace = "--grace-seconds=3600";

// A call that is left as it is until the client goes.
template <typename Stream>
struct Call {
  grpc::ClientContext context;
  std::unique_ptr<Stream> stream;
  v1::Session session;  // the response of an import
};

v1::ImportSessionRequest ImportMessage(const std::string& data, const std::string& id = "") {
  v1::ImportSessionRequest request;
  request.set_session_id(id);
  request.set_data(data);
  return request;
}

class StopTest : public ServerFixture {
 protected:
  using ExportStream = grpc::ClientReader<v1::ExportSessionResponse>;
  using ImportStream = grpc::ClientWriter<v1::ImportSessionRequest>;
  using AppendStream = grpc::ClientReaderWriter<v1::AppendRequest, v1::AppendResponse>;

  ~StopTest() override {
    for (const int socket : sockets_) close(socket);
  }

  // A session that is being read for as long as the test takes.
  void MakeBook() {
    CreateSession("book");
    AppendDocument(kBook, "doc", SomeText(kBookBytes), std::size_t{1} << 20);
  }

  v1::ExportSessionRequest ExportRequest() const {
    v1::ExportSessionRequest request;
    request.set_name(kBook);
    request.set_without_snapshot(true);
    return request;
  }

  // All of the bundle.
  std::string ExportWhole() {
    grpc::ClientContext context;
    const auto stream = stub_->ExportSession(&context, ExportRequest());
    std::string bundle;
    v1::ExportSessionResponse response;
    while (stream->Read(&response)) bundle += response.data();
    EXPECT_TRUE(stream->Finish().ok());
    return bundle;
  }

  template <typename Stream>
  std::shared_ptr<Call<Stream>> NewCall() {
    auto call = std::make_shared<Call<Stream>>();
    calls_.push_back(call);
    return call;
  }

  // The server has heard of all calls that were made before.
  void Barrier() { GetSession(kBook); }

  // --- What clients do ---

  void ExportWithoutReading() {
    const auto call = NewCall<ExportStream>();
    call->stream = stub_->ExportSession(&call->context, ExportRequest());
    call->stream->WaitForInitialMetadata();
  }
  void ExportReadingOneMessage() {
    const auto call = NewCall<ExportStream>();
    call->stream = stub_->ExportSession(&call->context, ExportRequest());
    v1::ExportSessionResponse response;
    ASSERT_TRUE(call->stream->Read(&response));
  }
  // Reads a message, and the next one when the server already stops.
  void ExportReadingSlowly() {
    const auto call = NewCall<ExportStream>();
    call->stream = stub_->ExportSession(&call->context, ExportRequest());
    v1::ExportSessionResponse response;
    ASSERT_TRUE(call->stream->Read(&response));
    readers_.emplace_back([this, call] {
      server_->WaitForLog("draining");
      v1::ExportSessionResponse response;
      while (call->stream->Read(&response)) {
        std::this_thread::sleep_for(std::chrono::milliseconds(300));  // slow; nothing waits for it
      }
    });
  }
  void ImportSendingNothing() {
    const auto call = NewCall<ImportStream>();
    call->stream = stub_->ImportSession(&call->context, &call->session);
  }
  void ImportSendingHalf() {
    const auto call = NewCall<ImportStream>();
    call->stream = stub_->ImportSession(&call->context, &call->session);
    ASSERT_TRUE(call->stream->Write(ImportMessage(bundle_.substr(0, 1 << 20), "half")));
    ASSERT_TRUE(call->stream->Write(ImportMessage(bundle_.substr(1 << 20, 1 << 20))));
  }
  void AppendSendingNothing() {
    const auto call = NewCall<AppendStream>();
    call->stream = stub_->Append(&call->context);
  }
  // Replies go unread, although every message has one.
  void AppendWithoutReading() {
    const auto call = NewCall<AppendStream>();
    call->stream = stub_->Append(&call->context);
    for (int i = 0; i < 2000; ++i) ASSERT_TRUE(call->stream->Write(AppendMessage("sessions/open", "doc", i, "x")));
  }
  void WatchWithoutReading() {
    const auto call = NewCall<grpc::ClientReader<v1::WatchResponse>>();
    v1::WatchRequest request;
    request.set_session(kBook);
    call->stream = stub_->Watch(&call->context, request);
    call->stream->WaitForInitialMetadata();
  }
  void AskWithoutReading() {
    const auto call = NewCall<grpc::ClientReader<v1::AskResponse>>();
    v1::AskRequest request = Question(kBook, "What?");
    request.set_wait_for_ingested_bytes(1 << 30);
    call->stream = stub_->Ask(&call->context, request);
    call->stream->WaitForInitialMetadata();
  }
  void SearchWaiting() {
    v1::SearchRequest request;
    request.set_session(kBook);
    request.set_query("What?");
    request.set_wait_for_ingested_bytes(1 << 30);
    readers_.emplace_back([this, request] {
      grpc::ClientContext context;
      v1::SearchResponse response;
      EXPECT_FALSE(stub_->Search(&context, request, &response).ok());
    });
  }
  void ScoreWaiting() {
    v1::ScoreRequest request;
    request.set_session(kBook);
    request.set_text("What?");
    request.set_wait_for_ingested_bytes(1 << 30);
    readers_.emplace_back([this, request] {
      grpc::ClientContext context;
      v1::ScoreResponse response;
      EXPECT_FALSE(stub_->Score(&context, request, &response).ok());
    });
  }
  // A connection on which nothing is ever said.
  void ConnectOnly() {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockets_.push_back(socket);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }

  // Ends the server while `clients` do what they do.
  void StopWhile(const std::vector<std::function<void()>>& clients, const std::string& grace) {
    Start({grace});
    MakeBook();
    CreateSession("open");
    bundle_ = ExportWhole();
    for (const auto& client : clients) client();
    Barrier();
    EXPECT_EQ(Stop(SIGTERM), 0);
    for (std::thread& reader : readers_) reader.join();
    readers_.clear();
    calls_.clear();
    EXPECT_THAT(server_->Errors(), HasSubstr("stopped"));
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path() / "data" / "sessions")) {
      EXPECT_THAT(entry.path().filename().string(), ::testing::AnyOf("book", "open")) << "nothing is left of an import";
    }
  }

  std::string bundle_;
  std::vector<std::shared_ptr<void>> calls_;
  std::vector<std::thread> readers_;
  std::vector<int> sockets_;
};

TEST_F(StopTest, ExportThatIsNotRead) {
  StopWhile({[this] { ExportWithoutReading(); }}, kLongGrace);
}

TEST_F(StopTest, ExportThatIsReadOnceOrSlowly) {
  StopWhile({[this] { ExportReadingOneMessage(); }, [this] { ExportReadingSlowly(); }}, kLongGrace);
}

TEST_F(StopTest, ImportThatSendsNothing) {
  StopWhile({[this] { ImportSendingNothing(); }}, kLongGrace);
}

TEST_F(StopTest, ImportThatStopsInTheMiddle) {
  StopWhile({[this] { ImportSendingHalf(); }}, kLongGrace);
}

TEST_F(StopTest, AppendAndWatchThatAreNotReadOrSendNothing) {
  StopWhile({[this] { AppendSendingNothing(); }, [this] { AppendWithoutReading(); }, [this] { WatchWithoutReading(); },
             [this] { ConnectOnly(); }},
            kLongGrace);
}

TEST_F(StopTest, QuestionsThatWaitForTextEndWithTheGrace) {
  StopWhile({[this] { AskWithoutReading(); }, [this] { SearchWaiting(); }, [this] { ScoreWaiting(); }},
            "--grace-seconds=1");
}

TEST_F(StopTest, AllAtOnceWithoutGrace) {
  StopWhile(
      {[this] { ExportWithoutReading(); }, [this] { ExportReadingOneMessage(); }, [this] { ExportReadingSlowly(); },
       [this] { ImportSendingNothing(); }, [this] { ImportSendingHalf(); }, [this] { AppendSendingNothing(); },
       [this] { AppendWithoutReading(); }, [this] { WatchWithoutReading(); }, [this] { AskWithoutReading(); },
       [this] { SearchWaiting(); }, [this] { ScoreWaiting(); }, [this] { ConnectOnly(); }},
      "--grace-seconds=0");
}

// Calls that come while the server stops are answered, and keep it no longer.
TEST_F(StopTest, ClientsThatCallAgainAndAgain) {
  Start({kLongGrace});
  CreateSession("book");
  for (int i = 0; i < 4; ++i) {
    readers_.emplace_back([this, i] {
      v1::ForkSessionRequest fork;
      fork.set_name(kBook);
      for (int n = 0;; ++n) {
        grpc::ClientContext context, ask_context;
        v1::Session session;
        fork.set_session_id("fork-" + std::to_string(i) + "-" + std::to_string(n));
        const grpc::Status status = stub_->ForkSession(&context, fork, &session);
        // Those that are under way at the very end are cancelled by gRPC.
        EXPECT_THAT(status.error_code(), ::testing::AnyOf(grpc::OK, grpc::UNAVAILABLE, grpc::CANCELLED))
            << status.error_message();
        const auto ask = stub_->Ask(&ask_context, Question(kBook, "What?"));
        ask->Finish();
        if (!status.ok() && ReasonOf(status).empty()) return;  // the connection is gone
      }
    });
  }
  Barrier();
  EXPECT_EQ(Stop(SIGTERM), 0);
  for (std::thread& reader : readers_) reader.join();
}

TEST_F(StopTest, ExportGoesOnAfterARestart) {
  Start({kLongGrace});
  MakeBook();
  const std::string whole = ExportWhole();
  std::string bundle, name;
  {
    grpc::ClientContext context;
    const auto stream = stub_->ExportSession(&context, ExportRequest());
    v1::ExportSessionResponse response;
    ASSERT_TRUE(stream->Read(&response));
    name = response.bundle();
    bundle = response.data();
    server_->Signal(SIGTERM);
    ASSERT_TRUE(server_->WaitForLog("draining"));
    while (stream->Read(&response)) bundle += response.data();
    EXPECT_EQ(ReasonOf(stream->Finish()), "DRAINING");
  }
  EXPECT_EQ(server_->Wait(), 0);
  EXPECT_LT(bundle.size(), whole.size());

  Start();
  v1::ExportSessionRequest request = ExportRequest();
  request.set_bundle(name);
  request.set_offset(bundle.size());
  grpc::ClientContext context;
  const auto stream = stub_->ExportSession(&context, request);
  v1::ExportSessionResponse response;
  while (stream->Read(&response)) bundle += response.data();
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(bundle, whole);
}

// --- While it starts ---

// Every file that is read at the start may be slow; a pipe is, for ever.
TEST_F(StopTest, SignalWhileTheServerStarts) {
  const std::string pipe = folder_.File("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const int signal : {SIGTERM, SIGINT}) {
    server_.emplace(Flags({"--tls-cert=" + pipe, "--tls-key=" + pipe}));
    const int writer = open(pipe.c_str(), O_WRONLY | O_CLOEXEC);  // waits until the server reads it
    ASSERT_GE(writer, 0);
    EXPECT_EQ(Stop(signal), 0);
    EXPECT_THAT(server_->Errors(), HasSubstr("stopped"));
    EXPECT_FALSE(std::filesystem::exists(folder_.File("data")));
    close(writer);
  }
  Start();  // as if nothing had been
}

bool HasMapped(const ServerProcess& server, const std::string& path) {
  std::ifstream maps("/proc/" + std::to_string(server.pid()) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(path) != std::string::npos) return true;
  }
  return false;
}

TEST_F(StopTest, SignalWhileTheModelLoads) {
  const std::string model = SmolLm2Path();
  TOME_SKIP_WITHOUT(model);
  server_.emplace(Flags({"--model=" + model}));
  while (!HasMapped(*server_, std::filesystem::path(model).filename().string())) std::this_thread::yield();
  EXPECT_EQ(Stop(SIGTERM), 0);
  EXPECT_THAT(server_->Errors(), HasSubstr("stopped"));
  EXPECT_THAT(server_->Errors(), ::testing::Not(HasSubstr("ready")));
}

}  // namespace
}  // namespace tome::testing
