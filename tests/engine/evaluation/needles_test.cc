#include "engine/evaluation/questions/needles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "engine/evaluation/questions/paraphrased_facts.h"
#include "engine/text/words/word_stems.h"

namespace tome {
namespace {

using ::testing::HasSubstr;

std::string SomeSentences(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "Nothing happened on day " + std::to_string(i) + ". ";
  return text;
}

TEST(Needles, HaveAnAnswerInTheirTextAndDistinctQuestions) {
  const std::vector<Needle> needles = MakeVerbatimNeedles(200, 3);
  ASSERT_EQ(needles.size(), 200u);
  std::set<std::string> questions;
  for (const Needle& needle : needles) {
    EXPECT_THAT(needle.text, HasSubstr(needle.answer));
    EXPECT_TRUE(questions.insert(needle.question).second) << needle.question;
  }
  for (const NeedleKind kind : kVerbatimKinds) {
    EXPECT_TRUE(std::any_of(needles.begin(), needles.end(), [&](const Needle& needle) { return needle.kind == kind; }))
        << NeedleKindName(kind);
  }
}

TEST(Needles, DependOnTheSeedAlone) {
  const auto answers = [](std::uint64_t seed) {
    std::string all;
    for (const Needle& needle : MakeVerbatimNeedles(20, seed)) all += needle.answer + "|";
    return all;
  };
  EXPECT_EQ(answers(1), answers(1));
  EXPECT_NE(answers(1), answers(2));
}

// What makes them a test of meaning: lexical search cannot find them by a word of the question.
TEST(Needles, ParaphrasedFactsShareNoWordOfMeaningWithTheirQuestion) {
  const std::set<std::string> functional = {"a",    "an",   "and",  "at",    "by",    "did", "do",    "does", "for",
                                            "from", "had",  "has",  "have",  "he",    "her", "his",   "how",  "in",
                                            "into", "is",   "it",   "its",   "of",    "on",  "or",    "out",  "s",
                                            "she",  "that", "the",  "their", "they",  "to",  "under", "up",   "was",
                                            "were", "what", "when", "where", "which", "who", "whom",  "why",  "with"};
  WordStemmer stemmer;
  for (const FactSet set : {FactSet::kCalibration, FactSet::kDevelopment, FactSet::kEvaluation}) {
    for (const ParaphrasedFact& fact : ParaphrasedFacts(set)) {
      EXPECT_THAT(std::string(fact.text), HasSubstr(std::string(fact.answer)));
      std::set<std::uint32_t> stems;
      for (const WordStem& word : stemmer.Analyze(fact.text)) stems.insert(word.hash);
      for (const WordStem& word : stemmer.Analyze(fact.question)) {
        const std::string shared = FoldWords(fact.question.substr(word.begin, word.end - word.begin));
        EXPECT_TRUE(!stems.contains(word.hash) || functional.contains(shared)) << shared << " in: " << fact.question;
      }
    }
  }
}

TEST(Haystack, HoldsEveryNeedleOnceWhereItSays) {
  const std::string text = SomeSentences(400);
  const Haystack haystack = HideNeedles(text, MakeVerbatimNeedles(30, 5), 7);
  ASSERT_EQ(haystack.needles.size(), 30u);
  std::string rest = haystack.text;
  std::size_t end = 0;
  for (const PlacedNeedle& placed : haystack.needles) {
    EXPECT_GE(placed.bytes.begin, end);
    end = placed.bytes.end;
    EXPECT_EQ(haystack.text.substr(placed.bytes.begin, end - placed.bytes.begin), placed.needle.text);
    ASSERT_FALSE(placed.answers.empty());
    for (const TextRange& answer : placed.answers) {
      EXPECT_EQ(haystack.text.substr(answer.begin, answer.end - answer.begin), placed.needle.answer);
    }
    const std::size_t at = rest.find(placed.needle.text + "\n");
    ASSERT_NE(at, std::string::npos);
    rest.erase(at, placed.needle.text.size() + 1);
  }
  EXPECT_EQ(rest, text) << "the text around the needles stays as it was";
}

TEST(Haystack, SpreadsNeedlesOverTheWholeText) {
  const std::string text = SomeSentences(1000);
  const Haystack haystack = HideNeedles(text, MakeVerbatimNeedles(10, 1), 1);
  for (std::size_t i = 0; i < 10; ++i) {
    const double depth = static_cast<double>(haystack.needles[i].bytes.begin) / haystack.text.size();
    EXPECT_NEAR(depth, (i + 0.5) / 10, 0.08);
  }
}

}  // namespace
}  // namespace tome
