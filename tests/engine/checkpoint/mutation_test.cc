// Drives the fuzz targets with seeded random mutations, so that every run of the suite tries some broken input.
#include <algorithm>
#include <random>
#include <string>

#include "gtest/gtest.h"
#include "tests/fuzz/checkpoint_targets.h"

namespace tome::testing {
namespace {

class MutationTest : public ::testing::TestWithParam<FuzzTarget> {};

TEST_P(MutationTest, TakesItsSeeds) {
  for (const std::string& seed : GetParam().seeds()) EXPECT_TRUE(GetParam().run(seed));
}

// A few changes of the kinds that parsers trip over. Half of them fall into the first bytes, where the structure is.
std::string Mutate(std::string bytes, std::mt19937& random) {
  const auto below = [&](std::size_t limit) { return limit == 0 ? 0 : random() % limit; };
  constexpr unsigned char kTelling[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '"', '{', '}', '[', ']', '-', '9', ','};
  const std::size_t changes = 1 + below(4);
  for (std::size_t i = 0; i < changes; ++i) {
    const std::size_t reach = random() % 2 == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 1024);
    const std::size_t at = below(reach), length = std::min<std::size_t>(1 + below(16), bytes.size() - at);
    switch (random() % 6) {
      case 0:
        if (at < bytes.size()) bytes[at] ^= static_cast<char>(1 << below(8));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<char>(kTelling[below(std::size(kTelling))]);
        break;
      case 2:
        for (std::size_t k = 0; k < std::min<std::size_t>(length, 8); ++k) bytes[at + k] = '\xff';
        break;
      case 3:
        bytes.erase(at, length);
        break;
      case 4:
        bytes.insert(at, bytes.substr(below(bytes.size()), length));
        break;
      default:
        bytes.resize(below(bytes.size() + 1));
        break;
    }
  }
  return bytes;
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
