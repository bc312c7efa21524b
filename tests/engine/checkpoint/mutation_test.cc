// Drives the fuzz targets with seeded random mutations, so that every run of the suite tries some broken input.
#include <random>
#include <string>

#include "gtest/gtest.h"
#include "tests/fuzz/checkpoint_targets.h"
#include "tests/fuzz/mutate.h"

namespace tome::testing {
namespace {

class MutationTest : public ::testing::TestWithParam<FuzzTarget> {};

TEST_P(MutationTest, TakesItsSeeds) {
  for (const std::string& seed : GetParam().seeds()) EXPECT_TRUE(GetParam().run(seed));
}

TEST_P(MutationTest, SurvivesRandomMutations) {
  constexpr int kRounds = 1500;
  std::mt19937 random(20240807);
  const std::vector<std::string> seeds = GetParam().seeds();
  int refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    refused += !GetParam().run(Mutate(seeds[static_cast<std::size_t>(round) % seeds.size()], random));
  }
  EXPECT_GT(refused, kRounds / 4) << "the mutations break something";
}

INSTANTIATE_TEST_SUITE_P(Readers, MutationTest, ::testing::ValuesIn(CheckpointFuzzTargets()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace tome::testing
