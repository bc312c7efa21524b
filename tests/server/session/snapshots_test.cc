// Snapshots as a user of the session layer sees them: restored sessions against ones that were never interrupted.
#include <algorithm>
#include <filesystem>
#include <random>

#include "server/storage/snapshot_file.h"
#include "server/storage/sqlite.h"
#include "tests/server/session/durability_fixture.h"
#include "tests/support/old_state.h"

namespace tome::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using tome::testing::Awaited;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::kTinyMemoryOptions;
using tome::testing::Metadata;
using tome::testing::OtherTinyServerModel;
using tome::testing::ReadFile;
using tome::testing::SomeText;
using tome::testing::StatusIs;
using tome::testing::TinyServerModel;
using tome::testing::WriteFile;

class SnapshotsTest : public tome::testing::DurabilityFixture {
 protected:
  std::string Path(const std::string& session, std::uint64_t number) const {
    return Folder(session) + "/snapshot-" + std::to_string(number);
  }

  // Puts an older version of its state into a snapshot.
  void MakeOld(const std::string& session, std::uint64_t number) {
    std::string reading, state;
    SnapshotHeader header;
    {
      const auto reader = *SnapshotReader::Open(FileSystem::Real(), Path(session, number));
      header = reader->header();
      reading = *reader->ReadReading();
      SizedByteSource& source = reader->state();
      while (source.remaining() > 0) state += *source.Next(std::min<std::uint64_t>(source.remaining(), 4096));
    }
    const Memory memory = *Memory::Parse(TinyServerModel(), state);
    const std::string old = tome::testing::StateOfVersionFour::From(state, memory.archive_bytes());
    const auto file = WriteSnapshotFile(FileSystem::Real(), Path(session, number), header, reading,
                                        [&](const ByteSink& sink) { return sink(old); });
    ASSERT_THAT(file, IsOk());
    const std::string update =
        "UPDATE snapshots SET digest = '" + file->digest + "', size_bytes = " + std::to_string(file->size_bytes);
    ASSERT_THAT(Database::Open(Folder(session) + "/session.db", Database::Mode::kOpen)->Execute(update.c_str()),
                IsOk());
  }
};

TEST_F(SnapshotsTest, SessionRestoredAnywhereEqualsOneNeverInterrupted) {
  std::string second = SomeText(1500, 2);
  for (const std::size_t at : {10, 700, 1499}) second[at] = '\xE2';  // replaced, also at the end
  const std::vector<std::string> documents = {SomeText(1200, 1), second, "short", SomeText(900, 3)};
  Open();
  CreateSession("whole");
  for (std::size_t i = 0; i < documents.size(); ++i) {
    ASSERT_THAT(Append("whole", "doc" + std::to_string(i), documents[i], true, 0, Utf8Policy::kReplace), IsOk());
  }
  WaitUntilRead("whole");
  const std::string expected = StateDigest("whole");
  const auto answer = Ask(QuestionTo("whole")).results[0].value();
  const SessionInfo whole = *manager_->Get("whole");

  for (int seed = 0; seed < 6; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const std::string id = "part-" + std::to_string(seed);
    CreateSession(id);
    for (std::size_t i = 0; i < documents.size(); ++i) {
      for (std::size_t at = 0; at < documents[i].size();) {
        const std::string piece = documents[i].substr(at, 1 + random() % 800);
        const bool finish = at + piece.size() == documents[i].size();
        ASSERT_THAT(Append(id, "doc" + std::to_string(i), piece, finish, at, Utf8Policy::kReplace), IsOk());
        at += piece.size();
        if (random() % 2 == 0) WaitUntilRead(id);  // else the snapshot has segments that wait
        Snapshot(id).IgnoreError();                // nothing may be read yet
        Kill();
        Open();
      }
    }
    WaitUntilRead(id);
    EXPECT_EQ(StateDigest(id), expected);
    const auto restored = Ask(QuestionTo(id)).results[0].value();
    EXPECT_EQ(restored.answer, answer.answer);
    EXPECT_EQ(restored.coverage.exact, answer.coverage.exact);
    EXPECT_EQ(manager_->Get(id)->ingested_bytes, whole.ingested_bytes);
    EXPECT_EQ(manager_->Get(id)->ingested_tokens, whole.ingested_tokens);
  }
  EXPECT_EQ(Events("snapshot_refused"), 0);
}

TEST_F(SnapshotsTest, AfterAStartOnlyWhatFollowsTheSnapshotIsReadAgain) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(6000), /*finish=*/false), IsOk());
  WaitUntilRead("session");
  TOME_ASSERT_OK_AND_ASSIGN(const SnapshotInfo snapshot, Snapshot("session"));
  ASSERT_THAT(Append("session", "doc", SomeText(1000, 5), /*finish=*/false, 6000), IsOk());
  WaitUntilRead("session");
  const SessionInfo before = *manager_->Get("session");
  EXPECT_GT(before.ingested_bytes, snapshot.ingested_bytes);
  Kill();
  const std::int64_t segments = Segments();
  Open();  // and reads what follows, without being asked
  EXPECT_THAT(manager_->Get("session")->snapshots, SizeIs(1));
  WaitUntilRead("session");
  const SessionInfo after = *manager_->Get("session");
  EXPECT_EQ(after.ingested_bytes, before.ingested_bytes);
  EXPECT_EQ(after.state_place, StatePlace::kResident);
  EXPECT_LT(Segments() - segments, 40) << "of some 150";
  EXPECT_EQ(Events("restored"), 1);
}

TEST_F(SnapshotsTest, EvictedSessionIsWrittenFirstAndComesBackWithoutReading) {
  options_.max_state_bytes =
      Memory::MaxStateBytes(TinyServerModel()->info().config, kTinyMemoryOptions, TinyServerModel()->info().precision);
  Open();
  CreateSession("first");
  CreateSession("second");
  ASSERT_THAT(Append("first", "doc", SomeText(4000, 1), /*finish=*/false), IsOk());
  WaitUntilRead("first");
  EXPECT_EQ(manager_->Get("first")->state_place, StatePlace::kResident);
  ASSERT_THAT(Append("second", "doc", SomeText(4000, 2), /*finish=*/false), IsOk());
  WaitUntilRead("second");
  EXPECT_EQ(manager_->Get("first")->state_place, StatePlace::kEvicted);
  EXPECT_THAT(manager_->Get("first")->snapshots, SizeIs(1));
  const std::int64_t segments = Segments();
  EXPECT_THAT(Ask(QuestionTo("first")).results[0], IsOk()) << "it waits while the other one is written and evicted";
  EXPECT_EQ(manager_->Get("second")->state_place, StatePlace::kEvicted);
  EXPECT_EQ(Segments(), segments);
}

TEST_F(SnapshotsTest, SessionThatCannotBeWrittenIsEvictedAndReadAgain) {
  options_.max_state_bytes =
      Memory::MaxStateBytes(TinyServerModel()->info().config, kTinyMemoryOptions, TinyServerModel()->info().precision);
  Open();
  CreateSession("first");
  CreateSession("second");
  files_.FailAfter(0, absl::ResourceExhaustedError("full"));
  ASSERT_THAT(Append("first", "doc", SomeText(2000, 1)), IsOk());
  WaitUntilRead("first");
  ASSERT_THAT(Append("second", "doc", SomeText(2000, 2)), IsOk());
  WaitUntilRead("second");
  EXPECT_EQ(manager_->Get("first")->state_place, StatePlace::kEvicted);
  EXPECT_THAT(manager_->Get("first")->snapshots, IsEmpty());
  EXPECT_THAT(Ask(QuestionTo("first")).results[0], IsOk());
  EXPECT_GE(Events("snapshot_failed"), 1);
  files_.Heal();
}

TEST_F(SnapshotsTest, WritesAreMadeAfterSegmentsAfterATimeAtTheEndAndOnAStop) {
  options_.snapshots = {.segments = 8, .interval = absl::ZeroDuration()};
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(4000), /*finish=*/false), IsOk());
  WaitUntilRead("session");
  EXPECT_GE(Snapshot("session")->number, 2u) << "one was made while it was read";

  options_.snapshots = {.segments = 0, .interval = absl::Seconds(60)};
  Open();
  CreateSession("timed");
  ASSERT_THAT(Append("timed", "doc", SomeText(1000), /*finish=*/false), IsOk());
  WaitUntilRead("timed");
  EXPECT_THAT(manager_->Get("timed")->snapshots, IsEmpty());
  clock_.Advance(absl::Seconds(61));
  ASSERT_THAT(Append("timed", "doc", SomeText(1000), /*finish=*/false, 1000), IsOk());
  events_.counts.WaitUntil([](const auto& counts) { return counts.events.contains("snapshot"); });

  options_.snapshots = {.segments = 0, .interval = absl::ZeroDuration()};
  Open();
  CreateSession("ended");
  const int before = Events("snapshot");
  ASSERT_THAT(Append("ended", "doc", SomeText(1000)), IsOk());
  events_.counts.WaitUntil([&](const auto& counts) { return counts.events.at("snapshot") > before; });

  CreateSession("stopped");
  ASSERT_THAT(Append("stopped", "doc", SomeText(1000), /*finish=*/false), IsOk());
  WaitUntilRead("stopped");
  EXPECT_THAT(manager_->Get("stopped")->snapshots, IsEmpty());
  Open();
  EXPECT_THAT(manager_->Get("stopped")->snapshots, SizeIs(1));
}

TEST_F(SnapshotsTest, ReadingGoesOnWhileASnapshotIsWritten) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(2000), /*finish=*/false), IsOk());
  WaitUntilRead("session");
  Awaited<bool> go_on;
  files_.OnWrite([go_on] { go_on.Get(); });
  Awaited<absl::StatusOr<SnapshotInfo>> snapshot;
  manager_->Snapshot("session", snapshot.callback());
  ASSERT_THAT(Append("session", "doc", SomeText(3000, 2), /*finish=*/false, 2000), IsOk());
  WaitForProgress("session", [](const SessionProgress& progress) { return progress.ingested_bytes > 4000; });
  EXPECT_THAT(Ask(QuestionTo("session")).results[0], IsOk());
  EXPECT_FALSE(snapshot.Has());
  files_.OnWrite(nullptr);
  go_on.callback()(true);
  TOME_ASSERT_OK_AND_ASSIGN(const SnapshotInfo info, snapshot.Get());
  EXPECT_LT(info.ingested_bytes, 2001u) << "it is of the moment at which it was wanted";
}

TEST_F(SnapshotsTest, TheNewestTwoAreKeptAndNothingElseIsLeft) {
  Open();
  CreateSession("session");
  EXPECT_THAT(Snapshot("session"), AllOf(StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("nothing was read")),
                                         HasReason("SESSION_EMPTY")));
  EXPECT_THAT(Snapshot("none"), HasReason("SESSION_NOT_FOUND"));
  for (int i = 0; i < 4; ++i) {
    ASSERT_THAT(Append("session", "doc", SomeText(1000, i), /*finish=*/false, 1000 * i), IsOk());
    WaitUntilRead("session");
    EXPECT_EQ(Snapshot("session")->number, static_cast<std::uint64_t>(i + 1));
    EXPECT_EQ(Snapshot("session")->number, static_cast<std::uint64_t>(i + 1)) << "nothing is new";
  }
  const std::vector<SnapshotInfo> snapshots = manager_->Get("session")->snapshots;
  ASSERT_THAT(snapshots, SizeIs(2));
  EXPECT_EQ(snapshots[0].number, 4u);
  EXPECT_EQ(snapshots[1].number, 3u);
  EXPECT_EQ(snapshots[0].size_bytes, std::filesystem::file_size(Path("session", 4)));
  Kill();
  WriteFile(Folder("session") + "/.new-snapshot-5", "half");
  WriteFile(Folder("session") + "/snapshot-9", "not registered");
  Open();
  WaitUntilRead("session");
  EXPECT_EQ(manager_->Get("session")->snapshots, snapshots);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(Folder("session"))) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("session.db")) files.push_back(name);
  }
  EXPECT_THAT(files, ::testing::UnorderedElementsAre("snapshot-3", "snapshot-4"));
}

TEST_F(SnapshotsTest, DamagedSnapshotsAreToldAndOlderOnesOrTheBytesAreUsed) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(3000, 1), /*finish=*/false), IsOk());
  WaitUntilRead("session");
  ASSERT_THAT(Snapshot("session"), IsOk());
  ASSERT_THAT(Append("session", "doc", SomeText(3000, 2), /*finish=*/true, 3000), IsOk());
  WaitUntilRead("session");
  const std::string expected = StateDigest("session");
  const auto damage = [&](std::uint64_t number) {
    std::string bytes = ReadFile(Path("session", number));
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    WriteFile(Path("session", number), bytes);
  };
  Kill();
  const std::vector<SnapshotInfo> snapshots = [&] {
    Open();
    return manager_->Get("session")->snapshots;
  }();
  ASSERT_GE(snapshots.size(), 2u);
  Kill();
  damage(snapshots[0].number);
  Open();
  std::int64_t segments = Segments();
  WaitUntilRead("session");
  EXPECT_EQ(Events("snapshot_refused"), 1);
  EXPECT_FALSE(std::filesystem::exists(Path("session", snapshots[0].number))) << "it is of no more use";
  const std::int64_t from_older = Segments() - segments;
  EXPECT_GT(from_older, 0);
  EXPECT_EQ(ContentDigest("session", Snapshot("session")->number), expected);

  Kill();
  Open();
  const std::vector<SnapshotInfo> all = manager_->Get("session")->snapshots;
  for (const SnapshotInfo& snapshot : all) damage(snapshot.number);
  segments = Segments();
  WaitUntilRead("session");
  EXPECT_GT(Segments() - segments, from_older) << "from the first byte";
  EXPECT_EQ(StateDigest("session"), expected);
}

TEST_F(SnapshotsTest, LostSnapshotFilesCostTimeOnly) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(3000)), IsOk());
  WaitUntilRead("session");
  const std::string expected = StateDigest("session");
  Kill();
  for (const auto& entry : std::filesystem::directory_iterator(Folder("session"))) {
    if (entry.path().filename().string().starts_with("snapshot-")) std::filesystem::remove(entry.path());
  }
  Open();
  WaitUntilRead("session");
  EXPECT_EQ(StateDigest("session"), expected);
}

TEST_F(SnapshotsTest, AnotherModelsSnapshotIsRefusedWithBothValuesAndTheTextIsReadAgainOnRequest) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(3000)), IsOk());
  WaitUntilRead("session");
  const std::string expected = StateDigest("session");
  Open(OtherTinyServerModel());
  const std::string theirs = TinyServerModel()->info().model_digest, ours = OtherTinyServerModel()->info().model_digest;
  const absl::Status refused = Ask(QuestionTo("session")).results[0].status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition,
                                AllOf(HasSubstr(theirs), HasSubstr(ours), HasSubstr("tome reread session"))));
  EXPECT_THAT(refused, HasReason("SNAPSHOT_MISMATCH"));
  EXPECT_EQ(Metadata(refused, "field"), "model");
  EXPECT_EQ(Metadata(refused, "found"), theirs);
  EXPECT_EQ(Metadata(refused, "expected"), ours);
  EXPECT_EQ(manager_->Get("session")->phase, SessionPhase::kFailed);
  EXPECT_THAT(manager_->Get("session")->problem, HasSubstr(theirs));
  EXPECT_EQ(manager_->Get("session")->model_digest, theirs) << "nothing is changed by a refusal";

  Open();  // with the model that made it all is well
  WaitUntilRead("session");
  EXPECT_EQ(StateDigest("session"), expected);

  Open(OtherTinyServerModel());
  EXPECT_THAT(Ask(QuestionTo("session")).results[0], HasReason("SNAPSHOT_MISMATCH"));
  ASSERT_THAT(Reread("session"), IsOk());
  WaitUntilRead("session");
  EXPECT_EQ(manager_->Get("session")->model_digest, ours);
  EXPECT_THAT(Ask(QuestionTo("session")).results[0], IsOk());
  CreateSession("fresh");
  ASSERT_THAT(Append("fresh", "doc", SomeText(3000)), IsOk());
  WaitUntilRead("fresh");
  EXPECT_EQ(StateDigest("session"), StateDigest("fresh"));
}

TEST_F(SnapshotsTest, RereadDuringReadingAndWritingGivesTheSameState) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(6000)), IsOk());
  for (int i = 0; i < 5; ++i) {
    Awaited<absl::StatusOr<SnapshotInfo>> snapshot;
    manager_->Snapshot("session", snapshot.callback());
    ASSERT_THAT(Reread("session"), IsOk());
    snapshot.Get().IgnoreError();  // it may have been dropped
  }
  WaitUntilRead("session");
  const std::string digest = StateDigest("session");
  CreateSession("whole");
  ASSERT_THAT(Append("whole", "doc", SomeText(6000)), IsOk());
  WaitUntilRead("whole");
  EXPECT_EQ(digest, StateDigest("whole"));
  EXPECT_EQ(manager_->Get("session")->ingested_bytes, 6000u);
}

TEST_F(SnapshotsTest, EveryFailingCallIsToldAndLosesNothing) {
  const std::string text = SomeText(3000);
  Open();
  CreateSession("whole");
  ASSERT_THAT(Append("whole", "doc", text), IsOk());
  WaitUntilRead("whole");
  const std::string expected = StateDigest("whole");

  int changes = 1;
  for (int n = 0; n < changes; ++n) {
    SCOPED_TRACE(n);
    const std::string id = "session-" + std::to_string(n);
    CreateSession(id);
    ASSERT_THAT(Append(id, "doc", text.substr(0, 2000), /*finish=*/false), IsOk());
    WaitUntilRead(id);
    ASSERT_THAT(Snapshot(id), IsOk());
    ASSERT_THAT(Append(id, "doc", text.substr(2000), /*finish=*/false, 2000), IsOk());
    WaitUntilRead(id);
    files_.WriteAtMost(n % 2 == 0 ? 5000 : 1 << 20);
    files_.FailAfter(n, MakeError(absl::StatusCode::kResourceExhausted, "full", {.reason = "DISK_FULL"}));
    const absl::StatusOr<SnapshotInfo> failed = Snapshot(id);
    changes = std::max(changes, files_.Heal() + 1);
    // Files are removed after the snapshot is registered, and it does no harm when they cannot be.
    if (!failed.ok()) {
      EXPECT_THAT(failed, HasReason("DISK_FULL"));
    }
    if (n % 3 == 0) files_.LosePower();
    Kill();
    Open();
    WaitUntilRead(id);
    ASSERT_THAT(Append(id, "doc", "", /*finish=*/true, 3000), IsOk());
    WaitUntilRead(id);
    EXPECT_EQ(StateDigest(id), expected);
  }
  EXPECT_GT(changes, 8);
}

TEST_F(SnapshotsTest, OneThatCouldNotBeWrittenIsNotTakenForMade) {
  Open();
  CreateSession("session");
  for (const ByteOffset begin : {0, 1000}) {
    ASSERT_THAT(Append("session", "doc", SomeText(1000, begin), /*finish=*/false, begin), IsOk());
    WaitUntilRead("session");
    files_.FailAfter(0, MakeError(absl::StatusCode::kResourceExhausted, "full", {.reason = "DISK_FULL"}));
    EXPECT_THAT(Snapshot("session"), HasReason("DISK_FULL"));
    EXPECT_THAT(Snapshot("session"), HasReason("DISK_FULL")) << "the second time as well";
    files_.Heal();
    TOME_ASSERT_OK_AND_ASSIGN(const SnapshotInfo snapshot, Snapshot("session"));
    EXPECT_EQ(snapshot.ingested_bytes, manager_->Get("session")->ingested_bytes);
  }
}

TEST_F(SnapshotsTest, PowerLostAfterASnapshotWasToldLeavesIt) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(3000), /*finish=*/false), IsOk());
  WaitUntilRead("session");
  ASSERT_THAT(Snapshot("session"), IsOk());
  files_.LosePower();
  Kill();
  Open();
  const std::int64_t segments = Segments();
  WaitUntilRead("session");
  EXPECT_EQ(Segments(), segments);
  EXPECT_EQ(Events("snapshot_refused"), 0);
}

TEST_F(SnapshotsTest, DatabasesOfVersionTwoGetARegister) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(2000)), IsOk());
  WaitUntilRead("session");
  Kill();
  ASSERT_THAT(
      Database::Open(Folder("session") + "/session.db", Database::Mode::kOpen)
          ->Execute("ALTER TABLE session DROP COLUMN attention; ALTER TABLE session DROP COLUMN position_encoding; "
                    "ALTER TABLE session DROP COLUMN time_to_live; ALTER TABLE session DROP COLUMN pinned; "
                    "ALTER TABLE session DROP COLUMN last_use_time; DROP TABLE bases; DROP TABLE snapshots; "
                    "PRAGMA user_version = 2"),
      IsOk());
  Open();
  WaitUntilRead("session");
  EXPECT_THAT(Snapshot("session"), IsOk());
  Open();
  EXPECT_THAT(manager_->Get("session")->snapshots, SizeIs(1));
}

TEST_F(SnapshotsTest, WordsOfAnOlderVersionAreStemmedAnewWithoutReading) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(4000), /*finish=*/false), IsOk());
  WaitUntilRead("session");
  TOME_ASSERT_OK_AND_ASSIGN(const SnapshotInfo snapshot, Snapshot("session"));
  const std::string expected = ContentDigest("session", snapshot.number);
  const auto answer = Ask(QuestionTo("session")).results[0].value();
  Kill();
  MakeOld("session", snapshot.number);
  Open();
  const std::int64_t segments = Segments();
  const int written = Events("snapshot");
  WaitUntilRead("session");
  EXPECT_EQ(Segments(), segments) << "the model reads nothing again";
  EXPECT_EQ(Events("snapshot_refused"), 0);
  EXPECT_GE(Events("new_stems"), 1);
  EXPECT_EQ(Ask(QuestionTo("session")).results[0].value().answer, answer.answer);

  // It is kept as it is now, and the next start has nothing to do.
  events_.counts.WaitUntil([&](const auto& counts) { return counts.events.at("snapshot") > written; });
  EXPECT_EQ(StateDigest("session"), expected);
  const int made = Events("new_stems");
  Kill();
  Open();
  WaitUntilRead("session");
  EXPECT_EQ(Segments(), segments);
  EXPECT_EQ(Events("new_stems"), made);
}

TEST_F(SnapshotsTest, BytesBeforeADamagedChunkStillAnswer) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(4000), /*finish=*/false), IsOk());
  ASSERT_THAT(Append("session", "doc", SomeText(2000, 2), /*finish=*/true, 4000), IsOk());
  WaitUntilRead("session");
  ASSERT_THAT(Reread("session"), IsOk());
  Kill();
  ASSERT_THAT(Database::Open(Folder("session") + "/session.db", Database::Mode::kOpen)
                  ->Execute("UPDATE chunks SET crc32c = crc32c + 1 WHERE offset >= 4000; DELETE FROM snapshots"),
              IsOk());
  Open();
  WaitForProgress("session", [](const SessionProgress& progress) { return progress.phase == SessionPhase::kFailed; });
  const SessionInfo info = *manager_->Get("session");
  EXPECT_THAT(info.problem, HasSubstr("document 'doc': the stored bytes 4000 to 6000 are damaged"));
  const auto result = Ask(QuestionTo("session")).results[0];
  ASSERT_THAT(result, IsOk());
  EXPECT_GT(result->coverage.searchable_bytes, 3900u);
  EXPECT_LE(result->coverage.searchable_bytes, 4000u);
  QuestionRequest later = QuestionTo("session");
  later.wait_for_ingested_bytes = 5000;
  EXPECT_THAT(Ask(later).results[0], StatusIs(absl::StatusCode::kDataLoss, HasSubstr("4000 to 6000")));
  EXPECT_THAT(Append("session", "other", "more"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("4000 to 6000")));
}

}  // namespace
}  // namespace tome::server
