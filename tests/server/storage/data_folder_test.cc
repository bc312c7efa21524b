#include "server/storage/data_folder.h"

#include <unistd.h>

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using tome::testing::IsOk;
using tome::testing::StatusIs;

class DataFolderTest : public ::testing::Test {
 protected:
  static absl::Status Fill(const std::string& folder) {
    tome::testing::WriteFile(folder + "/session.db", "content");
    return absl::OkStatus();
  }

  tome::testing::TempDir temporary_;
  const std::string path_ = temporary_.File("data");
};

TEST_F(DataFolderTest, IsHeldByOneAtATime) {
  auto first = DataFolder::Open(path_);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(DataFolder::Open(path_), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("in use")));
  first->reset();
  EXPECT_THAT(DataFolder::Open(path_), IsOk());
}

TEST_F(DataFolderTest, AddsListsAndRemovesSessions) {
  auto folder = DataFolder::Open(path_).value();
  EXPECT_THAT(folder->Add("sess-a", Fill), IsOk());
  EXPECT_THAT(folder->Add("sess-b", Fill), IsOk());
  EXPECT_THAT(folder->ListSessions().value(), UnorderedElementsAre("sess-a", "sess-b"));
  EXPECT_TRUE(std::filesystem::exists(folder->DatabasePath("sess-a")));
  EXPECT_THAT(folder->Remove("sess-a"), IsOk());
  EXPECT_THAT(folder->ListSessions().value(), ElementsAre("sess-b"));
  EXPECT_THAT(folder->Remove("sess-a"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("sess-a")));
}

TEST_F(DataFolderTest, SessionThatCannotBeFilledLeavesNothing) {
  auto folder = DataFolder::Open(path_).value();
  const auto fail = [](const std::string& folder) {
    tome::testing::WriteFile(folder + "/session.db", "half");
    return absl::InternalError("disk on fire");
  };
  EXPECT_THAT(folder->Add("session", fail), StatusIs(absl::StatusCode::kInternal, HasSubstr("on fire")));
  EXPECT_THAT(folder->ListSessions().value(), IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(path_ + "/sessions"));
}

TEST_F(DataFolderTest, ClearsWhatACrashLeftAndKeepsWhatIsNotItsOwn) {
  for (const char* name : {"sess-a", ".new-sess-b", ".trash-sess-c", "NOTES"}) {
    std::filesystem::create_directories(path_ + "/sessions/" + name);
    tome::testing::WriteFile(path_ + "/sessions/" + name + "/session.db", "x");
  }
  auto folder = DataFolder::Open(path_).value();
  EXPECT_THAT(folder->ListSessions().value(), ElementsAre("sess-a"));
  EXPECT_FALSE(std::filesystem::exists(path_ + "/sessions/.new-sess-b"));
  EXPECT_FALSE(std::filesystem::exists(path_ + "/sessions/.trash-sess-c"));
  EXPECT_TRUE(std::filesystem::exists(path_ + "/sessions/NOTES"));
}

TEST_F(DataFolderTest, SaysWhyAFolderCannotBeUsed) {
  tome::testing::WriteFile(path_, "a file");
  EXPECT_THAT(DataFolder::Open(path_), StatusIs(absl::StatusCode::kNotFound, HasSubstr("Not a directory")));
  EXPECT_THAT(DataFolder::Open(path_ + "/below"), StatusIs(absl::StatusCode::kNotFound, HasSubstr(path_)));
  EXPECT_THAT(DataFolder::Open(temporary_.File("no/such")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no/such")));
  EXPECT_THAT(DataFolder::Open(""), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty")));
}

TEST_F(DataFolderTest, FolderWithoutPermissionIsRefusedUnchanged) {
  std::filesystem::create_directory(path_);
  std::filesystem::permissions(path_, std::filesystem::perms(0555));
  std::filesystem::permissions(temporary_.path(), std::filesystem::perms(0755));
  // Permissions do not bind root, who becomes nobody for the try.
  const bool is_root = geteuid() == 0;
  ASSERT_EQ(seteuid(is_root ? 65534 : geteuid()), 0);
  const absl::Status status = DataFolder::Open(path_).status();
  ASSERT_EQ(seteuid(is_root ? 0 : geteuid()), 0);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("cannot be written")));
  EXPECT_TRUE(std::filesystem::is_empty(path_));
  std::filesystem::permissions(path_, std::filesystem::perms(0755));
}

TEST(SessionIdTest, HasTheShapeOfTheContract) {
  for (const char* good : {"abcd", "a-b-", "a234", "session-2024"}) EXPECT_TRUE(IsSessionId(good)) << good;
  for (const char* bad : {"", "abc", "1bcd", "-bcd", "Abcd", "ab_d", "ab/d", "..", "abc\xC3\xA9"}) {
    EXPECT_FALSE(IsSessionId(bad)) << bad;
  }
  EXPECT_TRUE(IsSessionId(std::string(63, 'a')));
  EXPECT_FALSE(IsSessionId(std::string(64, 'a')));
}

}  // namespace
}  // namespace tome::server
