#include "engine/evaluation/figures/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace tome {
namespace {

using ::testing::ElementsAre;

TEST(Rank, CountsTiesAgainstTheWantedRegion) {
  const std::vector<float> scores = {3, 1, 2, 2, 0};
  const auto rank = [&](std::vector<std::int64_t> wanted) { return RankByScore(scores, wanted); };
  EXPECT_EQ(rank({0}), 1);
  EXPECT_EQ(rank({2}), 3);
  EXPECT_EQ(rank({3}), 3);
  EXPECT_EQ(rank({2, 3}), 2) << "two wanted regions do not stand in each other's way";
  EXPECT_EQ(rank({1, 2}), 3) << "the best of the wanted counts";
  EXPECT_EQ(rank({1}), 4);
  EXPECT_EQ(rank({4}), 0) << "a score of 0 is not found";
  EXPECT_EQ(rank({}), 0);
}

TEST(Rank, InAListIsThatOfTheFirstWanted) {
  const std::vector<std::int64_t> list = {7, 3, 9};
  EXPECT_EQ(RankInList(list, std::vector<std::int64_t>{9, 3}), 2);
  EXPECT_EQ(RankInList(list, std::vector<std::int64_t>{7}), 1);
  EXPECT_EQ(RankInList(list, std::vector<std::int64_t>{8}), 0);
  EXPECT_EQ(RankInList({}, std::vector<std::int64_t>{8}), 0);
}

TEST(Recall, IsTheShareOfRanksUpToEachDepth) {
  Recall recall;
  EXPECT_EQ(recall.Format(), "-");
  for (const int rank : {1, 4, 5, 0}) recall.Add(rank);
  EXPECT_THAT(recall.shares(), ElementsAre(0.25, 0.5, 0.75, 0.75, 0.75));
  EXPECT_DOUBLE_EQ(recall.mean(), 0.6);
  EXPECT_EQ(recall.Format(), ".25/.50/.75/.75/.75");
  EXPECT_EQ(FormatShare(1), "1.0");
  EXPECT_EQ(FormatShare(0.999), "1.0");
}

TEST(AreaUnderCurve, IsTheShareOfPairsInOrder) {
  EXPECT_DOUBLE_EQ(AreaUnderCurve(std::vector<double>{2, 3}, std::vector<double>{1, 2.5}), 0.75);
  EXPECT_DOUBLE_EQ(AreaUnderCurve(std::vector<double>{1}, std::vector<double>{1}), 0.5);
  EXPECT_DOUBLE_EQ(AreaUnderCurve({}, std::vector<double>{1}), 0.5);
}

TEST(AnswerMeasures, NormaliseAsSquadDoes) {
  EXPECT_EQ(NormalizeAnswer("The  Sea-Captain's, an  Answer."), "seacaptains answer");
  EXPECT_EQ(NormalizeAnswer(" a an the "), "");
}

TEST(AnswerMeasures, F1IsOfWordsAndTheBestReferenceCounts) {
  EXPECT_DOUBLE_EQ(TokenF1("In the valley of Moab", std::vector<std::string>{"Moab", "a valley in the land of Moab"}),
                   2.0 * 4 / (4 + 5));
  EXPECT_DOUBLE_EQ(TokenF1("Moab Moab", std::vector<std::string>{"Moab"}), 2.0 * 1 / 3) << "a word counts once";
  EXPECT_DOUBLE_EQ(TokenF1("Nebo", std::vector<std::string>{"Moab"}), 0);
  EXPECT_DOUBLE_EQ(TokenF1("", std::vector<std::string>{"Moab"}), 0);
  EXPECT_DOUBLE_EQ(TokenF1("the", std::vector<std::string>{"The"}), 1);
}

TEST(AnswerMeasures, RougeLIsOfTheLongestCommonSubsequence) {
  EXPECT_DOUBLE_EQ(RougeL("police killed the gunman", std::vector<std::string>{"gunman police killed"}), 2.0 * 2 / 6);
  EXPECT_DOUBLE_EQ(RougeL("he kept his word", std::vector<std::string>{"x", "he broke his given word"}), 2.0 * 3 / 9);
  EXPECT_DOUBLE_EQ(RougeL("", std::vector<std::string>{"word"}), 0);
  EXPECT_DOUBLE_EQ(RougeL("The same.", std::vector<std::string>{"same"}), 1);
}

TEST(AnswerMeasures, ContainsLooksForWholeWords) {
  EXPECT_TRUE(ContainsAnswer("He died on Mount Nebo.", std::vector<std::string>{"mount nebo"}));
  EXPECT_FALSE(ContainsAnswer("He counted 1234 sheep", std::vector<std::string>{"123"}));
  EXPECT_FALSE(ContainsAnswer("anything", std::vector<std::string>{"the"})) << "an empty reference is in nothing";
}

}  // namespace
}  // namespace tome
