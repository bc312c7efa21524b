#include "engine/text/tokenizers/bpe_merger.h"

#include <map>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace tome::testing {
namespace {

constexpr int kLetters = 4;  // 'a' to 'd' are tokens 0 to 3

// A merger over a few letters with random merges, and the same merges for the slow twin.
struct RandomMerges {
  explicit RandomMerges(int seed) : merger(ByteTokens()) {
    std::mt19937 random(seed);
    TokenId next = kLetters;
    for (int rank = 0; rank < 40; ++rank) {
      const TokenId left = static_cast<TokenId>(random() % next), right = static_cast<TokenId>(random() % next);
      if (!merger.AddMerge(left, right, next)) continue;
      rules.push_back({{left, right}, next});
      ++next;
    }
  }
  static std::array<TokenId, 256> ByteTokens() {
    std::array<TokenId, 256> tokens;
    tokens.fill(BpeMerger::kNoToken);
    for (int i = 0; i < kLetters; ++i) tokens['a' + i] = i;
    return tokens;
  }
  BpeMerger merger;
  std::vector<std::pair<std::pair<TokenId, TokenId>, TokenId>> rules;
};

// Obviously right: rule by rule from the best, but always the best rule that fits now, its leftmost place first.
std::vector<TextToken> MergeSlowly(const RandomMerges& merges, const std::string& word) {
  std::vector<TextToken> tokens;
  for (const char letter : word) tokens.push_back({letter - 'a', 1});
  const auto merge_once = [&] {
    for (const auto& [pair, merged] : merges.rules) {
      for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
        if (tokens[i].id != pair.first || tokens[i + 1].id != pair.second) continue;
        tokens[i] = {merged, tokens[i].num_bytes + tokens[i + 1].num_bytes};
        tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        return true;
      }
    }
    return false;
  };
  while (merge_once()) {
  }
  return tokens;
}

TEST(BpeMergerTest, EqualsTheSlowTwinForShortAndLongWords) {
  for (int seed = 0; seed < 60; ++seed) {
    const RandomMerges merges(seed);
    std::mt19937 random(seed);
    for (const int length : {1, 2, 3, 10, 47, 48, 49, 50, 200}) {
      std::string word;
      for (int i = 0; i < length; ++i) word += static_cast<char>('a' + random() % (1 + seed % kLetters));
      std::vector<TextToken> tokens;
      merges.merger.Merge(word, &tokens);
      EXPECT_EQ(tokens, MergeSlowly(merges, word)) << "seed " << seed << ", word " << word;
    }
  }
}

TEST(BpeMergerTest, RefusesAPairTwice) {
  BpeMerger merger(RandomMerges::ByteTokens());
  EXPECT_TRUE(merger.AddMerge(0, 1, 4));
  EXPECT_TRUE(merger.AddMerge(1, 0, 5));
  EXPECT_FALSE(merger.AddMerge(0, 1, 6));
}

TEST(BpeMergerTest, AddsToWhatIsThere) {
  BpeMerger merger(RandomMerges::ByteTokens());
  std::vector<TextToken> tokens = {{9, 9}};
  merger.Merge("ab", &tokens);
  merger.Merge("", &tokens);
  EXPECT_EQ(tokens, (std::vector<TextToken>{{9, 9}, {0, 1}, {1, 1}}));
}

}  // namespace
}  // namespace tome::testing
