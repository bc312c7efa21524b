// Exports and imports over connections that are cut again and again.
#include "client/transfer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "client/client.h"
#include "grpcpp/grpcpp.h"
#include "tests/client/fake_server.h"

namespace tome::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// More than a connection holds of what the server does not read.
constexpr std::size_t kLarge = 30'000'000;

const grpc::Status kCut = {grpc::StatusCode::UNAVAILABLE, "Socket closed"};

// Gives a bundle a byte a message, and takes one; each call is cut after some messages.
class TransferServer final : public v1::SessionService::Service {
 public:
  TransferServer() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~TransferServer() override { server_->Shutdown(); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // Set before the calls.
  std::string bundle = "0123456789";
  bool names_bundles = true;
  std::vector<int> cuts;     // of each call, after so many messages; -1: not cut. Then the last one counts
  int changes_at_call = -1;  // of the exports: what was named before is not there any more
  bool loses_reply = false;  // of imports
  grpc::Status refusal;      // of imports after the first

  std::vector<std::uint64_t> offsets() {
    const std::lock_guard lock(mutex_);
    return offsets_;
  }
  int imports() {
    const std::lock_guard lock(mutex_);
    return imports_;
  }
  std::string imported() {
    const std::lock_guard lock(mutex_);
    return imported_;
  }

 private:
  int CutLocked(std::size_t call) const { return cuts.empty() ? -1 : cuts[std::min(call, cuts.size() - 1)]; }

  grpc::Status ExportSession(grpc::ServerContext*, const v1::ExportSessionRequest* request,
                             grpc::ServerWriter<v1::ExportSessionResponse>* writer) override {
    const std::lock_guard lock(mutex_);
    const std::size_t call = offsets_.size();
    offsets_.push_back(request->offset());
    if (static_cast<int>(call) == changes_at_call) {
      generation_ = 2;
      std::reverse(bundle.begin(), bundle.end());
    }
    const std::string name = "generation-" + std::to_string(generation_);
    if (!request->bundle().empty() && request->bundle() != name) {
      return MakeError(grpc::StatusCode::ABORTED, "the session has changed", "BUNDLE_CHANGED");
    }
    const int cut = CutLocked(call);
    for (std::size_t at = request->offset(); at < bundle.size(); ++at) {
      if (cut >= 0 && at - request->offset() == static_cast<std::size_t>(cut)) return kCut;
      v1::ExportSessionResponse response;
      if (names_bundles && at == request->offset()) response.set_bundle(name);
      response.set_data(bundle.substr(at, 1));
      writer->Write(response);
    }
    return grpc::Status::OK;
  }

  grpc::Status ImportSession(grpc::ServerContext*, grpc::ServerReader<v1::ImportSessionRequest>* reader,
                             v1::Session* session) override {
    const std::lock_guard lock(mutex_);
    const int call = imports_++;
    if (call > 0 && !refusal.ok()) return refusal;
    imported_.clear();
    v1::ImportSessionRequest request;
    for (int messages = 0; reader->Read(&request); ++messages) {
      if (messages == CutLocked(call)) return kCut;
      imported_ += request.data();
    }
    session->set_name("sessions/imported");
    return loses_reply ? kCut : grpc::Status::OK;
  }

  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::mutex mutex_;
  // Guarded by mutex_.
  int generation_ = 1;
  std::vector<std::uint64_t> offsets_;
  int imports_ = 0;
  std::string imported_;
};

class TransferTest : public ::testing::Test {
 protected:
  // `anew`: whether the sink can begin anew.
  absl::Status Export(bool anew = true) {
    auto client = Client::Connect({.address = server_.address(),
                                   .sleeper = [this](std::chrono::milliseconds, const Cancellation*) { ++waits_; }});
    v1::ExportSessionRequest request;
    request.set_name("sessions/s");
    BundleSink sink;
    sink.take = [this](std::string_view bytes) {
      bundle_ += bytes;
      return absl::OkStatus();
    };
    if (anew) {
      sink.restart = [this] {
        ++restarts_;
        bundle_.clear();
        return absl::OkStatus();
      };
    }
    return (*client)->ExportSession(request, sink);
  }

  absl::StatusOr<v1::Session> Import(ByteSource& source) {
    auto client = Client::Connect({.address = server_.address(),
                                   .sleeper = [this](std::chrono::milliseconds, const Cancellation*) { ++waits_; }});
    return (*client)->ImportSession("mine", source, nullptr);
  }
  // A file of zeros.
  std::string FileOf(std::size_t bytes) {
    const std::string path = ::testing::TempDir() + "/tome-transfer-" + std::to_string(getpid());
    std::ofstream(path, std::ios::binary) << "";
    std::filesystem::resize_file(path, bytes);
    return path;
  }

  TransferServer server_;
  int waits_ = 0;
  int restarts_ = 0;
  std::string bundle_;
};

// --- Export ---

TEST_F(TransferTest, ExportGoesOnWhereItWasHoweverOftenItIsCut) {
  for (const int messages : {1, 3}) {
    SCOPED_TRACE(messages);
    for (const bool anew : {true, false}) {
      TransferServer& server = server_;
      server.cuts = {messages};
      bundle_.clear();
      const std::size_t before = server.offsets().size();
      const absl::Status status = Export(anew);
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(bundle_, server.bundle);
      EXPECT_EQ(restarts_, 0);
      const std::vector<std::uint64_t> offsets = server.offsets();
      for (std::size_t i = before; i < offsets.size(); ++i) EXPECT_EQ(offsets[i], (i - before) * messages);
    }
  }
}

TEST_F(TransferTest, ExportThatGetsNoFurtherGivesUpAndSaysWhere) {
  server_.cuts = {4, 0};
  const absl::Status status = Export();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("gave up"), HasSubstr("came no further than byte 4"), HasSubstr("Socket closed")));
  EXPECT_GT(waits_, 10) << "a server that starts again takes its time";
  EXPECT_LT(waits_, 500);
}

TEST_F(TransferTest, ExportThatNeverBeginsGivesUpSoon) {
  server_.cuts = {0};
  EXPECT_EQ(Export().code(), absl::StatusCode::kUnavailable);
  EXPECT_LT(waits_, 10);
}

TEST_F(TransferTest, ExportOfASessionThatChangesBeginsAnew) {
  server_.cuts = {5, -1};
  server_.changes_at_call = 1;
  const absl::Status status = Export();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(bundle_, "9876543210");
  EXPECT_EQ(restarts_, 1);
}

TEST_F(TransferTest, ExportThatCannotBeginAnewSaysSo) {
  server_.cuts = {5, -1};
  server_.changes_at_call = 1;
  const absl::Status status = Export(/*anew=*/false);
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("after 5 bytes"), HasSubstr("export to a file")));
  EXPECT_EQ(bundle_, "01234");
}

TEST_F(TransferTest, ExportFromAServerThatCannotGoOnEndsAfterAFewBeginnings) {
  server_.names_bundles = false;
  server_.cuts = {5};
  const absl::Status status = Export();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("after beginning anew 4 times"));
  EXPECT_EQ(server_.offsets(), std::vector<std::uint64_t>(5, 0));
}

// --- Import ---

TEST_F(TransferTest, ImportOfAFileIsSentAnewAfterACut) {
  const auto source = FileSource::Open(FileOf(kLarge));
  server_.cuts = {2, 1, -1};
  const absl::StatusOr<v1::Session> session = Import(**source);
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(server_.imports(), 3);
  EXPECT_EQ(server_.imported(), std::string(kLarge, '\0'));
}

TEST_F(TransferTest, ImportThatIsCutAgainAndAgainGivesUp) {
  const auto source = FileSource::Open(FileOf(kLarge));
  server_.cuts = {1};
  const absl::Status status = Import(**source).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("was cut after"), HasSubstr("server keeps none"), HasSubstr("it was sent 5 times")));
  EXPECT_EQ(server_.imports(), 5);
}

TEST_F(TransferTest, ImportOfAPipeThatIsCutSaysWhatToDo) {
  std::size_t left = kLarge;
  CallbackSource source([&](char* buffer, std::size_t size) -> absl::StatusOr<std::size_t> {
    const std::size_t part = std::min(size, left);
    std::fill(buffer, buffer + part, 'x');
    left -= part;
    return part;
  });
  server_.cuts = {1, -1};
  const absl::Status status = Import(source).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("import from a file"));
  EXPECT_EQ(server_.imports(), 1);
}

TEST_F(TransferTest, ImportWhoseReplyIsLostIsNotRepeated) {
  const auto source = FileSource::Open(FileOf(10));
  server_.loses_reply = true;
  const absl::Status status = Import(**source).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("the session may be there"));
  EXPECT_EQ(server_.imports(), 1);
}

TEST_F(TransferTest, ImportThatFindsItsOwnBeginningIsExplained) {
  const auto source = FileSource::Open(FileOf(kLarge));
  server_.cuts = {1};
  server_.refusal = MakeError(grpc::StatusCode::ALREADY_EXISTS, "session mine exists", "SESSION_EXISTS");
  const absl::Status status = Import(**source).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr("may not have noticed yet"));
}

}  // namespace
}  // namespace tome::client
