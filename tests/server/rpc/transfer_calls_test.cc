// ForkSession, ExportSession and ImportSession over a real channel.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/errors.h"
#include "server/rpc/wire/limits.h"
#include "server/rpc/wire/validation.h"
#include "tests/server/rpc/rpc_fixture.h"

namespace tome::testing {
namespace {

constexpr char kName[] = "sessions/abcd";

class TransferCallsTest : public RpcFixture {
 protected:
  // What came, and how the call ended.
  std::pair<std::string, grpc::Status> Export(const std::string& name) {
    grpc::ClientContext context;
    v1::ExportSessionRequest request;
    request.set_name(name);
    const auto reader = stub_->ExportSession(&context, request);
    std::string archive;
    v1::ExportSessionResponse response;
    while (reader->Read(&response)) archive += response.data();
    return {archive, reader->Finish()};
  }
  static v1::ImportSessionRequest Piece(const std::string& data, const std::string& id = "") {
    v1::ImportSessionRequest request;
    request.set_session_id(id);
    request.set_data(data);
    return request;
  }
  grpc::Status Import(const std::vector<v1::ImportSessionRequest>& messages, v1::Session* session) {
    grpc::ClientContext context;
    const auto writer = stub_->ImportSession(&context, session);
    for (const v1::ImportSessionRequest& message : messages) writer->Write(message);
    writer->WritesDone();
    return writer->Finish();
  }
  void ExpectNoImporterLeft() {
    sessions_.calls->WaitUntil([](const auto& calls) { return calls.live_importers == 0; });
  }
};

TEST_F(TransferCallsTest, Forks) {
  Open();
  grpc::ClientContext context, invalid_context;
  v1::ForkSessionRequest request;
  request.set_name(kName);
  request.set_session_id("fork");
  request.set_request_id("once");
  request.set_display_name("A fork");
  v1::Session session;
  EXPECT_TRUE(stub_->ForkSession(&context, request, &session).ok());
  const server::ForkRequest fork = sessions_.calls->Get().forks.at(0);
  EXPECT_EQ(fork.session_id, "abcd");
  EXPECT_EQ(fork.new_session_id, "fork");
  EXPECT_EQ(fork.request_id, "once");
  EXPECT_EQ(fork.display_name, "A fork");
  request.set_session_id("../up");
  EXPECT_EQ(stub_->ForkSession(&invalid_context, request, &session).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(TransferCallsTest, ExportsInPieces) {
  EXPECT_EQ(ReasonOf(Export(kName).second), "STARTING");
  Open();
  sessions_.export_pieces = {"one", "two", "three"};
  const auto [archive, status] = Export(kName);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(archive, "onetwothree");
  EXPECT_EQ(Export("abcd").second.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  sessions_.info = server::MakeError(absl::StatusCode::kNotFound, "no such session",
                                     {.reason = "SESSION_NOT_FOUND", .metadata = {}});
  EXPECT_EQ(ReasonOf(Export(kName).second), "SESSION_NOT_FOUND");
}

TEST_F(TransferCallsTest, ExportEndsWhenTheClientGoes) {
  Open();
  sessions_.export_pieces = std::vector<std::string>(1000, std::string(100'000, 'x'));
  grpc::ClientContext context;
  v1::ExportSessionRequest request;
  request.set_name(kName);
  const auto reader = stub_->ExportSession(&context, request);
  v1::ExportSessionResponse response;
  ASSERT_TRUE(reader->Read(&response));
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(recorder_.First().method, "ExportSession");
}

TEST_F(TransferCallsTest, ImportsInPieces) {
  v1::Session session;
  EXPECT_EQ(ReasonOf(Import({Piece("some")}, &session)), "STARTING");
  Open();
  const grpc::Status status = Import({Piece("some ", "copy"), Piece("more "), Piece("")}, &session);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(session.name(), kName);
  EXPECT_EQ(sessions_.calls->Get().imported, "some more ");
  EXPECT_EQ(sessions_.calls->Get().imported_id, "copy");
  ExpectNoImporterLeft();
}

TEST_F(TransferCallsTest, BadImportsAreToldAndDropped) {
  Open();
  v1::Session session;
  EXPECT_EQ(Import({}, &session).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Import({Piece("x", "../up")}, &session).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Import({Piece("x", "copy"), Piece("x", "copy")}, &session).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Import({Piece(std::string(server::kMaxImportBytes + 1, 'x'))}, &session).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  sessions_.import_error =
      server::MakeError(absl::StatusCode::kDataLoss, "damaged", {.reason = "ARCHIVE_DAMAGED", .metadata = {}});
  EXPECT_EQ(ReasonOf(Import({Piece("x"), Piece("y")}, &session)), "ARCHIVE_DAMAGED");
  ExpectNoImporterLeft();
}

TEST_F(TransferCallsTest, ImportThatIsCutOffIsDropped) {
  Open();
  v1::Session session;
  {
    grpc::ClientContext context;
    const auto writer = stub_->ImportSession(&context, &session);
    ASSERT_TRUE(writer->Write(Piece("some")));
    sessions_.calls->WaitUntil([](const auto& calls) { return calls.imported == "some"; });
    context.TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  ExpectNoImporterLeft();
}

TEST_F(TransferCallsTest, ExportGoesOnAtAnOffset) {
  Open();
  const std::string long_piece(1'000'000, 'x');
  sessions_.export_pieces = {"one", "two", "three", long_piece};
  const std::string whole = "onetwothree" + long_piece;
  for (const std::uint64_t offset : {0u, 1u, 3u, 4u, 11u, 12u, 1'000'010u, 1'000'011u}) {
    grpc::ClientContext context;
    v1::ExportSessionRequest request;
    request.set_name(kName);
    request.set_bundle("bundle-1");
    request.set_offset(offset);
    const auto reader = stub_->ExportSession(&context, request);
    std::string rest;
    v1::ExportSessionResponse response;
    bool first = true;
    while (reader->Read(&response)) {
      EXPECT_EQ(response.bundle(), std::exchange(first, false) ? "bundle-1" : "");
      EXPECT_LT(response.data().size(), 200'000u) << "little enough to come through before the next cut";
      rest += response.data();
    }
    EXPECT_TRUE(reader->Finish().ok());
    EXPECT_EQ(rest, whole.substr(offset)) << offset;
    EXPECT_EQ(sessions_.calls->Get().resumed_bundle, "bundle-1");
  }
}

TEST_F(TransferCallsTest, OffsetsThatAreNoneAreRefused) {
  Open();
  const auto end = [&](const std::string& bundle, std::uint64_t offset) {
    grpc::ClientContext context;
    v1::ExportSessionRequest request;
    request.set_name(kName);
    request.set_bundle(bundle);
    request.set_offset(offset);
    return stub_->ExportSession(&context, request)->Finish();
  };
  for (const auto& [bundle, offset, field] : std::vector<std::tuple<std::string, std::uint64_t, std::string>>{
           {"", 1, "offset"}, {"bundle-1", 9, "offset"}, {std::string(300, 'x'), 0, "bundle"}}) {
    const grpc::Status status = end(bundle, offset);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << bundle;
    ASSERT_GT(DetailOf<google::rpc::BadRequest>(status).field_violations_size(), 0) << bundle;
    EXPECT_EQ(DetailOf<google::rpc::BadRequest>(status).field_violations(0).field(), field);
  }
}

// --- When the server drains ---

TEST_F(TransferCallsTest, DrainEndsAnExportWhateverItWaitsFor) {
  Open();
  sessions_.holds_transfers = true;  // the session layer never gives a piece
  grpc::ClientContext context;
  v1::ExportSessionRequest request;
  request.set_name(kName);
  const auto reader = stub_->ExportSession(&context, request);
  sessions_.calls->WaitUntil([](const auto& calls) { return !calls.unread_pieces.empty(); });
  rpc_->Drain();
  EXPECT_EQ(ReasonOf(reader->Finish()), "DRAINING");
  sessions_.calls->Get().unread_pieces.front()("too late");
  EXPECT_EQ(ReasonOf(Export(kName).second), "DRAINING") << "one that comes later";
}

TEST_F(TransferCallsTest, DrainEndsAnExportThatNobodyReadsWhenTheServerStops) {
  Open();
  sessions_.export_pieces = std::vector<std::string>(1000, std::string(100'000, 'x'));
  grpc::ClientContext context;
  v1::ExportSessionRequest request;
  request.set_name(kName);
  const auto reader = stub_->ExportSession(&context, request);
  reader->WaitForInitialMetadata();
  rpc_->Drain();
  rpc_->Stop(absl::ZeroDuration());
  EXPECT_EQ(recorder_.First().method, "ExportSession");
  context.TryCancel();
  EXPECT_FALSE(reader->Finish().ok());
}

TEST_F(TransferCallsTest, DrainEndsAnImportThatHasNotAllItsBytes) {
  Open();
  v1::Session session;
  grpc::ClientContext silent_context, begun_context;
  const auto silent = stub_->ImportSession(&silent_context, &session);
  const auto begun = stub_->ImportSession(&begun_context, &session);
  ASSERT_TRUE(begun->Write(Piece("some")));
  sessions_.calls->WaitUntil([](const auto& calls) { return calls.imported == "some"; });
  rpc_->Drain();
  EXPECT_EQ(ReasonOf(silent->Finish()), "DRAINING");
  EXPECT_EQ(ReasonOf(begun->Finish()), "DRAINING");
  ExpectNoImporterLeft();
}

TEST_F(TransferCallsTest, DrainLetsAnImportWithAllItsBytesEnd) {
  Open();
  sessions_.holds_transfers = true;
  v1::Session session;
  grpc::ClientContext context;
  const auto writer = stub_->ImportSession(&context, &session);
  ASSERT_TRUE(writer->Write(Piece("some")));
  ASSERT_TRUE(writer->WritesDone());
  sessions_.calls->WaitUntil([](const auto& calls) { return !calls.unfinished_imports.empty(); });
  rpc_->Drain();
  sessions_.calls->Get().unfinished_imports.front()(server::SessionInfo{.id = "abcd"});
  const grpc::Status status = writer->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(session.name(), kName);
}

}  // namespace
}  // namespace tome::testing
