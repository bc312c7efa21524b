#include "engine/files/spill_folder.h"

#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using ::tome::testing::IsOk;
using ::tome::testing::StatusIs;
using ::tome::testing::TempDir;

// Lets this process write no more than so many bytes into a file, while it lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }

 private:
  rlimit before_;
  void (*signal_)(int);
};

TEST(SpillFolderTest, GivesBackWhatItTookAtAlignedPlaces) {
  const TempDir folder;
  SpillFolder spill(folder.path().string(), 0);
  const std::string pieces[] = {"one", "", std::string(5000, 'x'), std::string(16, '\0')};
  TOME_ASSERT_OK_AND_ASSIGN(const SpilledPieces spilled, spill.Write({{pieces[0], pieces[1], pieces[2], pieces[3]}}));
  ASSERT_EQ(spilled.pieces.size(), 4u);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(spilled.pieces[i], pieces[i]);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(spilled.pieces[i].data()) % SpillFolder::kAlignment, 0u);
  }
  EXPECT_EQ(spill.failures().count, 0);
}

TEST(SpillFolderTest, FilesHaveNoName) {
  const TempDir folder;
  SpillFolder spill(folder.path().string(), 0);
  TOME_ASSERT_OK_AND_ASSIGN(const SpilledPieces spilled, spill.Write({{"kept"}}));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  std::filesystem::remove(folder.path());
  EXPECT_EQ(spilled.pieces[0], "kept");
}

TEST(SpillFolderTest, ManyThreadsMayWrite) {
  const TempDir folder;
  SpillFolder spill(folder.path().string(), 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&spill, i] {
      const std::string piece(1000, static_cast<char>('a' + i));
      for (int round = 0; round < 20; ++round) {
        const absl::StatusOr<SpilledPieces> spilled = spill.Write({{piece}});
        ASSERT_THAT(spilled, IsOk());
        EXPECT_EQ(spilled->pieces[0], piece);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(SpillFolderTest, CountsFailures) {
  const TempDir folder;
  SpillFolder spill(folder.File("absent"), 0);
  EXPECT_THAT(spill.Write({{"x"}}), StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
  EXPECT_THAT(spill.Write({{"x"}}), StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
  EXPECT_EQ(spill.failures().count, 2);
  EXPECT_THAT(spill.failures().last, StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
  EXPECT_THAT(spill.Prepare(), IsOk());
  EXPECT_THAT(spill.Write({{"x"}}), IsOk());
  EXPECT_EQ(spill.failures().count, 2);
}

TEST(SpillFolderTest, FileThatEndsHalfWayIsAnErrorAndLeavesNothing) {
  const TempDir folder;
  SpillFolder spill(folder.path().string(), 0);
  const std::string first(3000, 'a'), second(3000, 'b');
  {
    const FileSizeLimit limit(4096);
    EXPECT_THAT(spill.Write({{first, second}}), StatusIs(absl::StatusCode::kInternal, HasSubstr("cannot write")));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_THAT(spill.Write({{first, second}}), IsOk());
}

TEST(SpillFolderTest, PrepareSaysWhyAFolderCannotBeUsed) {
  const TempDir folder;
  EXPECT_THAT(SpillFolder(folder.File("new"), 0).Prepare(), IsOk());
  EXPECT_THAT(SpillFolder(folder.File("new"), 0).Prepare(), IsOk());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "new"));
  EXPECT_THAT(SpillFolder(folder.File("far/away"), 0).Prepare(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("far/away")));
  EXPECT_THAT(SpillFolder(folder.Write("file", "x"), 0).Prepare(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("not a folder")));
  EXPECT_FALSE(SpillFolder("/proc", 0).Prepare().ok());
}

}  // namespace
}  // namespace tome
