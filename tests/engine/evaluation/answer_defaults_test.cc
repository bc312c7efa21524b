#include "engine/evaluation/answer_defaults.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/evaluation/questions/finding.h"
#include "engine/evaluation/questions/reading.h"
#include "engine/evaluation/report.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Pointwise;

const MemoryOptions kOptions = {.sink_tokens = 8, .window_tokens = 64, .segment_tokens = 64};

Haystack MakeHaystack() {
  std::string text;
  for (int i = 0; i < 60; ++i) text += fmt::format("On day {} the ship sailed {} miles. ", i, i * 37 % 101);
  std::vector<Needle> needles = MakeVerbatimNeedles(2, 5);
  needles.push_back(MakeParaphrasedNeedles(1, FactSet::kCalibration).front());
  return HideNeedles(text, std::move(needles), 5);
}

// What the figures of one of those tried must be, asked one by one.
TriedDefault AskOneByOne(const Memory& memory, const std::vector<PlacedNeedle>& needles, TriedDefault tried,
                         const std::string& way) {
  tried.contained = 0;
  tried.log_probabilities.clear();
  for (const PlacedNeedle& placed : needles) {
    AskedQuestion asked = AskFor(placed, 0.5);
    asked.form = tried.form;
    FindingOptions options{.searches = {"balanced"}, .answered = {way}, .budget_tokens = tried.budget_tokens};
    const WayFigures figures = EvaluateQuestion(memory, asked, options)->ways.at(way);
    tried.contained += figures.contains;
    tried.log_probabilities.push_back(*figures.log_probability);
  }
  return tried;
}

TEST(AnswerDefaults, AreTheBestOfWhatWasTried) {
  const auto model = testing::LoadTinyModelWithProfile();
  const Haystack haystack = MakeHaystack();
  const Memory memory = *ReadDocuments(model, kOptions, {haystack.text});
  int last = 0, expected = 0;
  const auto defaults = ChooseAnswerDefaults(memory, haystack.needles, [&](int asked, int all) {
    EXPECT_EQ(asked, ++last);
    expected = all;
  });
  ASSERT_THAT(defaults, IsOk());
  EXPECT_EQ(last, expected);
  EXPECT_EQ(defaults->questions, 3);
  ASSERT_GE(defaults->forms.size(), 3u);
  ASSERT_GE(defaults->budgets.size(), 1u);
  const auto check = [&](const std::vector<TriedDefault>& all, const std::string& way) {
    for (const TriedDefault& tried : all) {
      const TriedDefault again = AskOneByOne(memory, haystack.needles, tried, way);
      EXPECT_EQ(tried.contained, again.contained) << tried.name;
      EXPECT_THAT(tried.log_probabilities, Pointwise(DoubleNear(1e-3), again.log_probabilities)) << tried.name;
      EXPECT_LT(tried.MeanLogProbability(), 0) << tried.name;
    }
  };
  check(defaults->forms, "gold");
  check(defaults->budgets, "balanced");
  for (const TriedDefault& tried : defaults->forms) {
    EXPECT_LE(tried.MeanLogProbability(), defaults->forms[defaults->form].MeanLogProbability()) << tried.name;
  }
  EXPECT_EQ(defaults->budget, FirstAsLikely(defaults->budgets));
  EXPECT_EQ(defaults->budgets[0].form, defaults->forms[defaults->form].form);
  EXPECT_THAT(FormatAnswerDefaults(*defaults), HasSubstr("| yes"));
  EXPECT_EQ(ToJson(*defaults)["forms"].size(), defaults->forms.size());
}

TEST(AnswerDefaults, TheSmallestBudgetThatIsAsLikelyIsEnough) {
  const auto tried = [](std::vector<double> log_probabilities) {
    return TriedDefault{.log_probabilities = std::move(log_probabilities)};
  };
  // Less likely than the third are the first by 4.5 nats with a standard error of 1.3, the second by 0.2 with 0.6.
  EXPECT_EQ(FirstAsLikely({tried({-4, -8, -6}), tried({-3, -1, -1}), tried({-2, -2, -0.5}), tried({-9, -9, -9})}), 1u);
  EXPECT_EQ(FirstAsLikely({tried({-4, -4, -4}), tried({-3, -3, -3})}), 1u) << "always less likely";
  EXPECT_EQ(FirstAsLikely({tried({-3, -3}), tried({-3, -3})}), 0u);
  EXPECT_EQ(FirstAsLikely({tried({-1}), tried({-2})}), 0u);
}

TEST(AnswerDefaults, NeedQuestions) {
  const auto model = testing::LoadTinyModelWithProfile();
  const Memory memory = *ReadDocuments(model, kOptions, {"A short text."});
  EXPECT_THAT(ChooseAnswerDefaults(memory, {}),
              testing::StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("needles")));
}

}  // namespace
}  // namespace tome
