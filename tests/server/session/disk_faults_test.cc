// Everything that a session does, on a disk that fails at each call in turn: nothing acknowledged is lost, the error is
// told, and the same can be done once the disk works again.
#include <filesystem>

#include "server/storage/data_folder.h"
#include "server/storage/folder_check.h"
#include "server/storage/session_store.h"
#include "tests/server/session/durability_fixture.h"
#include "tests/server/storage/faulty_vfs.h"

namespace tome::server {
namespace {

using tome::testing::Awaited;
using tome::testing::DiskFault;
using tome::testing::FaultyVfs;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::SomeText;
using tome::testing::TinyServerModel;

// How the disk fails from the n-th call on.
struct Mode {
  const char* name;
  DiskFault fault;
  bool once = false;        // only the n-th call fails
  bool try_again = false;   // as soon as the disk works again; else the server is killed first
  bool power_lost = false;  // then the machine is off
};

class DiskFaultsTest;
// What is done meanwhile.
struct Scenario {
  const char* name;
  absl::Status (DiskFaultsTest::*act)();
  // What must hold after a restart; `done`: act succeeded.
  void (DiskFaultsTest::*check)(bool done);
};

using Parameters = std::tuple<Scenario, Mode>;

// Before each call that fails there is one session: the first 400 bytes of a document, of which a snapshot has 300.
class DiskFaultsTest : public tome::testing::DurabilityFixture, public ::testing::WithParamInterface<Parameters> {
 public:
  absl::Status Start() {
    manager_.reset();
    auto manager = SessionManager::Open(options_, TinyServerModel(), events_, clock_);
    if (!manager.ok()) return manager.status();
    manager_ = *std::move(manager);
    return Append("session", "doc", "", /*finish=*/false, 0).status();
  }
  void CheckStart(bool) {}

  absl::Status CreateAnother() {
    return Create({.session_id = "another", .display_name = "Name", .labels = {{"key", "value"}}}).status();
  }
  void CheckCreated(bool done) {
    if (const auto info = manager_->Get("another"); info.ok()) {
      EXPECT_EQ(info->display_name, "Name");
      EXPECT_EQ(info->labels.at("key"), "value");
    } else {
      EXPECT_FALSE(done);
      EXPECT_THAT(CreateAnother(), IsOk());
    }
    EXPECT_THAT(Append("another", "doc", "text"), IsOk());
  }

  absl::Status AppendMore() {
    while (acknowledged_ < text_.size()) {
      const auto written = Append("session", "doc", text_.substr(acknowledged_, 1000), /*finish=*/false, acknowledged_);
      if (!written.ok()) return written.status();
      acknowledged_ = written->durable_offset;
    }
    return absl::OkStatus();
  }
  void CheckAppended(bool) {
    // As a client does it that was told of nothing else.
    acknowledged_ = manager_->Get("session")->documents.at(0).durable_bytes;
    EXPECT_THAT(AppendMore(), IsOk());
  }

  absl::Status FinishDocument() {
    const auto written = Append("session", "doc", text_.substr(acknowledged_), /*finish=*/true, acknowledged_);
    if (written.ok()) acknowledged_ = written->durable_offset;
    return written.status();
  }
  void CheckFinished(bool done) {
    EXPECT_TRUE(!done || manager_->Get("session")->documents.at(0).sealed);
    EXPECT_THAT(FinishDocument(), IsOk());
  }

  absl::Status ChangeMetadata() {
    Awaited<absl::StatusOr<SessionInfo>> changed;
    manager_->Update({.session_id = "session",
                      .display_name = "Changed",
                      .labels = {{{"new", "label"}, {"other", "one"}}},
                      .time_to_live = absl::Hours(5)},
                     changed.callback());
    return changed.Get().status();
  }
  void CheckMetadata(bool done) {
    const SessionInfo info = *manager_->Get("session");
    const bool changed = info.display_name == "Changed";
    EXPECT_TRUE(changed || !done);
    EXPECT_EQ(info.labels.contains("new"), changed) << "all or nothing";
    EXPECT_EQ(info.labels.size(), changed ? 2u : 1u);
    EXPECT_EQ(info.time_to_live, changed ? absl::Hours(5) : absl::ZeroDuration());
    EXPECT_THAT(ChangeMetadata(), IsOk());
  }

  absl::Status ForkIt() { return Fork({.session_id = "session", .new_session_id = "another"}).status(); }
  absl::Status ImportIt() { return Import(archive_, "another").status(); }
  void CheckCopied(bool done) {
    const auto info = manager_->Get("another");
    EXPECT_TRUE(info.ok() || !done);
    if (info.ok()) {
      EXPECT_EQ(info->durable_bytes, kStoredBytes);
    }
    EXPECT_THAT(Fork({.session_id = "session", .new_session_id = "later"}), IsOk());
    EXPECT_THAT(Append("later", "doc", text_.substr(kStoredBytes), /*finish=*/true, kStoredBytes), IsOk());
  }

  absl::Status TakeSnapshot() {
    WaitForProgress("session", [](const SessionProgress& progress) {
      return progress.phase == SessionPhase::kIdle || progress.phase == SessionPhase::kFailed;
    });
    // Tells why it was not read.
    if (const auto use = Append("session", "doc", "", /*finish=*/false, 0); !use.ok()) return use.status();
    const std::uint64_t read = manager_->Get("session")->ingested_bytes;
    const absl::StatusOr<SnapshotInfo> snapshot = Snapshot("session");
    if (snapshot.ok()) {
      EXPECT_GE(snapshot->ingested_bytes, read) << "not an older one";
    }
    return snapshot.status();
  }
  void CheckSnapshot(bool) {
    EXPECT_FALSE(manager_->Get("session")->snapshots.empty());
    WaitUntilRead("session");
    EXPECT_EQ(Events("snapshot_refused"), 0);
    EXPECT_EQ(StateDigest("session"), digest_);
  }

  absl::Status DeleteIt() { return Delete("session"); }
  void CheckDeleted(bool done) {
    const bool there = manager_->Get("session").ok();
    EXPECT_FALSE(there && done);
    if (there) {
      EXPECT_THAT(DeleteIt(), IsOk());
    }
    EXPECT_FALSE(std::filesystem::exists(Folder("session")));
  }

 protected:
  static constexpr std::uint64_t kStoredBytes = 400;

  DiskFaultsTest() {
    files_.OnFolderSynced([this](const std::string& folder) { vfs_.OnFolderSynced(folder); });
    PrepareFolder();
  }
  ~DiskFaultsTest() override { manager_.reset(); }  // before the databases' file system

  static Mode ModeOfTest() { return std::get<Mode>(GetParam()); }

  void PrepareFolder() {
    Open();
    EXPECT_THAT(Create({.session_id = "session", .display_name = "First", .labels = {{"old", "label"}}}), IsOk());
    EXPECT_THAT(Append("session", "doc", text_.substr(0, 300), /*finish=*/false), IsOk());
    WaitUntilRead("session");
    EXPECT_THAT(Snapshot("session"), IsOk());
    EXPECT_THAT(Append("session", "doc", text_.substr(300, 100), /*finish=*/false, 300), IsOk());
    WaitUntilRead("session");
    archive_ = Export("session").value();
    std::filesystem::create_directories(prepared_);
    std::filesystem::copy(options_.data_folder, prepared_ + "/unread", std::filesystem::copy_options::recursive);
    digest_ = StateDigest("session");
    manager_.reset();
  }

  // A server with the prepared session and nothing in memory.
  void Restart(int number) {
    manager_.reset();
    std::filesystem::remove_all(options_.data_folder);
    options_.data_folder = folder_.File("data-" + std::to_string(number));
    std::filesystem::copy(prepared_ + "/unread", options_.data_folder, std::filesystem::copy_options::recursive);
    acknowledged_ = kStoredBytes;
    Open();
    vfs_.Heal();
    files_.Heal();
  }

  // The server is gone, and with it what was not written.
  void KillAll(int seed) {
    vfs_.FailAfter(0, DiskFault::kIoError);
    Kill();
    if (ModeOfTest().power_lost) {
      files_.LosePower();
      vfs_.LosePower(options_.data_folder, static_cast<std::uint64_t>(seed));
    }
    vfs_.Heal();
  }

  // What a data folder must be, whatever happened.
  void CheckFolder() {
    const absl::StatusOr<FolderReport> report = CheckDataFolder(options_.data_folder);
    ASSERT_THAT(report, IsOk());
    for (const FolderProblem& problem : report->problems) ADD_FAILURE() << problem.session << ": " << problem.what;
    if (!std::filesystem::exists(Folder("session"))) return;
    TOME_ASSERT_OK_AND_ASSIGN(SessionStore store, SessionStore::Open(DatabasePathIn(Folder("session")), "session"));
    TOME_ASSERT_OK_AND_ASSIGN(const StoredSession stored, store.Load());
    const StoredDocument& document = stored.documents.at(0);
    EXPECT_GE(document.size, acknowledged_);
    TOME_ASSERT_OK_AND_ASSIGN(const std::string bytes, store.ReadBytes(0, document, 0, document.size));
    EXPECT_EQ(bytes, text_.substr(0, document.size));
  }

  // Runs the scenario with the n-th call failing that one layer makes, for each n. `fail` begins it, `heal` tells how
  // many calls there were.
  void RunAll(const std::function<void(int n)>& fail, const std::function<int()>& heal) {
    const Scenario scenario = std::get<Scenario>(GetParam());
    for (int n = 0, calls = 1; n < calls; ++n) {
      SCOPED_TRACE(n);
      Restart(n);
      fail(n);
      absl::Status status = (this->*scenario.act)();
      calls = std::max(calls, heal() + 1);
      if (!status.ok()) {
        EXPECT_THAT(status, HasReason(IsFull(ModeOfTest().fault) ? "DISK_FULL" : "DISK_FAILED"));
      }
      if (!status.ok() && ModeOfTest().try_again) {
        status = (this->*scenario.act)();
        EXPECT_THAT(status, IsOk()) << "the disk works again";
      }
      KillAll(n);
      CheckFolder();
      Open();
      (this->*scenario.check)(status.ok());
      if (HasFailure()) return;
      ASSERT_LT(n, 500);
    }
  }

  const std::string text_ = SomeText(2500);
  const std::string prepared_ = folder_.File("prepared");
  FaultyVfs vfs_;
  std::string archive_, digest_;
  std::uint64_t acknowledged_ = 0;  // bytes of the session's document
};

TEST_P(DiskFaultsTest, EveryCallOfSqlite) {
  RunAll([&](int n) { vfs_.FailAfter(n, ModeOfTest().fault, ModeOfTest().once); }, [&] { return vfs_.Heal(); });
}

TEST_P(DiskFaultsTest, EveryCallForOtherFiles) {
  RunAll([&](int n) { files_.FailAfter(n, ModeOfTest().fault, ModeOfTest().once); }, [&] { return files_.Heal(); });
}

constexpr Scenario kScenarios[] = {
    {"Start", &DiskFaultsTest::Start, &DiskFaultsTest::CheckStart},
    {"Create", &DiskFaultsTest::CreateAnother, &DiskFaultsTest::CheckCreated},
    {"Append", &DiskFaultsTest::AppendMore, &DiskFaultsTest::CheckAppended},
    {"Finish", &DiskFaultsTest::FinishDocument, &DiskFaultsTest::CheckFinished},
    {"Update", &DiskFaultsTest::ChangeMetadata, &DiskFaultsTest::CheckMetadata},
    {"Fork", &DiskFaultsTest::ForkIt, &DiskFaultsTest::CheckCopied},
    {"Import", &DiskFaultsTest::ImportIt, &DiskFaultsTest::CheckCopied},
    {"Snapshot", &DiskFaultsTest::TakeSnapshot, &DiskFaultsTest::CheckSnapshot},
    {"Delete", &DiskFaultsTest::DeleteIt, &DiskFaultsTest::CheckDeleted},
};
constexpr Mode kModes[] = {
    {.name = "FullDisk", .fault = DiskFault::kFull, .try_again = true},
    {.name = "ShortWritesToAFullDisk", .fault = DiskFault::kShortFull},
    {.name = "OneShortWrite", .fault = DiskFault::kShortError, .once = true, .try_again = true},
    {.name = "LossOfPower", .fault = DiskFault::kIoError, .power_lost = true},
};

INSTANTIATE_TEST_SUITE_P(All, DiskFaultsTest,
                         ::testing::Combine(::testing::ValuesIn(kScenarios), ::testing::ValuesIn(kModes)),
                         [](const ::testing::TestParamInfo<Parameters>& info) {
                           return std::string(std::get<Scenario>(info.param).name) + std::get<Mode>(info.param).name;
                         });

}  // namespace
}  // namespace tome::server
