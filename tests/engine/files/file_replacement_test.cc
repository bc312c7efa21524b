#include "engine/files/file_replacement.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::ReadFile;
using testing::StatusIs;

TEST(FileReplacement, TakesItsNameOnlyWhenItIsWhole) {
  const testing::TempDir folder;
  const std::string path = folder.Write("file", "old");
  TOME_ASSERT_OK_AND_ASSIGN(const auto file, FileReplacement::Begin(path));
  ASSERT_THAT(file->Write("new "), IsOk());
  ASSERT_THAT(file->Write("bytes"), IsOk());
  EXPECT_EQ(ReadFile(path), "old");
  ASSERT_THAT(file->Commit(), IsOk());
  EXPECT_EQ(ReadFile(path), "new bytes");
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST(FileReplacement, LeavesNothingOfWhatWasNotCommitted) {
  const testing::TempDir folder;
  const std::string path = folder.Write("file", "old");
  {
    TOME_ASSERT_OK_AND_ASSIGN(const auto file, FileReplacement::Begin(path));
    ASSERT_THAT(file->Write("new"), IsOk());
  }
  EXPECT_EQ(ReadFile(path), "old");
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST(FileReplacement, SaysWhatTheFileSystemSays) {
  const testing::TempDir folder;
  EXPECT_THAT(ReplaceFile(folder.File("absent/file"), "x"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
  EXPECT_THAT(ReplaceFile(folder.path().string(), "x").code(), ::testing::Ne(absl::StatusCode::kOk));
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "/dev/full is not on this machine";
  std::filesystem::create_symlink("/dev/full", folder.File("full.new"));
  EXPECT_THAT(ReplaceFile(folder.File("full"), "x"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("full.new: cannot write")));
}

}  // namespace
}  // namespace tome
