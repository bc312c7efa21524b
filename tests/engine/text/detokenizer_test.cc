#include "engine/text/detokenizer.h"

#include <random>
#include <string>
#include <vector>

#include "engine/base/utf8.h"
#include "gtest/gtest.h"
#include "tests/engine/text/small_vocabularies.h"
#include "tests/support/status_matchers.h"

namespace tome::testing {
namespace {

TokenId Byte(int byte) { return 2 + byte; }

std::vector<std::string> Steps(Detokenizer* detokenizer, const std::vector<TokenId>& ids) {
  std::vector<std::string> steps;
  for (const TokenId id : ids) steps.push_back(detokenizer->Append(id));
  steps.push_back(detokenizer->Finish());
  return steps;
}

using Strings = std::vector<std::string>;

TEST(DetokenizerTest, HoldsACharacterBackUntilItIsWhole) {
  TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(SmallByteLevelData()));
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(Steps(&detokenizer, {Byte('a'), Byte(0xF0), Byte(0x9F), Byte(0x98), Byte(0x80), Byte('b')}),
            (Strings{"a", "", "", "", "\U0001f600", "b", ""}));
}

TEST(DetokenizerTest, ReplacesWhatCannotBecomeACharacter) {
  TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(SmallByteLevelData()));
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(Steps(&detokenizer, {Byte(0xF0), Byte(0x9F), Byte('b'), Byte(0xFF), Byte(0xC3), Byte(0xC3), Byte(0xA9)}),
            (Strings{"", "", "\ufffdb", "\ufffd", "", "\ufffd", "\u00e9", ""}));
}

TEST(DetokenizerTest, TheEndReplacesAnUnfinishedCharacter) {
  TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(SmallByteLevelData()));
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(Steps(&detokenizer, {Byte(0xE2), Byte(0x82)}), (Strings{"", "", "\ufffd"}));
}

TEST(DetokenizerTest, SpecialTokensAndUnknownIdsHaveNoText) {
  TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(SmallByteLevelData()));
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(Steps(&detokenizer, {0, Byte('x'), 1, -5, 1'000'000}), (Strings{"", "x", "", "", "", ""}));
}

TEST(DetokenizerTest, BytePiecesOfSentencePieceMakeCharacters) {
  TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(SmallSentencePieceData({"\u2581a"})));
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(Steps(&detokenizer, {259, 3 + 0xC3, 3 + 0xA9, 259}), (Strings{" a", "", "\u00e9", " a", ""}));
}

TEST(DetokenizerTest, DropsTheDummyPrefixAtATextsStartOnly) {
  TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(SmallSentencePieceData({"\u2581a", "b"})));
  Detokenizer at_start(tokenizer, /*at_text_start=*/true);
  EXPECT_EQ(Steps(&at_start, {1, 259, 259}), (Strings{"", "a", " a", ""}));
  Detokenizer without_space(tokenizer, /*at_text_start=*/true);
  EXPECT_EQ(Steps(&without_space, {260, 259}), (Strings{"b", " a", ""}));
  Detokenizer inside(tokenizer);
  EXPECT_EQ(Steps(&inside, {259}), (Strings{" a", ""}));
}

TEST(DetokenizerTest, GivesValidUtf8WhateverTheTokens) {
  TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(SmallByteLevelData()));
  for (int seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    Detokenizer detokenizer(tokenizer);
    std::string bytes, text;
    for (int i = 0; i < 500; ++i) {
      const int byte = static_cast<int>(random() % 256);
      bytes += static_cast<char>(byte);
      const std::string step = detokenizer.Append(Byte(byte));
      EXPECT_TRUE(IsValidUtf8(step));
      text += step;
    }
    EXPECT_EQ(text + detokenizer.Finish(), ReplaceInvalidUtf8(bytes));
  }
}

}  // namespace
}  // namespace tome::testing
