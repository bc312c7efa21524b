// Databases of sessions that nobody uses are closed: each takes three files and a hundred kilobytes.
#include <filesystem>
#include <thread>

#include "tests/server/session/manager_fixture.h"

namespace tome::server {
namespace {

using tome::testing::IsOk;

class IdleStoresTest : public tome::testing::ManagerFixture {
 protected:
  // Files of the data folder that this process has open, but for its lock.
  static int OpenDatabases() {
    int open = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
      if (target.find(".db") != std::string::npos) ++open;
    }
    return open;
  }
  static void ExpectNoneIsOpenSoon() {
    const auto end = std::chrono::steady_clock::now() + tome::testing::kHangs;
    while (OpenDatabases() > 0 && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    EXPECT_EQ(OpenDatabases(), 0);
  }
};

TEST_F(IdleStoresTest, AreClosedAfterTheLastCommit) {
  Open();
  for (int i = 0; i < 20; ++i) {
    const std::string id = CreateSession("session-" + std::to_string(i));
    ASSERT_THAT(Append(id, "empty", ""), IsOk());
  }
  ExpectNoneIsOpenSoon();
  ASSERT_THAT(Append("session-7", "more", ""), IsOk()) << "it opens again";
  ExpectNoneIsOpenSoon();
}

}  // namespace
}  // namespace tome::server
