#include "server/storage/folder_check.h"

#include <filesystem>

#include "server/storage/sqlite.h"
#include "tests/server/session/manager_fixture.h"

namespace tome::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using tome::testing::IsOk;
using tome::testing::ReadFile;
using tome::testing::SomeText;
using tome::testing::StatusIs;
using tome::testing::WriteFile;

class FolderCheckTest : public tome::testing::ManagerFixture {
 protected:
  // Two sessions with a snapshot each; the first has its document in two commits.
  void Fill() {
    Open();
    for (const char* id : {"first", "second"}) {
      CreateSession(id);
      ASSERT_THAT(Append(id, "book", SomeText(2000), /*finish=*/false), IsOk());
      ASSERT_THAT(Append(id, "book", SomeText(1000), /*finish=*/true, 2000), IsOk());
      WaitUntilRead(id);
      tome::testing::Awaited<absl::StatusOr<SnapshotInfo>> snapshot;
      manager_->Snapshot(id, snapshot.callback());
      ASSERT_THAT(snapshot.Get(), IsOk());
      snapshot_paths_.push_back(Path(id) + "/snapshot-" + std::to_string(snapshot.Get()->number));
    }
    manager_.reset();
  }
  std::string Path(const std::string& id) const { return options_.data_folder + "/sessions/" + id; }
  FolderReport Report() const {
    const absl::StatusOr<FolderReport> report = CheckDataFolder(options_.data_folder);
    EXPECT_THAT(report, IsOk());
    return report.value_or(FolderReport());
  }

  std::vector<std::string> snapshot_paths_;
};

TEST_F(FolderCheckTest, SoundFolderHasNoProblems) {
  Fill();
  std::filesystem::create_directory(Path(".trash-old"));
  const FolderReport report = Report();
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(report.sessions, 2);
  EXPECT_EQ(report.documents, 2);
  EXPECT_EQ(report.document_bytes, 6000u);
  EXPECT_GE(report.snapshots, 2);
  EXPECT_TRUE(std::filesystem::exists(Path(".trash-old"))) << "nothing is changed";
}

TEST_F(FolderCheckTest, TellsEveryProblem) {
  Fill();
  ASSERT_THAT(Database::Open(Path("first") + "/session.db", Database::Mode::kOpen)
                  ->Execute("UPDATE chunks SET crc32c = crc32c + 1 WHERE offset = 0"),
              IsOk());
  std::string snapshot = ReadFile(snapshot_paths_[1]);
  snapshot[snapshot.size() / 2] ^= 1;
  WriteFile(snapshot_paths_[1], snapshot);
  std::filesystem::create_directory(Path("third"));
  WriteFile(Path("third") + "/session.db", std::string(5000, 'x'));
  WriteFile(Path("Notes.txt"), "");
  const FolderReport report = Report();
  ASSERT_THAT(report.problems, SizeIs(4));
  EXPECT_EQ(report.problems[0].session, "'Notes.txt'");
  EXPECT_EQ(report.problems[1].session, "first");
  EXPECT_THAT(report.problems[1].what, HasSubstr("document 'book': the stored bytes 0 to 2000 are damaged"));
  EXPECT_EQ(report.problems[2].session, "second");
  EXPECT_THAT(report.problems[2].what, HasSubstr("the snapshot is damaged"));
  EXPECT_EQ(report.problems[3].session, "third");
  EXPECT_EQ(report.document_bytes, 4000u) << "what follows the damage is looked at";
}

TEST_F(FolderCheckTest, DamageOfABaseIsToldForAllThatShareIt) {
  Fill();
  Open();
  tome::testing::Awaited<absl::StatusOr<SessionInfo>> fork;
  manager_->Fork({.session_id = "first", .new_session_id = "fork"}, fork.callback());
  ASSERT_THAT(fork.Get(), IsOk());
  manager_.reset();
  std::filesystem::create_directory(Path(".new-import"));  // a half import, which the next start clears
  EXPECT_THAT(Report().problems, IsEmpty());
  EXPECT_EQ(Report().document_bytes, 9000u);
  std::string base;
  for (const auto& entry : std::filesystem::directory_iterator(Path("fork"))) {
    if (entry.path().filename().string().starts_with("base-")) base = entry.path();
  }
  ASSERT_THAT(Database::Open(base, Database::Mode::kCreate)
                  ->Execute("UPDATE chunks SET crc32c = crc32c + 1 WHERE offset = 2000"),
              IsOk());
  const FolderReport damaged = Report();
  ASSERT_THAT(damaged.problems, SizeIs(2));
  EXPECT_EQ(damaged.problems[0].session, "first");
  EXPECT_EQ(damaged.problems[1].session, "fork");
  EXPECT_THAT(damaged.problems[1].what, HasSubstr("document 'book': the stored bytes 2000 to 3000 are damaged"));
  std::filesystem::remove(base);
  const FolderReport missing = Report();
  ASSERT_THAT(missing.problems, SizeIs(2));
  EXPECT_THAT(missing.problems[1].what, HasSubstr("is missing"));
}

TEST_F(FolderCheckTest, FolderInUseOrNoneIsAnError) {
  Fill();
  Open();
  EXPECT_THAT(CheckDataFolder(options_.data_folder),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("in use")));
  EXPECT_THAT(CheckDataFolder(folder_.File("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no data folder")));
}

}  // namespace
}  // namespace tome::server
