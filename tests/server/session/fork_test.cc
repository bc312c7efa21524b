// Forks: sessions that share bytes and state until one of them changes.
#include <sys/stat.h>

#include <filesystem>

#include "tests/server/session/durability_fixture.h"
#include "tests/server/storage/faulty_vfs.h"

namespace tome::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using tome::testing::Awaited;
using tome::testing::DiskFault;
using tome::testing::FaultyVfs;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::kTinyMemoryOptions;
using tome::testing::SomeText;
using tome::testing::StatusIs;
using tome::testing::TinyServerModel;

class ForkTest : public tome::testing::DurabilityFixture {
 protected:
  // The state of a session whose bytes are read again from the disk.
  std::string DigestFromDisk(const std::string& id) {
    EXPECT_THAT(Reread(id), IsOk());
    WaitUntilRead(id);
    return StateDigest(id);
  }

  std::vector<std::string> Bases(const std::string& id) const {
    std::vector<std::string> bases;
    for (const auto& entry : std::filesystem::directory_iterator(Folder(id))) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("base-")) bases.push_back(entry.path().string());
    }
    return bases;
  }
  std::vector<std::string> ListedIds() const {
    std::vector<std::string> ids;
    const SessionPage page = manager_->List({.page_size = 100, .order_by = "name"}).value();
    for (const SessionInfo& info : page.sessions) ids.push_back(info.id);
    return ids;
  }
  static nlink_t Links(const std::string& path) {
    struct stat status = {};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status.st_nlink;
  }
};

TEST_F(ForkTest, HasWhatTheSessionHasAndReadsNothing) {
  Open();
  ASSERT_THAT(Create({.session_id = "session",
                      .display_name = "Name",
                      .labels = {{"key", "value"}},
                      .time_to_live = absl::Hours(1),
                      .pinned = true}),
              IsOk());
  ASSERT_THAT(Append("session", "doc", SomeText(3000)), IsOk());
  ASSERT_THAT(Append("session", "open", SomeText(500, 1), /*finish=*/false), IsOk());
  WaitUntilRead("session");
  const SessionInfo session = *manager_->Get("session");
  const std::int64_t segments = Segments();

  TOME_ASSERT_OK_AND_ASSIGN(const SessionInfo made, Fork({.session_id = "session", .new_session_id = "fork"}));
  EXPECT_EQ(made.display_name, "Name");
  EXPECT_EQ(made.labels, session.labels);
  EXPECT_EQ(made.time_to_live, absl::Hours(1));
  EXPECT_FALSE(made.pinned);
  WaitUntilRead("fork");
  const SessionInfo fork = *manager_->Get("fork");
  EXPECT_EQ(fork.state_place, StatePlace::kResident);
  EXPECT_EQ(fork.ingested_bytes, session.ingested_bytes);
  EXPECT_EQ(fork.ingested_tokens, session.ingested_tokens);
  EXPECT_EQ(fork.state_bytes, session.state_bytes);
  ASSERT_THAT(fork.documents, SizeIs(2));
  EXPECT_EQ(fork.documents[1].durable_bytes, 500u);
  EXPECT_FALSE(fork.documents[1].sealed);
  const auto theirs = Ask(QuestionTo("session")).results[0].value(), ours = Ask(QuestionTo("fork")).results[0].value();
  EXPECT_EQ(ours.answer, theirs.answer);
  EXPECT_EQ(ours.coverage.exact, theirs.coverage.exact);
  EXPECT_EQ(Segments(), segments);
  EXPECT_EQ(Events("restoring"), 0) << "nothing was lost that would have to come back";
}

TEST_F(ForkTest, EitherSideGoesOnByItself) {
  const std::string text = SomeText(2500), left = SomeText(1200, 1), right = SomeText(900, 2);
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", text, /*finish=*/false), IsOk());
  WaitUntilRead("session");
  ASSERT_THAT(Fork({.session_id = "session", .new_session_id = "fork"}), IsOk());
  ASSERT_THAT(Append("session", "doc", left, /*finish=*/true, text.size()), IsOk());
  ASSERT_THAT(Append("fork", "doc", right, /*finish=*/true, text.size()), IsOk());
  WaitUntilRead("session");
  WaitUntilRead("fork");
  EXPECT_EQ(StateDigest("session"), DigestOf(text + left));
  EXPECT_EQ(StateDigest("fork"), DigestOf(text + right));
  EXPECT_EQ(DigestFromDisk("session"), DigestOf(text + left));
  EXPECT_EQ(DigestFromDisk("fork"), DigestOf(text + right));
  // What was stored before the fork can be repeated, by either.
  EXPECT_THAT(Append("fork", "doc", text.substr(0, 100), /*finish=*/false, 0), IsOk());
  EXPECT_THAT(Append("session", "doc", right.substr(0, 100), /*finish=*/false, text.size()),
              HasReason("CONTENT_MISMATCH"));
}

TEST_F(ForkTest, MadeWhileTheSessionIsReadReadsTheRest) {
  const std::string text = SomeText(6000);
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", text.substr(0, 5000), /*finish=*/false), IsOk());
  for (const char* id : {"fork-a", "fork-b", "fork-c"}) {
    ASSERT_THAT(Fork({.session_id = "session", .new_session_id = id}), IsOk());
    ASSERT_THAT(Append(id, "doc", text.substr(5000), /*finish=*/true, 5000), IsOk());
  }
  ASSERT_THAT(Append("session", "doc", text.substr(5000), /*finish=*/true, 5000), IsOk());
  const std::string expected = DigestOf(text);
  for (const char* id : {"session", "fork-a", "fork-b", "fork-c"}) {
    WaitUntilRead(id);
    EXPECT_EQ(StateDigest(id), expected) << id;
  }
}

TEST_F(ForkTest, OfASessionOnDiskIsRestoredFromTheSharedSnapshot) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(3000)), IsOk());
  WaitUntilRead("session");
  const std::string expected = StateDigest("session");
  Open();
  ASSERT_EQ(manager_->Get("session")->state_place, StatePlace::kEvicted);
  ASSERT_THAT(Fork({.session_id = "session", .new_session_id = "fork"}), IsOk());
  EXPECT_EQ(manager_->Get("fork")->state_place, StatePlace::kEvicted);
  EXPECT_EQ(manager_->Get("session")->state_place, StatePlace::kEvicted);
  EXPECT_EQ(Links(Folder("fork") + "/snapshot-" + std::to_string(manager_->Get("fork")->snapshots.at(0).number)), 2u);
  const std::int64_t segments = Segments();
  WaitUntilRead("fork");
  EXPECT_EQ(Segments(), segments);
  EXPECT_EQ(StateDigest("fork"), expected);
  Open();
  EXPECT_EQ(DigestFromDisk("fork"), expected);
}

TEST_F(ForkTest, WithoutRoomIsEvictedAndTakesItsTurn) {
  options_.max_state_bytes =
      Memory::MaxStateBytes(TinyServerModel()->info().config, kTinyMemoryOptions, TinyServerModel()->info().precision);
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(2000)), IsOk());
  WaitUntilRead("session");
  const std::string expected = StateDigest("session");
  ASSERT_THAT(Fork({.session_id = "session", .new_session_id = "fork"}), IsOk());
  WaitUntilRead("fork");
  EXPECT_EQ(StateDigest("fork"), expected);
  EXPECT_EQ(manager_->Get("session")->state_place, StatePlace::kEvicted);
  WaitUntilRead("session");
  EXPECT_EQ(StateDigest("session"), expected);
}

TEST_F(ForkTest, ForksOfForksOutliveThoseTheyCameFrom) {
  std::string text = SomeText(1000);
  Open();
  CreateSession("gen-0");
  ASSERT_THAT(Append("gen-0", "doc", text, /*finish=*/false), IsOk());
  for (int i = 1; i <= 3; ++i) {
    const std::string id = "gen-" + std::to_string(i), parent = "gen-" + std::to_string(i - 1);
    ASSERT_THAT(Fork({.session_id = parent, .new_session_id = id}), IsOk());
    const std::string more = SomeText(700, i);
    ASSERT_THAT(Append(id, "doc", more, /*finish=*/false, text.size()), IsOk());
    text += more;
  }
  ASSERT_THAT(Append("gen-3", "doc", "", /*finish=*/true, text.size()), IsOk());
  EXPECT_THAT(Bases("gen-0"), SizeIs(1));
  EXPECT_THAT(Bases("gen-3"), SizeIs(3));
  const std::string base = Bases("gen-0")[0];
  EXPECT_EQ(Links(base), 4u);
  const std::string expected = DigestOf(text);
  const std::string held = Folder("gen-3") + "/" + std::filesystem::path(base).filename().string();
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(Delete("gen-" + std::to_string(i)), IsOk());
    EXPECT_EQ(Links(held), static_cast<nlink_t>(3 - i)) << "its bytes are freed with the last one";
  }
  EXPECT_EQ(DigestFromDisk("gen-3"), expected);
  Open();
  EXPECT_EQ(DigestFromDisk("gen-3"), expected);
  ASSERT_THAT(Delete("gen-3"), IsOk());
  EXPECT_TRUE(std::filesystem::is_empty(options_.data_folder + "/sessions"));
}

TEST_F(ForkTest, RepeatedForksShareOneBase) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(1000), /*finish=*/false), IsOk());
  for (const char* id : {"fork-a", "fork-b", "fork-c"}) {
    ASSERT_THAT(Fork({.session_id = "session", .new_session_id = id}), IsOk());
  }
  ASSERT_THAT(Fork({.session_id = "fork-a", .new_session_id = "fork-d"}), IsOk());
  ASSERT_THAT(Bases("session"), SizeIs(1));
  EXPECT_EQ(Links(Bases("session")[0]), 5u);
}

TEST_F(ForkTest, GenerationsHaveAnEndThatIsTold) {
  Open();
  CreateSession("session");
  absl::StatusOr<SessionInfo> made;
  int forks = 0;
  for (; forks < 100; ++forks) {
    ASSERT_THAT(Append("session", "doc", "more ", /*finish=*/false, 5 * forks), IsOk());
    made = Fork({.session_id = "session"});
    if (!made.ok()) break;
  }
  EXPECT_THAT(made, AllOf(StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("export and import")),
                          HasReason("FORK_DEPTH")));
  EXPECT_EQ(forks, 32);
  EXPECT_THAT(Append("session", "doc", "more ", /*finish=*/true, 5 * (forks + 1)), IsOk()) << "it is as it was";
  EXPECT_EQ(DigestFromDisk("session"), DigestOf([&] {
              std::string text;
              for (int i = 0; i < forks + 2; ++i) text += "more ";
              return text;
            }()));
}

TEST_F(ForkTest, IsMadeOnceForARequestAndRefusedWhereItCannotBe) {
  Open();
  CreateSession("session");
  CreateSession("other");
  EXPECT_THAT(Fork({.session_id = "none"}), HasReason("SESSION_NOT_FOUND"));
  EXPECT_THAT(Fork({.session_id = "session", .new_session_id = "other"}), HasReason("SESSION_EXISTS"));
  TOME_ASSERT_OK_AND_ASSIGN(const SessionInfo first, Fork({.session_id = "session", .request_id = "again"}));
  TOME_ASSERT_OK_AND_ASSIGN(const SessionInfo second, Fork({.session_id = "session", .request_id = "again"}));
  EXPECT_EQ(first.id, second.id);
  options_.max_sessions = 3;
  Open();
  EXPECT_THAT(Fork({.session_id = "session"}), HasReason("SESSION_LIMIT"));
  EXPECT_EQ(Fork({.session_id = "session", .request_id = "again"})->id, first.id);
  manager_->BeginDrain();
  EXPECT_THAT(Fork({.session_id = "session"}), HasReason("DRAINING"));
}

TEST_F(ForkTest, LostBaseIsToldByItsName) {
  Open();
  CreateSession("session");
  ASSERT_THAT(Append("session", "doc", SomeText(1000), /*finish=*/false), IsOk());
  ASSERT_THAT(Fork({.session_id = "session", .new_session_id = "fork"}), IsOk());
  manager_.reset();
  const std::string base = Bases("fork").at(0);
  std::filesystem::remove(base);
  Open();
  const SessionInfo fork = *manager_->Get("fork");
  EXPECT_EQ(fork.phase, SessionPhase::kFailed);
  EXPECT_THAT(fork.problem, HasSubstr(std::filesystem::path(base).filename().string() + " is missing"));
  EXPECT_THAT(Append("fork", "doc", "x", false, 1000), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("missing")));
  WaitUntilRead("session");
}

// What a fork may leave after it failed or the machine died: nothing, or all of it.
class ForkFaultsTest : public ForkTest {
 protected:
  // A session with some text, of which one base is there before `fail` is called. `fail` makes its n-th call fail, and
  // tells whether there was one.
  template <typename Fail, typename Heal>
  int RunAll(Fail fail, Heal heal) {
    const std::string text = SomeText(500);
    Open();
    const std::string expected = DigestOf(text);
    int calls = 1;
    for (int n = 0; n < calls; ++n) {
      SCOPED_TRACE(n);
      CreateSession("session");
      EXPECT_THAT(Append("session", "doc", text.substr(0, 250), /*finish=*/false), IsOk());
      EXPECT_THAT(Fork({.session_id = "session", .new_session_id = "older"}), IsOk());
      EXPECT_THAT(Append("session", "doc", text.substr(250), /*finish=*/true, 250), IsOk());
      WaitUntilRead("session");
      EXPECT_THAT(Snapshot("session"), IsOk());
      fail(n);
      const absl::Status made = Fork({.session_id = "session", .new_session_id = "fork"}).status();
      calls = std::max(calls, heal(n) + 1);
      Open();
      if (made.ok()) {
        EXPECT_THAT(ListedIds(), ElementsAre("fork", "older", "session"));
      }
      for (const std::string& id : ListedIds()) {
        if (id == "older") continue;
        EXPECT_EQ(DigestFromDisk(id), expected) << id;
      }
      // All can be forked again, and nothing of the failure stays.
      EXPECT_THAT(Fork({.session_id = "session", .new_session_id = "later"}), IsOk());
      EXPECT_THAT(Bases("session"), SizeIs(2));
      EXPECT_EQ(DigestFromDisk("later"), expected);
      for (const std::string& id : ListedIds()) EXPECT_THAT(Delete(id), IsOk());
    }
    return calls;
  }
};

TEST_F(ForkFaultsTest, EveryFailingFileCallLeavesNothingOrAll) {
  const int calls = RunAll(
      [&](int n) {
        files_.FailAfter(n, MakeError(absl::StatusCode::kResourceExhausted, "full", {.reason = "DISK_FULL"}));
      },
      [&](int n) {
        const int made = files_.Heal();
        if (n % 2 == 0) files_.LosePower();
        return made;
      });
  EXPECT_GT(calls, 7);
}

TEST_F(ForkFaultsTest, EveryFailingDatabaseCallLeavesNothingOrAll) {
  FaultyVfs vfs;
  const int calls = RunAll([&](int n) { vfs.FailAfter(n, n % 2 == 0 ? DiskFault::kFull : DiskFault::kIoError); },
                           [&](int) { return vfs.Heal(); });
  EXPECT_GT(calls, 10);
  manager_.reset();  // before the databases' file system goes
}

}  // namespace
}  // namespace tome::server
