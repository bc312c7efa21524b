// The real server, killed again and again while a document is streamed into it.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/storage/failpoint.h"
#include "server/storage/session_store.h"
#include "server/storage/snapshot_file.h"
#include "tests/integration/server_fixture.h"
#include "tests/server/tiny_server_model.h"
#include "tests/support/snapshot_digest.h"
#include "tests/support/status_matchers.h"

namespace tome::testing {
namespace {

constexpr char kDocument[] = "book";
const std::vector<std::string> kOptions = {"--snapshot-segments=5"};

class KillTest : public ServerFixture {
 protected:
  // The session, unless the server is gone.
  std::optional<v1::Session> Find(const std::string& name) {
    grpc::ClientContext context;
    v1::GetSessionRequest request;
    request.set_name(name);
    v1::Session session;
    if (!stub_->GetSession(&context, request, &session).ok()) return std::nullopt;
    EXPECT_EQ(session.problem(), "");
    return session;
  }

  // Streams `text` up to `end` from the durable offset on, in pieces of random size, until all is acknowledged or the
  // server is gone. Everything that was acknowledged before must be there.
  void Stream(const std::string& name, const std::string& text, std::size_t end, std::mt19937* random) {
    const std::optional<v1::Session> session = Find(name);
    if (!session) return;
    const std::uint64_t durable = session->documents_size() == 0 ? 0 : session->documents(0).durable_bytes();
    EXPECT_GE(durable, acknowledged_) << "acknowledged bytes were lost";
    if (session->documents_size() > 0 && session->documents(0).sealed()) return;
    grpc::ClientContext context;
    const auto stream = stub_->Append(&context);
    std::thread acknowledgements([&] {
      v1::AppendResponse reply;
      while (stream->Read(&reply)) acknowledged_ = std::max<std::uint64_t>(acknowledged_, reply.durable_offset());
    });
    for (std::size_t at = durable; at < end;) {
      const std::size_t size = std::min<std::size_t>(1 + (*random)() % 700, end - at);
      v1::AppendRequest message = AppendMessage(name, kDocument, at, text.substr(at, size));
      at += size;
      message.set_finish(at == text.size());
      if (!stream->Write(message)) break;
    }
    stream->WritesDone();
    acknowledgements.join();
    EXPECT_TRUE(stream->Finish().ok() || !Find(name)) << "it only ends early with the server";
  }

  // What the session has read, whole, from a snapshot of it.
  std::string StateDigest(const std::string& name) {
    grpc::ClientContext context;
    v1::SnapshotSessionRequest request;
    request.set_name(name);
    v1::Snapshot snapshot;
    const grpc::Status status = stub_->SnapshotSession(&context, request, &snapshot);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return SnapshotContentDigest(folder_.File("data") + "/" + name, snapshot.number());
  }

  // The session's text on the disk, once the server has ended.
  std::string StoredText(const std::string& id) {
    auto store = server::SessionStore::Open(folder_.File("data") + "/sessions/" + id + "/session.db", id);
    EXPECT_THAT(store, IsOk());
    const server::StoredSession stored = store->Load().value();
    EXPECT_EQ(stored.documents.size(), 1u);
    EXPECT_TRUE(stored.documents[0].sealed);
    return store->ReadBytes(0, stored.documents[0], 0, stored.documents[0].size).value();
  }

  // Makes "forked" and, by export and import, "copied" of the session, unless they are there or the server dies.
  void ForkAndCopy(const std::string& name) {
    grpc::ClientContext fork_context, export_context, import_context;
    v1::ForkSessionRequest fork;
    fork.set_name(name);
    fork.set_session_id("forked");
    fork.set_request_id("forked once");
    v1::Session session;
    if (!stub_->ForkSession(&fork_context, fork, &session).ok()) return;
    v1::ExportSessionRequest out;
    out.set_name(name);
    const auto reader = stub_->ExportSession(&export_context, out);
    std::vector<std::string> archive;
    for (v1::ExportSessionResponse piece; reader->Read(&piece);) archive.push_back(piece.data());
    if (!reader->Finish().ok()) return;
    const auto writer = stub_->ImportSession(&import_context, &session);
    v1::ImportSessionRequest in;
    in.set_session_id("copied");
    for (const std::string& piece : archive) {
      in.set_data(piece);
      if (!writer->Write(in)) break;
      in.clear_session_id();
    }
    writer->WritesDone();
    writer->Finish().error_code();  // it may be there already
  }

  v1::AskResult Answer(const std::string& name) {
    v1::AskResult result;
    const grpc::Status status = Ask(Question(name, "What did the lord say?"), &result);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return result;
  }

  std::atomic<std::uint64_t> acknowledged_ = 0;  // bytes of the document
};

TEST_F(KillTest, NothingAcknowledgedIsLostWheneverTheServerIsKilled) {
  constexpr int kKills = 100;
  const std::string text = SomeText(200'000);
  std::mt19937 random(2026);
  Start(kOptions);
  const std::string session = CreateSession("killed");
  for (int kills = 0; kills < kKills; ++kills) {
    SCOPED_TRACE(kills);
    // Some moment of the next fraction of a second, whatever the server does then.
    const auto delay = std::chrono::microseconds(random() % 120'000);
    std::thread killer([&] {
      std::this_thread::sleep_for(delay);
      server_->Signal(SIGKILL);
    });
    Stream(session, text, text.size() * (kills + 1) / kKills, &random);
    killer.join();
    EXPECT_EQ(server_->Wait(), -SIGKILL);
    Start(kOptions);
    ASSERT_FALSE(HasFailure());
  }
  Stream(session, text, text.size(), &random);
  WatchToTheEnd(session);
  CreateSession("uninterrupted");
  AppendDocument("sessions/uninterrupted", kDocument, text, 5000);
  WatchToTheEnd("sessions/uninterrupted");
  EXPECT_EQ(StateDigest(session), StateDigest("sessions/uninterrupted"));
  EXPECT_EQ(Answer(session).answer(), Answer("sessions/uninterrupted").answer());
  EXPECT_EQ(Stop(SIGTERM), 0);
  EXPECT_EQ(StoredText("killed"), text);
}

TEST_F(KillTest, NothingIsLostWhereverTheServerDies) {
  const std::string text = SomeText(9'000);
  Start(kOptions);
  CreateSession("uninterrupted");
  AppendDocument("sessions/uninterrupted", kDocument, text, 5000);
  WatchToTheEnd("sessions/uninterrupted");
  const std::string expected = StateDigest("sessions/uninterrupted");
  EXPECT_EQ(Stop(SIGTERM), 0);

  // A life that passes all points but the loading of a snapshot. Its calls may fail, because the server dies.
  std::mt19937 random(7);
  const auto live = [&] {
    grpc::ClientContext create_context, watch_context, snapshot_context, other_context, delete_context;
    v1::CreateSessionRequest create;
    create.set_session_id("killed");
    create.set_request_id("once");
    v1::Session session;
    if (!stub_->CreateSession(&create_context, create, &session).ok()) return;
    Stream(session.name(), text, text.size(), &random);
    v1::WatchRequest watch;
    watch.set_session(session.name());
    const auto reports = stub_->Watch(&watch_context, watch);
    v1::WatchResponse report;
    while (reports->Read(&report)) {
    }
    v1::SnapshotSessionRequest snapshot_request;
    snapshot_request.set_name(session.name());
    v1::Snapshot snapshot;
    if (!stub_->SnapshotSession(&snapshot_context, snapshot_request, &snapshot).ok()) return;
    ForkAndCopy(session.name());
    create.set_session_id("other");
    create.set_request_id("another");
    if (!stub_->CreateSession(&other_context, create, &session).ok()) return;
    v1::DeleteSessionRequest remove;
    remove.set_name(session.name());
    google::protobuf::Empty empty;
    stub_->DeleteSession(&delete_context, remove, &empty).error_code();  // as all above
  };
  for (const std::string_view failpoint : server::kFailpoints) {
    SCOPED_TRACE(failpoint);
    std::filesystem::remove_all(folder_.File("data"));
    acknowledged_ = 0;
    const std::map<std::string, std::string> environment = {{"TOME_FAILPOINT", std::string(failpoint)}};
    Start(kOptions, environment);
    live();
    if (failpoint == "restore.loaded") {
      EXPECT_EQ(Stop(SIGTERM), 0);
      Start(kOptions, environment);
      live();
    }
    EXPECT_EQ(server_->Wait(), -SIGKILL);
    Start(kOptions);
    live();
    for (const char* id : {"killed", "forked", "copied"}) {
      EXPECT_EQ(StateDigest(std::string("sessions/") + id), expected) << id;
    }
    EXPECT_FALSE(Find("sessions/other"));
    EXPECT_EQ(Stop(SIGTERM), 0);
    for (const char* id : {"killed", "forked", "copied"}) EXPECT_EQ(StoredText(id), text) << id;
    ASSERT_FALSE(HasFailure());
  }
}

}  // namespace
}  // namespace tome::testing
