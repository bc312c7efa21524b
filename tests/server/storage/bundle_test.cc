#include "server/storage/bundle.h"

#include <random>

#include "gtest/gtest.h"
#include "tests/fuzz/bundle_target.h"

namespace tome::server {
namespace {

using tome::testing::RunBundle;

TEST(BundleTest, SeedsAreTakenAndChangedOnesAreNot) {
  for (const std::string& seed : tome::testing::BundleSeeds()) {
    EXPECT_TRUE(RunBundle(seed));
    for (std::size_t bit = 0; bit < 8 * seed.size(); ++bit) {
      std::string changed = seed;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      ASSERT_FALSE(RunBundle(changed)) << bit;
    }
    for (std::size_t size = 0; size < seed.size(); ++size) ASSERT_FALSE(RunBundle(seed.substr(0, size))) << size;
    EXPECT_FALSE(RunBundle(seed + seed));
  }
}

TEST(BundleTest, RandomDamageIsRefused) {
  std::mt19937 random(11);
  for (const std::string& seed : tome::testing::BundleSeeds()) {
    for (int i = 0; i < 2000; ++i) {
      std::string changed = seed;
      const std::size_t at = random() % changed.size(), length = random() % 20;
      if (random() % 2 == 0) changed.erase(at, length + 1);
      if (random() % 2 == 0) changed.insert(at % (changed.size() + 1), length + 1, static_cast<char>(random()));
      if (changed == seed) continue;
      ASSERT_FALSE(RunBundle(changed));
    }
  }
}

}  // namespace
}  // namespace tome::server
