#include "engine/files/mapped_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::tome::testing::StatusIs;
using ::tome::testing::TempDir;

TEST(MappedFileTest, MapsAllBytes) {
  const TempDir folder;
  const std::string path = folder.Write("file", std::string_view("one\0two", 7));
  TOME_ASSERT_OK_AND_ASSIGN(const auto file, MappedFile::Open(path));
  EXPECT_EQ(file->view(), std::string_view("one\0two", 7));
  EXPECT_EQ(file->span().size(), 7u);
  EXPECT_EQ(file->path(), path);
}

TEST(MappedFileTest, AnEmptyFileIsEmpty) {
  const TempDir folder;
  TOME_ASSERT_OK_AND_ASSIGN(const auto file, MappedFile::Open(folder.Write("file", "")));
  EXPECT_EQ(file->size(), 0u);
  EXPECT_TRUE(file->view().empty());
}

TEST(MappedFileTest, StaysReadableWhenTheNameIsGone) {
  const TempDir folder;
  const std::string path = folder.Write("file", "kept");
  TOME_ASSERT_OK_AND_ASSIGN(const auto file, MappedFile::Open(path));
  ASSERT_EQ(unlink(path.c_str()), 0);
  EXPECT_EQ(file->view(), "kept");
}

TEST(MappedFileTest, RefusesWhatIsNotARegularFile) {
  const TempDir folder;
  EXPECT_THAT(
      MappedFile::Open(folder.File("absent")),
      StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr(folder.File("absent")), HasSubstr("no such file"))));
  const std::string plain = folder.Write("plain", "x");
  EXPECT_THAT(MappedFile::Open(plain + "/below"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("not a folder")));
  EXPECT_THAT(MappedFile::Open(folder.path().string()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected a regular file, found a folder")));
  ASSERT_EQ(mkfifo(folder.File("pipe").c_str(), 0600), 0);
  EXPECT_THAT(MappedFile::Open(folder.File("pipe")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("found another kind of file")));
}

TEST(MappedFileTest, SaysWhenPermissionIsMissing) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read every file";
  const TempDir folder;
  const std::string path = folder.Write("secret", "x");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  EXPECT_THAT(MappedFile::Open(path), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(path)));
}

}  // namespace
}  // namespace tome
