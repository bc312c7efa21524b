#include "engine/generation/sentences.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
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

// Danda and double danda, Armenian, Urdu, Ethiopic and Burmese full stops. Unicode 15.0 does not list the Khmer one.
TEST(Sentences, EndWithTheStopsOfAllScripts) {
  for (const std::string stop : {"\u0964", "\u0965", "\u0589", "\u06D4", "\u1362", "\u1367", "\u104B", "\uFF61"}) {
    EXPECT_THAT(Split("abcdefgh" + stop + "ijklmnop"), ElementsAre("abcdefgh" + stop, "ijklmnop"));
    EXPECT_THAT(Split("abcdefgh" + stop + "\u00BB ijklmnop"), ElementsAre("abcdefgh" + stop + "\u00BB", " ijklmnop"));
    EXPECT_THAT(Split("abcdefgh" + stop + stop + "ijklmnop"), ElementsAre("abcdefgh" + stop + stop, "ijklmnop"));
  }
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
  Memory memory = *Memory::Create(TinyModel(), {.window_tokens = 64, .segment_tokens = 64});
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
  for (std::string& sentence : found) absl::StripAsciiWhitespace(&sentence);
  for (std::string& sentence : expected) {
    absl::StripAsciiWhitespace(&sentence);
    EXPECT_EQ(std::count(found.begin(), found.end(), sentence), 1) << sentence;
  }
}

// Where a text may end, found by looking at every place near the end of a region: whole sentences are nearest, else
// lines, else words.
int NearestEnd(const std::vector<std::string>& tokens, int boundary, int reach) {
  const auto text = [&](int first, int end) {
    std::string joined;
    for (int i = first; i < end; ++i) joined += tokens[i];
    return joined;
  };
  const auto is_cut = [&](int kind, int at) {
    const std::string before = text(0, at), after = text(at, static_cast<int>(tokens.size()));
    std::string words = before;
    while (words.ends_with(' ')) words.pop_back();
    const bool apart = words != before || after.starts_with(' ');
    if (kind == 0) return words.ends_with('.') && apart && !after.starts_with('.');
    if (kind == 1) return before.ends_with('\n');
    return before.ends_with(' ') || after.starts_with(' ') || after.starts_with('\n');
  };
  for (int kind = 0; kind < 3; ++kind) {
    for (int distance = 0; distance <= reach; ++distance) {
      if (is_cut(kind, boundary + distance)) return distance;
      if (is_cut(kind, boundary - distance)) return -distance;
    }
  }
  return 0;
}

TEST(Sentences, TextsOfRegionsTileADocumentAndEndNearTheRegions) {
  std::mt19937 random(5);
  const std::vector<std::string> parts = {" word", " and", ".", ".", " line\n", "xyz", " long er", "\xc3\xa9"};
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(round);
    std::string text = "Begin";
    const std::size_t kinds = 1 + random() % parts.size();  // the last parts only in some texts
    for (int i = 0; i < 150; ++i) text += parts[random() % kinds];
    const int region_tokens = 8 + static_cast<int>(random() % 30);
    Memory memory = *Memory::Create(
        TinyModel(), {.window_tokens = 64, .segment_tokens = region_tokens * 2, .region_tokens = region_tokens});
    Task task = Task::Read(&memory, Encode(text));
    Task* const tasks[] = {&task};
    while (!task.finished()) ASSERT_THAT(Step(tasks)[0].status, IsOk());

    const Archive& archive = memory.state()->archive();
    std::vector<std::string> all;
    for (const TokenId token : archive.RegionTokens(0, archive.num_regions())) {
      all.emplace_back(TinyTokenizer().TokenBytes(token));
    }
    ByteOffset begin = 0;
    int boundary = 0;
    for (std::int64_t region = 0; region < archive.num_regions(); ++region) {
      const RegionRun run = InSentences(archive, TinyTokenizer(), region);
      const TokenSpan span = archive.RunSpan(run);
      EXPECT_EQ(span.begin, begin);
      EXPECT_GT(archive.NumTokens(run), 0);
      begin = span.begin + span.num_bytes;
      std::string joined;
      for (const TextToken& token : archive.RunTokens(run)) joined += TinyTokenizer().TokenBytes(token.id);
      EXPECT_EQ(joined, text.substr(span.begin, span.num_bytes));

      const int own = static_cast<int>(archive.RegionTokens(region, region + 1).size());
      boundary += own;
      if (region + 1 == archive.num_regions()) break;
      const int next = static_cast<int>(archive.RegionTokens(region + 1, region + 2).size());
      EXPECT_EQ(run.after, NearestEnd(all, boundary, (std::min(own, next) - 1) / 2));
    }
    EXPECT_EQ(begin, text.size());
  }
}

}  // namespace
}  // namespace tome
