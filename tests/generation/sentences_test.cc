#include "engine/generation/sentences.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "engine/memory/memory_state.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::IsOk;

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model;
}
const Tokenizer& TinyTokenizer() { return *TinyModel()->tokenizer(); }

std::vector<TokenId> Encode(const std::string& text) {
  std::vector<TokenId> tokens;
  for (const TextToken& token : TinyTokenizer().Encode(text)) tokens.push_back(token.id);
  return tokens;
}

std::string Text(const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) text += TinyTokenizer().TokenBytes(token);
  return text;
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> sentences;
  for (const std::vector<TokenId>& sentence : SplitSentences(TinyTokenizer(), Encode(text))) {
    sentences.push_back(Text(sentence));
  }
  return sentences;
}

TEST(Sentences, EndWithAMarkAndWhatClosesAfterIt) {
  EXPECT_THAT(
      Split("The thief had a scar. Nobody knew his name! \"Who was that man?\" they asked; then (as usual.) he fled"),
      ElementsAre("The thief had a scar.", " Nobody knew his name!", " \"Who was that man?\"", " they asked;",
                  " then (as usual.)", " he fled"));
  EXPECT_THAT(Split("A heading of words\n\nThe text below it"),
              ElementsAre("A heading of words\n\n", "The text below it"));
  EXPECT_THAT(Split("One line that is\nbroken by the printer. Another"),
              ElementsAre("One line that is\nbroken by the printer.", " Another"));
}

TEST(Sentences, EndInScriptsWithoutSpaces) {
  EXPECT_THAT(Split("\u5C0F\u5077\u3002\u7684\u8138\u4E0A\uFF01\u6709"),
              ElementsAre("\u5C0F\u5077\u3002", "\u7684\u8138\u4E0A\uFF01", "\u6709"));
}

TEST(Sentences, DoNotEndWithinNumbersAndNames) {
  EXPECT_THAT(Split("It weighs 3.5 pounds at 10:45 on www.example.org."),
              ElementsAre("It weighs 3.5 pounds at 10:45 on www.example.org."));
}

TEST(Sentences, ShortOnesAreReadWithTheNext) {
  EXPECT_THAT(Split("No. Yes. It is so because it must be. Ha."),
              ElementsAre("No. Yes.", " It is so because it must be.", " Ha."));
}

TEST(Sentences, LongOnesAreCutAtAnEndOfALine) {
  const std::string line = "a=1 b=2 c=3 d=4\n";
  const std::vector<std::string> lines = Split(line + line + line + line + line + line);
  ASSERT_GT(lines.size(), 1u);
  for (const std::string& part : lines) EXPECT_EQ(part.substr(0, line.size()), line) << "whole lines";
  const std::vector<TokenId> run = Encode(std::string(500, 'x'));
  const auto parts = SplitSentences(TinyTokenizer(), run);
  EXPECT_EQ(parts.size(), (run.size() + kMaxSentenceTokens - 1) / kMaxSentenceTokens);
}

TEST(Sentences, AreTogetherTheWholeText) {
  std::mt19937 random(1);
  const std::vector<std::string> marks = {".", "!\" ", "\n", "\n\n", " ", "a", "word ", "\u3002", "7", "\xE3", ") "};
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (int i = 0; i < round; ++i) text += marks[random() % marks.size()];
    const std::vector<TokenId> tokens = Encode(text);
    std::vector<TokenId> joined;
    for (const std::vector<TokenId>& sentence : SplitSentences(TinyTokenizer(), tokens)) {
      EXPECT_FALSE(sentence.empty());
      EXPECT_LE(sentence.size(), kMaxSentenceTokens);
      joined.insert(joined.end(), sentence.begin(), sentence.end());
    }
    EXPECT_EQ(joined, tokens);
  }
  EXPECT_THAT(SplitSentences(TinyTokenizer(), {}), IsEmpty());
}

TEST(Sentences, OfARegionAreWholeAndEachIsOfARegion) {
  std::string text;
  std::vector<std::string> expected;
  for (int i = 0; i < 60; ++i) {
    expected.push_back(fmt::format(" The ship number {} sailed to harbour {}.", i * 37 % 101, i * 13));
    text += expected.back();
  }
  Memory memory = *Memory::Create(TinyModel(), {.window_tokens = 64, .segment_tokens = 32, .region_tokens = 32});
  Task task = Task::Read(&memory, Encode(text));
  Task* const tasks[] = {&task};
  while (!task.finished()) ASSERT_THAT(Step(tasks)[0].status, IsOk());

  const Archive& archive = memory.state()->archive();
  std::vector<std::string> found;
  for (std::int64_t region = 0; region < archive.num_regions(); ++region) {
    const auto sentences = RegionSentences(archive, TinyTokenizer(), region);
    EXPECT_THAT(sentences, ::testing::Not(IsEmpty()));
    for (const RegionSentence& sentence : sentences) {
      found.push_back(Text(sentence.tokens));
      EXPECT_EQ(text.substr(sentence.span.begin, sentence.span.num_bytes), found.back());
    }
  }
  for (const std::string& sentence : expected) {
    const auto count = std::count(found.begin(), found.end(), sentence);
    EXPECT_GE(count, 1) << sentence;
    EXPECT_LE(count, 2) << sentence << ": half in each of two";
  }
}

}  // namespace
}  // namespace tome
