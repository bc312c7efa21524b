#include "server/session/session_archive.h"

#include <random>

#include "gtest/gtest.h"
#include "tests/fuzz/session_archive_target.h"

namespace tome::server {
namespace {

using tome::testing::RunSessionArchive;

TEST(SessionArchiveTest, SeedsAreTakenAndChangedOnesAreNot) {
  for (const std::string& seed : tome::testing::SessionArchiveSeeds()) {
    EXPECT_TRUE(RunSessionArchive(seed));
    for (std::size_t bit = 0; bit < 8 * seed.size(); ++bit) {
      std::string changed = seed;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      ASSERT_FALSE(RunSessionArchive(changed)) << bit;
    }
    for (std::size_t size = 0; size < seed.size(); ++size)
      ASSERT_FALSE(RunSessionArchive(seed.substr(0, size))) << size;
    EXPECT_FALSE(RunSessionArchive(seed + seed));
  }
}

TEST(SessionArchiveTest, RandomDamageIsRefused) {
  std::mt19937 random(11);
  for (const std::string& seed : tome::testing::SessionArchiveSeeds()) {
    for (int i = 0; i < 2000; ++i) {
      std::string changed = seed;
      const std::size_t at = random() % changed.size(), length = random() % 20;
      if (random() % 2 == 0) changed.erase(at, length + 1);
      if (random() % 2 == 0) changed.insert(at % (changed.size() + 1), length + 1, static_cast<char>(random()));
      if (changed == seed) continue;
      ASSERT_FALSE(RunSessionArchive(changed));
    }
  }
}

}  // namespace
}  // namespace tome::server
