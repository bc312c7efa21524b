// Sessions that are deleted when they were not used for long enough.
#include "tests/server/session/durability_fixture.h"

namespace tome::server {
namespace {

using ::testing::SizeIs;
using tome::testing::Awaited;
using tome::testing::HasReason;
using tome::testing::IsOk;
using tome::testing::SomeText;

class ExpiryTest : public tome::testing::DurabilityFixture {
 protected:
  ExpiryTest() { options_.expiry_interval = absl::Milliseconds(1); }

  absl::StatusOr<SessionInfo> Update(UpdateRequest request) {
    Awaited<absl::StatusOr<SessionInfo>> info;
    manager_->Update(std::move(request), info.callback());
    return info.Get();
  }
  void WaitForExpiries(int count) {
    events_.counts.WaitUntil([&](const auto& counts) {
      const auto found = counts.events.find("expired");
      return found != counts.events.end() && found->second >= count;
    });
    // It is gone from the list a moment later.
    manager_->BeginDrain();
    EXPECT_TRUE(manager_->WaitUntilDrained(absl::Seconds(60)));
  }
  // A session that expires first: when it has gone, those of a longer life were looked at as well.
  void LetTimePass(absl::Duration time) {
    const int before = Events("expired");
    ASSERT_THAT(Create({.session_id = "canary", .time_to_live = time - absl::Milliseconds(1)}), IsOk());
    clock_.Advance(time);
    WaitForExpiries(before + 1);
    Open();
    EXPECT_THAT(manager_->Get("canary"), HasReason("SESSION_NOT_FOUND"));
  }
};

TEST_F(ExpiryTest, UnusedSessionIsDeletedWithItsFiles) {
  Open();
  ASSERT_THAT(Create({.session_id = "brief", .time_to_live = absl::Hours(1)}), IsOk());
  CreateSession("kept");
  ASSERT_THAT(Append("brief", "doc", SomeText(500)), IsOk());
  WaitUntilRead("brief");
  const SessionInfo brief = *manager_->Get("brief");
  EXPECT_EQ(brief.expire_time, brief.last_use_time + absl::Hours(1));
  EXPECT_EQ(manager_->Get("kept")->expire_time, std::nullopt);
  clock_.Advance(absl::Hours(1) + absl::Seconds(1));
  WaitForExpiries(1);
  EXPECT_THAT(manager_->Get("brief"), HasReason("SESSION_NOT_FOUND"));
  EXPECT_FALSE(std::filesystem::exists(Folder("brief")));
  EXPECT_THAT(manager_->Get("kept"), IsOk());
}

TEST_F(ExpiryTest, UsesPutItOff) {
  Open();
  ASSERT_THAT(Create({.session_id = "session", .time_to_live = absl::Hours(1)}), IsOk());
  const std::vector<std::pair<const char*, std::function<void()>>> uses = {
      {"append", [&] { EXPECT_THAT(Append("session", "doc", SomeText(500), /*finish=*/false), IsOk()); }},
      {"watch", [&] { WaitUntilRead("session"); }},
      {"ask", [&] { EXPECT_THAT(Ask(QuestionTo("session")).results[0], IsOk()); }},
      {"snapshot", [&] { EXPECT_THAT(Snapshot("session"), IsOk()); }},
      {"reread", [&] { EXPECT_THAT(Reread("session"), IsOk()); }},
      {"fork", [&] { EXPECT_THAT(Fork({.session_id = "session", .new_session_id = "fork"}), IsOk()); }},
      {"rename", [&] { EXPECT_THAT(Update({.session_id = "session", .display_name = "name"}), IsOk()); }}};
  for (const auto& [name, use] : uses) {
    SCOPED_TRACE(name);
    LetTimePass(absl::Minutes(40));
    use();
    WaitUntilRead("session");
  }
  LetTimePass(absl::Minutes(40));
  ASSERT_THAT(manager_->Get("session"), IsOk());
  ASSERT_THAT(manager_->List({.page_size = 10}), IsOk());
  LetTimePass(absl::Minutes(40));
  EXPECT_THAT(manager_->Get("session"), HasReason("SESSION_NOT_FOUND")) << "to look at it is no use of it";
}

TEST_F(ExpiryTest, PinnedOnesStayAndAnUpdateCanChangeAll) {
  Open();
  ASSERT_THAT(Create({.session_id = "session", .time_to_live = absl::Hours(1), .pinned = true}), IsOk());
  EXPECT_EQ(manager_->Get("session")->expire_time, std::nullopt);
  LetTimePass(absl::Hours(2));
  ASSERT_THAT(Update({.session_id = "session", .pinned = false}), IsOk());
  LetTimePass(absl::Minutes(40));
  ASSERT_THAT(manager_->Get("session"), IsOk()) << "the update was a use";
  ASSERT_THAT(Update({.session_id = "session", .time_to_live = absl::ZeroDuration()}), IsOk());
  LetTimePass(absl::Hours(1000));
  ASSERT_THAT(manager_->Get("session"), IsOk());
  TOME_ASSERT_OK_AND_ASSIGN(const SessionInfo info,
                            Update({.session_id = "session", .time_to_live = absl::Minutes(30)}));
  EXPECT_EQ(info.time_to_live, absl::Minutes(30));
  Open();
  EXPECT_EQ(manager_->Get("session")->time_to_live, absl::Minutes(30));
  LetTimePass(absl::Hours(1));
  EXPECT_THAT(manager_->Get("session"), HasReason("SESSION_NOT_FOUND"));
}

TEST_F(ExpiryTest, TheLastUseOutlivesAStopAlmostExactly) {
  Open();
  ASSERT_THAT(Create({.session_id = "session", .time_to_live = absl::Hours(16)}), IsOk());
  ASSERT_THAT(Append("session", "doc", SomeText(500)), IsOk());
  WaitUntilRead("session");
  clock_.Advance(absl::Hours(10));
  ASSERT_THAT(Ask(QuestionTo("session")).results[0], IsOk());
  const absl::Time used = manager_->Get("session")->last_use_time;
  clock_.Advance(absl::Minutes(30));
  ASSERT_THAT(Ask(QuestionTo("session")).results[0], IsOk());
  const absl::Time used_last = manager_->Get("session")->last_use_time;
  Kill();
  clock_.Advance(absl::Hours(2));
  Open();
  EXPECT_GE(manager_->Get("session")->last_use_time, used_last) << "it never expires too early";
  EXPECT_LE(manager_->Get("session")->last_use_time, used + absl::Hours(1)) << "a sixteenth of its time";
  LetTimePass(absl::Hours(17));
  EXPECT_THAT(manager_->Get("session"), HasReason("SESSION_NOT_FOUND"));
}

}  // namespace
}  // namespace tome::server
