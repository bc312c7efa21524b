#include "engine/text/tokenizer.h"

#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/text/reference_tokenizers.h"
#include "tests/engine/text/small_vocabularies.h"
#include "tests/support/status_matchers.h"

namespace tome::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<const Tokenizer> Make(TokenizerData data) {
  absl::StatusOr<std::shared_ptr<const Tokenizer>> tokenizer = Tokenizer::Create(std::move(data));
  EXPECT_THAT(tokenizer, IsOk());
  return *std::move(tokenizer);
}

struct BrokenData {
  const char* name;
  std::function<void(TokenizerData*)> breaks;
  const char* message;
};

void ExpectRefused(const TokenizerData& good, const std::vector<BrokenData>& table) {
  EXPECT_THAT(Tokenizer::Create(good), IsOk());
  for (const BrokenData& row : table) {
    TokenizerData data = good;
    row.breaks(&data);
    EXPECT_THAT(Tokenizer::Create(data),
                StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr(good.source), HasSubstr(row.message))))
        << row.name;
  }
}

const std::vector<BrokenData>& BrokenVocabularies() {
  static const std::vector<BrokenData> table = {
      {"no kind", [](TokenizerData* data) { data->kind = TokenizerKind::kNone; }, "no tokenizer"},
      {"an empty piece", [](TokenizerData* data) { data->pieces[7].text = ""; }, "piece 7"},
      {"a duplicate", [](TokenizerData* data) { data->pieces[90] = data->pieces[91]; }, "90 and 91"},
      {"type 0", [](TokenizerData* data) { data->pieces[9].type = static_cast<PieceType>(0); }, "type from 1 to 6"},
      {"type 7", [](TokenizerData* data) { data->pieces[9].type = static_cast<PieceType>(7); }, "found 7"},
      {"BOS outside", [](TokenizerData* data) { data->bos = 100'000; }, "BOS id"},
      {"negative EOS", [](TokenizerData* data) { data->eos = -1; }, "found -1"},
      {"unknown outside", [](TokenizerData* data) { data->unknown = 100'000; }, "unknown token id"}};
  return table;
}

TEST(ByteLevelTokenizerTest, RefusesBrokenData) {
  const TokenizerData good = SmallByteLevelData({{"a", "b"}, {"ab", "c"}});
  ExpectRefused(good, BrokenVocabularies());
  ExpectRefused(
      good,
      {{"no pieces", [](TokenizerData* data) { data->pieces.clear(); }, "found 0"},
       {"no piece for a byte", [](TokenizerData* data) { data->pieces[2 + 'a'].text = "zz"; }, "'a' for byte 0x61"},
       {"a special byte", [](TokenizerData* data) { data->pieces[2 + 'q'].type = PieceType::kControl; },
        "a special one"},
       {"a merge of nothing", [](TokenizerData* data) { data->merges.push_back({"", "a"}); }, "merge 2"},
       {"a merge of an unknown piece", [](TokenizerData* data) { data->merges.push_back({"xy", "a"}); }, "'xy' is not"},
       {"a merge to an unknown piece", [](TokenizerData* data) { data->merges.push_back({"b", "a"}); }, "'ba' is not"},
       {"a merge twice", [](TokenizerData* data) { data->merges.push_back({"a", "b"}); }, "twice"},
       {"a merge to a special piece", [](TokenizerData* data) { data->pieces[258].type = PieceType::kControl; },
        "makes the special token 'ab'"},
       {"a pattern that is none",
        [](TokenizerData* data) {
          data->pre_tokenizer = PreTokenizer::kPattern;
          data->split_pattern = "(a";
        },
        "pre-tokenizer"},
       {"no pattern", [](TokenizerData* data) { data->pre_tokenizer = PreTokenizer::kPattern; }, "empty text"},
       {"a user-defined piece that is not UTF-8",
        [](TokenizerData* data) { data->pieces.push_back({"\xff", 0, PieceType::kUserDefined}); }, "valid UTF-8"}});
}

TEST(SentencePieceTokenizerTest, RefusesBrokenData) {
  const TokenizerData good = SmallSentencePieceData({"\u2581", "a", "b", "ab"});
  ExpectRefused(good, BrokenVocabularies());
  ExpectRefused(
      good,
      {{"no unknown piece",
        [](TokenizerData* data) {
          data->pieces[0].type = PieceType::kNormal;
          data->unknown.reset();
        },
        "found none"},
       {"two unknown pieces", [](TokenizerData* data) { data->pieces[1].type = PieceType::kUnknown; }, "found 0 and 1"},
       {"a missing byte", [](TokenizerData* data) { data->pieces[40].type = PieceType::kUnused; }, "256 byte pieces"},
       {"no byte", [](TokenizerData* data) { data->pieces[260].type = PieceType::kByte; }, "like '<0x0A>'"},
       {"not UTF-8", [](TokenizerData* data) { data->pieces[260].text = "\xe2\x82"; }, "valid UTF-8"},
       {"NaN", [](TokenizerData* data) { data->pieces[260].score = NAN; }, "finite score"},
       {"a control character", [](TokenizerData* data) { data->pieces[260].type = PieceType::kControl; },
        "one character"},
       {"a model that is none", [](TokenizerData* data) { data->kind = TokenizerKind::kSentencePieceModel; },
        "no pieces"}});
}

TEST(SentencePieceTokenizerTest, TakesTheUnknownTokenThatTheCheckpointNames) {
  TokenizerData data = SmallSentencePieceData({"a"});
  data.pieces[0].type = PieceType::kNormal;
  EXPECT_TRUE(Make(data)->IsSpecial(0));
}

TEST(SentencePieceTokenizerTest, HigherScoresMergeFirstAndBytesStandForTheRest) {
  TokenizerData data = SmallSentencePieceData({"bc", "ab", "a", "b", "c", "\u2581"});
  data.add_dummy_prefix = false;
  const auto tokenizer = Make(data);
  EXPECT_THAT(Ids(tokenizer->Encode("abc")), ElementsAre(261, 259));
  EXPECT_EQ(tokenizer->Encode("a\u00e9"), (std::vector<TextToken>{{261, 1}, {3 + 0xC3, 0}, {3 + 0xA9, 2}}));
  EXPECT_EQ(tokenizer->TokenBytes(3 + 0xC3), "\xC3");
  EXPECT_EQ(tokenizer->TokenBytes(264), " ");
}

TEST(SentencePieceTokenizerTest, ADummyPrefixStandsForNoByte) {
  const TokenizerData data = SmallSentencePieceData({"\u2581a", "a", "\u2581"});
  EXPECT_EQ(Make(data)->Encode("a"), (std::vector<TextToken>{{259, 1}}));
  EXPECT_EQ(Make(data)->Encode(" a"), (std::vector<TextToken>{{261, 0}, {259, 2}}));
  EXPECT_TRUE(Make(data)->adds_dummy_prefix());
}

TEST(SentencePieceTokenizerTest, UserDefinedPiecesAreTakenWhole) {
  TokenizerData data = SmallSentencePieceData({"xy", "x", "y", "z", "\u2581"});
  data.pieces.push_back({"yz", 0, PieceType::kUserDefined});
  data.add_dummy_prefix = false;
  EXPECT_THAT(Ids(Make(data)->Encode("xyz")), ElementsAre(260, 264));
}

TEST(CharacterBpeTokenizerTest, RefusesBrokenData) {
  const TokenizerData good =
      SmallCharacterData({.prefix = SpaceRules::Prefix::kAlways}, true, {{"a", "b"}, {"ab", "c"}});
  ExpectRefused(good, BrokenVocabularies());
  const std::size_t space = 259, a = 260;
  ExpectRefused(
      good,
      {{"a missing byte", [](TokenizerData* data) { data->pieces[40].type = PieceType::kNormal; }, "for 0x25"},
       {"no byte", [&](TokenizerData* data) { data->pieces[space].type = PieceType::kByte; }, "like '<0x0A>'"},
       {"not UTF-8", [&](TokenizerData* data) { data->pieces[a].text = "\xe2\x82"; }, "valid UTF-8"},
       {"a special letter", [&](TokenizerData* data) { data->pieces[a].type = PieceType::kControl; }, "one character"},
       {"a merge of bytes",
        [](TokenizerData* data) {
          data->merges.push_back({"<0x41>", "<0x42>"});
          data->pieces.push_back({"<0x41><0x42>"});
        },
        "none of byte pieces"},
       {"a merge of an added token", [](TokenizerData* data) { data->merges.push_back({"<|im_end|>", "a"}); },
        "'<|im_end|>' is not"},
       {"an added token that is none", [](TokenizerData* data) { data->added.push_back({.id = 1000}); }, "found 1000"},
       {"a long added token",
        [](TokenizerData* data) {
          data->added.push_back({.id = static_cast<TokenId>(data->pieces.size())});
          data->pieces.push_back({std::string(1025, 'x'), 0, PieceType::kUserDefined});
        },
        "at most 1024 bytes, found 1025"},
       {"white space that two tokens want",
        [](TokenizerData* data) {
          for (const char* text : {"<x>", "\n\n"}) {
            data->added.push_back({.id = static_cast<TokenId>(data->pieces.size()), .rstrip = true});
            data->pieces.push_back({text, 0, PieceType::kUserDefined});
          }
        },
        "(rstrip), with which '\\x0a\\x0a' begins"}});
}

TEST(CharacterBpeTokenizerTest, CountsTheBytesOfTheText) {
  const auto tokenizer = Make(SmallCharacterData({.prefix = SpaceRules::Prefix::kFirst}, false, {{"\u2581", "a"}}));
  const TokenId space_a = 286, space = 259, b = 261, mark = 287;
  EXPECT_EQ(tokenizer->Encode("a b"), (std::vector<TextToken>{{space_a, 1}, {space, 1}, {b, 1}}));
  EXPECT_EQ(tokenizer->Encode(" a"), (std::vector<TextToken>{{space_a, 2}})) << "no space before one";
  EXPECT_EQ(tokenizer->Encode("\u2581a"), (std::vector<TextToken>{{space_a, 4}}));
  EXPECT_EQ(tokenizer->Encode("<|im_start|>a"), (std::vector<TextToken>{{mark, 12}, {260, 1}}));
  EXPECT_EQ(tokenizer->Encode("\u00e9"), (std::vector<TextToken>{{space, 0}, {3 + 0xC3, 0}, {3 + 0xA9, 2}}));
  EXPECT_EQ(tokenizer->Encode("\xff"),
            (std::vector<TextToken>{{space, 0}, {3 + 0xEF, 0}, {3 + 0xBF, 0}, {3 + 0xBD, 1}}));
  EXPECT_THAT(tokenizer->Encode(""), ::testing::IsEmpty());
  EXPECT_EQ(tokenizer->TokenBytes(mark), "<|im_start|>");
  EXPECT_EQ(tokenizer->TokenBytes(space_a), " a");
  EXPECT_EQ(tokenizer->FindAdded("<|im_start|>"), mark);
}

// Runs without a place to cut, and white space that a token takes, are bounded: a stream's memory is.
TEST(CharacterBpeTokenizerTest, BoundsWhatWaits) {
  TokenizerData data = SmallCharacterData({.prefix = SpaceRules::Prefix::kFirst}, false, {{"a", "a"}, {"aa", "aa"}});
  for (AddedToken& added : data.added) added.lstrip = added.rstrip = true;
  const auto tokenizer = Make(std::move(data));
  for (const std::string unit : {"a", "\n", "<|im_end|>\n", "\u00a0"}) {
    std::string text;
    while (text.size() < kMaxWordBytes + 200'000) text += unit + std::string(unit.size() > 4 ? 1000 : 0, '\n');
    text += "<|im_start|>";
    std::vector<TextToken> tokens;
    const std::unique_ptr<TokenStream> stream = tokenizer->NewStream();
    for (std::size_t at = 0; at < text.size(); at += 60'000) {
      stream->Append(std::string_view(text).substr(at, 60'000), &tokens);
      EXPECT_LE(stream->pending_bytes(), 2 * kMaxWordBytes + 60'000);
    }
    stream->Finish(&tokens);
    EXPECT_EQ(tokens, tokenizer->Encode(text));
    EXPECT_EQ(TotalBytes(tokens), text.size());
  }
}

class SpecialTokensTest : public ::testing::TestWithParam<const char*> {};

TEST_P(SpecialTokensTest, AreNeverMadeByText) {
  const auto tokenizer = ReferenceTokenizer(GetParam());
  if (tokenizer == nullptr) GTEST_SKIP() << "needs " << SharedDataFolder();
  std::vector<TokenId> special;
  for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) {
    if (!tokenizer->IsSpecial(id)) continue;
    special.push_back(id);
    EXPECT_EQ(tokenizer->FindSpecial(tokenizer->PieceText(id)), id);
    EXPECT_EQ(tokenizer->TokenBytes(id), "");
    for (const std::string around : {"", " ", "a", "\n"}) {
      const std::string text = around + std::string(tokenizer->PieceText(id)) + around;
      std::string decoded;
      for (const TextToken& token : tokenizer->Encode(text)) {
        EXPECT_FALSE(tokenizer->IsSpecial(token.id)) << text;
        decoded += tokenizer->TokenBytes(token.id);
      }
      EXPECT_EQ(decoded, (tokenizer->adds_dummy_prefix() ? " " : "") + text);
    }
  }
  EXPECT_GE(special.size(), 3u);
}

TEST_P(SpecialTokensTest, DecodingGivesTheTextBack) {
  const auto tokenizer = ReferenceTokenizer(GetParam());
  if (tokenizer == nullptr) GTEST_SKIP() << "needs " << SharedDataFolder();
  const std::string text = "  Zażółć 4096 敏捷 👩‍👩‍👧 \r\n\t'LL  naïve\u00a0café  \n";
  std::string decoded;
  for (const TextToken& token : tokenizer->Encode(text)) decoded += tokenizer->TokenBytes(token.id);
  EXPECT_EQ(decoded, (tokenizer->adds_dummy_prefix() ? " " : "") + text);
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, SpecialTokensTest,
                         ::testing::Values("smollm2", "llama3", "user_defined", "mistral", "llama2c"),
                         [](const auto& info) { return std::string(info.param); });

TEST(TokenizerTest, KnowsTheDemoModelsSpecialTokens) {
  const auto tokenizer = ReferenceTokenizer("smollm2");
  EXPECT_EQ(tokenizer->vocab_size(), 49152);
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_FALSE(tokenizer->add_bos());
  EXPECT_EQ(tokenizer->FindSpecial("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer->FindSpecial("the"), std::nullopt);
  EXPECT_EQ(tokenizer->FindSpecial(""), std::nullopt);
}

TEST(TokenizerTest, IdsOutsideTheVocabularyHaveNoText) {
  const auto tokenizer = Make(SmallByteLevelData());
  for (const TokenId id : {-1, 258, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer->TokenBytes(id), "");
    EXPECT_EQ(tokenizer->PieceText(id), "");
    EXPECT_FALSE(tokenizer->IsSpecial(id));
  }
}

TEST(TokenizerTest, AddsBosWhereTheCheckpointOrItsFamilySaysSo) {
  TokenizerData data = SmallByteLevelData();
  EXPECT_FALSE(Make(data)->add_bos());
  data.pre_tokenizer = PreTokenizer::kLlama3;
  EXPECT_TRUE(Make(data)->add_bos());
  data.add_bos = false;
  EXPECT_FALSE(Make(data)->add_bos());
  TokenizerData sentencepiece = SmallSentencePieceData({"a"});
  EXPECT_TRUE(Make(sentencepiece)->add_bos());
  sentencepiece.bos.reset();
  EXPECT_FALSE(Make(sentencepiece)->add_bos());
}

TEST(TokenizerTest, WholeWordsNeedNoMergeWhereMergesAreIgnored) {
  TokenizerData data = SmallByteLevelData({{"a", "b"}});
  data.pieces.push_back({"abc"});
  EXPECT_EQ(Make(data)->Encode("abc").size(), 2u);
  data.ignore_merges = true;
  EXPECT_EQ(Make(data)->Encode("abc"), (std::vector<TextToken>{{259, 3}}));
}

TEST(TokenizerTest, TheDigestTellsAllThatEncodeDependsOn) {
  const TokenizerData byte_level = SmallByteLevelData({{"a", "b"}, {"c", "d"}});
  const TokenizerData sentencepiece = SmallSentencePieceData({"a", "b"});
  const std::vector<std::pair<TokenizerData, std::function<void(TokenizerData*)>>> changes = {
      {byte_level, [](TokenizerData* data) { std::swap(data->merges[0], data->merges[1]); }},
      {byte_level, [](TokenizerData* data) { data->merges.pop_back(); }},
      {byte_level, [](TokenizerData* data) { data->pre_tokenizer = PreTokenizer::kSmolLm; }},
      {byte_level, [](TokenizerData* data) { data->ignore_merges = true; }},
      {byte_level, [](TokenizerData* data) { data->pieces[0].type = PieceType::kUserDefined; }},
      {byte_level, [](TokenizerData* data) { data->pieces[0].text = "<|other|>"; }},
      {sentencepiece, [](TokenizerData* data) { data->pieces[259].score = 5; }},
      {sentencepiece, [](TokenizerData* data) { data->add_dummy_prefix = false; }},
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    TokenizerData changed = changes[i].first;
    changes[i].second(&changed);
    EXPECT_NE(Make(changes[i].first)->digest(), Make(changed)->digest()) << "change " << i;
  }
  TokenizerData renamed = byte_level;
  renamed.source = "other.json";
  renamed.chat_template = "{{ messages }}";
  EXPECT_EQ(Make(renamed)->digest(), Make(byte_level)->digest());
  EXPECT_EQ(Make(byte_level)->digest().size(), 64u);
  // The digest is part of snapshots: it must not change by itself.
  EXPECT_EQ(Make(byte_level)->digest(), "9409d56759110cd4bda5c47cc5a737dc06d93368eeeecdeebeb301d6183b6edc");
}

}  // namespace
}  // namespace tome::testing
