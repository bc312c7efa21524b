#include "engine/checkpoint/huggingface/tokenizer_json.h"

#include <functional>
#include <vector>

#include "engine/text/tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace tome {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::tome::testing::IsOk;
using ::tome::testing::StatusIs;
using ::tome::testing::TinyTokenizerJson;
using ::tome::testing::TinyVocabSize;
using Json = nlohmann::json;

constexpr char kLlama3Split[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json ByteLevel(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", use_regex}};
}
Json Digits() { return {{"type", "Digits"}, {"individual_digits", true}}; }
Json Split(const std::string& pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}
Json Sequence(const std::vector<Json>& steps) { return {{"type", "Sequence"}, {"pretokenizers", steps}}; }

Json ByteLevelTokenizer() { return Json::parse(TinyTokenizerJson()); }

absl::StatusOr<TokenizerData> Parse(const Json& tokenizer) {
  return ParseTokenizerJson(tokenizer.dump(), "dir/tokenizer.json", TinyVocabSize());
}

TEST(TokenizerJsonTest, ReadsByteLevelBpe) {
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(ByteLevelTokenizer()));
  EXPECT_EQ(data.kind, TokenizerKind::kByteLevelBpe);
  EXPECT_EQ(data.source, "dir/tokenizer.json");
  ASSERT_EQ(data.pieces.size(), static_cast<std::size_t>(TinyVocabSize()));
  EXPECT_EQ(data.pieces['A'].text, "A");
  EXPECT_EQ(data.pieces[256].text, "\xC4\xA0t");
  EXPECT_EQ(data.pieces.back().text, "<|im_end|>");
  EXPECT_EQ(data.pieces.back().type, PieceType::kControl);
  EXPECT_EQ(data.merges, testing::TinyMerges());
  EXPECT_EQ(data.pre_tokenizer, PreTokenizer::kGpt2);
  EXPECT_FALSE(data.add_dummy_prefix);
  EXPECT_FALSE(data.ignore_merges);
  EXPECT_EQ(data.add_bos, false);
}

TEST(TokenizerJsonTest, RecognisesPreTokenizers) {
  const struct {
    Json pre_tokenizer;
    PreTokenizer expected;
    std::string pattern;
    bool digits;
  } cases[] = {
      {ByteLevel(true), PreTokenizer::kGpt2, "", false},
      {Sequence({ByteLevel(true)}), PreTokenizer::kGpt2, "", false},
      {Sequence({Digits(), ByteLevel(true)}), PreTokenizer::kSmolLm, "", false},
      {Sequence({Split(kLlama3Split), ByteLevel(false)}), PreTokenizer::kLlama3, "", false},
      {Sequence({Split("\\w+|\\W"), ByteLevel(false)}), PreTokenizer::kPattern, "\\w+|\\W", false},
      {Sequence({Digits(), Split("\\w+|\\W"), ByteLevel(false)}), PreTokenizer::kPattern, "\\w+|\\W", true},
      {Sequence({Digits(), Split(kLlama3Split), ByteLevel(false)}), PreTokenizer::kPattern, kLlama3Split, true},
  };
  for (const auto& [pre_tokenizer, expected, pattern, digits] : cases) {
    Json tokenizer = ByteLevelTokenizer();
    tokenizer["pre_tokenizer"] = pre_tokenizer;
    TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(tokenizer));
    EXPECT_EQ(data.pre_tokenizer, expected) << pre_tokenizer;
    EXPECT_EQ(data.split_pattern, pattern) << pre_tokenizer;
    EXPECT_EQ(data.individual_digits, digits) << pre_tokenizer;
  }
}

TEST(TokenizerJsonTest, ReadsMergesInBothSpellings) {
  Json tokenizer = ByteLevelTokenizer();
  tokenizer["model"]["merges"] = {Json::array({"\xC4\xA0", "t"}), "h e"};
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(tokenizer));
  ASSERT_EQ(data.merges.size(), 2u);
  EXPECT_EQ(data.merges[0].second, "t");
  EXPECT_EQ(data.merges[1], std::pair(std::string("h"), std::string("e")));
}

TEST(TokenizerJsonTest, FindsBosInTheTemplate) {
  const Json processor = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<|im_start|>"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}}};
  const Json sequence = {{"type", "Sequence"}, {"processors", {{{"type", "ByteLevel"}}, processor}}};
  for (const Json& post_processor : {processor, sequence}) {
    Json tokenizer = ByteLevelTokenizer();
    tokenizer["post_processor"] = post_processor;
    TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(tokenizer));
    EXPECT_EQ(data.bos, TinyVocabSize() - 2);
    EXPECT_EQ(data.add_bos, true);
  }
}

TEST(TokenizerJsonTest, AddedTokensThatAreNotSpecialAreUserDefined) {
  Json tokenizer = ByteLevelTokenizer();
  tokenizer["added_tokens"][0]["special"] = false;
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(tokenizer));
  EXPECT_EQ(data.pieces[static_cast<std::size_t>(TinyVocabSize()) - 3].type, PieceType::kUserDefined);
}

struct Corruption {
  std::function<void(Json&)> change;
  std::string message;
};

void ExpectRefused(const std::vector<Corruption>& cases, const Json& sound) {
  ASSERT_THAT(Parse(sound), IsOk());
  for (const auto& [change, message] : cases) {
    Json tokenizer = sound;
    change(tokenizer);
    EXPECT_THAT(Parse(tokenizer), StatusIs(absl::StatusCode::kInvalidArgument,
                                           AllOf(StartsWith("dir/tokenizer.json: "), HasSubstr(message))));
  }
}

TEST(TokenizerJsonTest, RefusesBrokenByteLevelBpe) {
  ExpectRefused(
      {
          {[](Json& t) { t.erase("model"); }, "field 'model': expected an object, found no such field"},
          {[](Json& t) { t["model"] = 3; }, "field 'model': expected an object, found 3"},
          {[](Json& t) { t["model"]["type"] = "Unigram"; },
           "model: field 'type': expected 'BPE', found the string 'Unigram'"},
          {[](Json& t) { t["model"]["dropout"] = 0.1; }, "model: field 'dropout': expected null, found 0.1"},
          {[](Json& t) { t["model"]["end_of_word_suffix"] = "</w>"; }, "field 'end_of_word_suffix': expected null"},
          {[](Json& t) { t["model"]["continuing_subword_prefix"] = "##"; }, "field 'continuing_subword_prefix'"},
          {[](Json& t) { t["model"].erase("vocab"); }, "model: field 'vocab': expected an object"},
          {[](Json& t) { t["model"]["vocab"] = Json::array(); },
           "model: field 'vocab': expected an object, found an array"},
          {[](Json& t) { t["model"]["vocab"] = Json::object(), t.erase("added_tokens"); },
           "vocab: expected pieces, found none"},
          {[](Json& t) { t["model"]["vocab"]["A"] = 66; }, "vocab: expected unique ids, found 66 for 'A' and 'B'"},
          {[](Json& t) { t["model"]["vocab"]["A"] = -1; }, "piece 'A': expected an id below 304"},
          {[](Json& t) { t["model"]["vocab"]["A"] = 1e9; }, "piece 'A': expected an id below 304"},
          {[](Json& t) { t["model"]["vocab"]["A"] = 304; }, "(the model's vocabulary size), found 304"},
          {[](Json& t) { t["model"].erase("merges"); }, "model: field 'merges': expected an array"},
          {[](Json& t) { t["model"]["merges"].push_back("ab"); }, "merges: expected two pieces"},
          {[](Json& t) { t["model"]["merges"].push_back("a b c"); }, "found the string 'a b c'"},
          {[](Json& t) { t["model"]["merges"].push_back({"a", 3}); }, "merges: expected two pieces"},
          {[](Json& t) { t["model"]["merges"].push_back(7); }, "merges: expected two pieces"},
          {[](Json& t) { t["added_tokens"] = 1; }, "field 'added_tokens': expected an array"},
          {[](Json& t) { t["added_tokens"][0] = 1; }, "field 'added_tokens': expected an array of objects"},
          {[](Json& t) { t["added_tokens"][0]["id"] = -1; },
           "added_tokens: field 'id': expected an integer from 0 to 2147483647"},
          {[](Json& t) { t["model"]["vocab"]["A"] = 304; }, "resize the model's embeddings"},
          {[](Json& t) { t["model"]["vocab"]["he"] = 304; }, "piece 'he': expected an id below 304"},
          {[](Json& t) { t["added_tokens"][0]["id"] = 65; },
           "id 65: expected 'A' as in the vocabulary, found '<|endoftext|>'"},
          {[](Json& t) { t["added_tokens"][0].erase("content"); }, "added_tokens: field 'content': expected a string"},
          {[](Json& t) { t["normalizer"] = {{"type", "NFC"}}; },
           "field 'normalizer': expected null for a byte-level BPE"},
          {[](Json& t) { t["pre_tokenizer"] = nullptr; }, "field 'pre_tokenizer': expected an object"},
          {[](Json& t) { t["pre_tokenizer"] = {{"type", "Whitespace"}}; },
           "pre_tokenizer: field 'type': expected Digits, then Split, then ByteLevel"},
          {[](Json& t) { t["pre_tokenizer"]["add_prefix_space"] = true; }, "field 'add_prefix_space': expected false"},
          {[](Json& t) { t["pre_tokenizer"] = ByteLevel(false); },
           "expected a Split pattern or ByteLevel with use_regex"},
          {[](Json& t) { t["pre_tokenizer"] = Sequence({Digits()}); }, "expected a ByteLevel step, found none"},
          {[](Json& t) { t["pre_tokenizer"] = Sequence({ByteLevel(true), Digits()}); }, "ByteLevel last"},
          {[](Json& t) { t["pre_tokenizer"] = Sequence({Split("a"), Digits(), ByteLevel(false)}); }, "ByteLevel last"},
          {[](Json& t) { t["pre_tokenizer"] = Sequence({Split("a"), ByteLevel(true)}); },
           "without use_regex after a Split"},
          {[](Json& t) {
             t["pre_tokenizer"] = Sequence({Split("a"), ByteLevel(false)}),
             t["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed";
           },
           "field 'behavior': expected 'Isolated'"},
          {[](Json& t) {
             t["pre_tokenizer"] = Sequence({Split("a"), ByteLevel(false)}),
             t["pre_tokenizer"]["pretokenizers"][0]["invert"] = true;
           },
           "field 'invert': expected false"},
          {[](Json& t) {
             t["pre_tokenizer"] = Sequence({Split("a"), ByteLevel(false)}),
             t["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"String", "a"}};
           },
           "field 'pattern': expected an object with a 'Regex'"},
          {[](Json& t) {
             t["pre_tokenizer"] = Sequence({Digits(), ByteLevel(true)}),
             t["pre_tokenizer"]["pretokenizers"][0]["individual_digits"] = false;
           },
           "field 'individual_digits': expected true"},
          {[](Json& t) { t["post_processor"] = {{"type", "BertProcessing"}}; }, "post_processor: field 'type'"},
          {[](Json& t) { t["post_processor"] = {{"type", "TemplateProcessing"}}; },
           "field 'single': expected an array"},
          {[](Json& t) {
             t["post_processor"] = {{"type", "TemplateProcessing"}, {"single", {{{"SpecialToken", {{"id", "<s>"}}}}}}};
           },
           "single: expected a piece of the vocabulary, found '<s>'"},
      },
      ByteLevelTokenizer());
}

constexpr char kSpace[] = "\xE2\x96\x81";

// A small tokenizer in Llama 2's spelling: <unk>, <s>, </s>, two byte pieces, letters and three merged pieces.
Json ByteFallbackTokenizer() {
  Json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}, {"<0x41>", 3}, {"<0x0A>", 4},
                {kSpace, 5},  {"t", 6},   {"h", 7},    {"e", 8}};
  vocab["th"] = 9;
  vocab[std::string(kSpace) + "th"] = 10;
  vocab["he"] = 11;
  const auto added = [](int id, const char* text) { return Json{{"id", id}, {"content", text}, {"special", true}}; };
  return {{"added_tokens", {added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")}},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers",
             {{{"type", "Prepend"}, {"prepend", kSpace}},
              {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}}}}}},
          {"pre_tokenizer", nullptr},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"byte_fallback", true},
            {"vocab", vocab},
            {"merges", {"t h", std::string(kSpace) + " th", "h e"}}}}};
}

TEST(TokenizerJsonTest, ReadsByteFallbackBpe) {
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(ByteFallbackTokenizer()));
  EXPECT_EQ(data.kind, TokenizerKind::kCharacterBpe);
  EXPECT_TRUE(data.add_dummy_prefix);
  EXPECT_EQ(data.spaces, (SpaceRules{.normalizer_replaces = true, .normalizer_prepends = true}));
  EXPECT_EQ(data.merges.size(), 3u);
  EXPECT_EQ(data.unknown, 0);
  EXPECT_EQ(data.pieces[0].type, PieceType::kUnknown);
  EXPECT_EQ(data.pieces[1].type, PieceType::kControl);
  EXPECT_EQ(data.pieces[3].type, PieceType::kByte);
  EXPECT_EQ(data.pieces[5].type, PieceType::kNormal);
}

// As transformers 5 writes it.
TEST(TokenizerJsonTest, FindsTheUnknownPieceWithoutBeingTold) {
  Json tokenizer = ByteFallbackTokenizer();
  tokenizer["model"]["unk_token"] = nullptr;
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(tokenizer));
  EXPECT_EQ(data.unknown, 0);
  EXPECT_EQ(data.pieces[0].type, PieceType::kUnknown);
}

TEST(TokenizerJsonTest, ReadsMetaspace) {
  using Prefix = SpaceRules::Prefix;
  Json tokenizer = ByteFallbackTokenizer();
  tokenizer["normalizer"] = nullptr;
  const std::pair<std::string, Prefix> schemes[] = {
      {"first", Prefix::kFirst}, {"always", Prefix::kAlways}, {"never", Prefix::kNever}};
  for (const auto& [scheme, prefix] : schemes) {
    for (const bool split : {false, true}) {
      tokenizer["pre_tokenizer"] = {
          {"type", "Metaspace"}, {"replacement", kSpace}, {"prepend_scheme", scheme}, {"split", split}};
      TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(tokenizer));
      EXPECT_EQ(data.add_dummy_prefix, prefix != Prefix::kNever) << scheme;
      EXPECT_EQ(data.spaces, (SpaceRules{.prefix = prefix, .split = split})) << scheme;
    }
  }
  // As it was written before there were schemes.
  for (const bool adds : {false, true}) {
    tokenizer["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", kSpace}, {"add_prefix_space", adds}};
    TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(tokenizer));
    EXPECT_EQ(data.spaces, (SpaceRules{.prefix = adds ? Prefix::kAlways : Prefix::kNever, .split = true}));
  }
}

TEST(TokenizerJsonTest, ReadsTheFlagsOfAddedTokens) {
  Json tokenizer = ByteFallbackTokenizer();
  tokenizer["added_tokens"].push_back({{"id", 12}, {"content", "<x>"}, {"special", false}, {"lstrip", true}});
  tokenizer["added_tokens"].push_back(
      {{"id", 10}, {"content", std::string(kSpace) + "th"}, {"rstrip", true}, {"normalized", false}});
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(tokenizer));
  ASSERT_EQ(data.added.size(), 5u);
  EXPECT_EQ(data.added[0], (AddedToken{.id = 0, .in_model = true}));
  EXPECT_EQ(data.added[3], (AddedToken{.id = 12, .lstrip = true, .normalized = true}));
  EXPECT_EQ(data.added[4], (AddedToken{.id = 10, .rstrip = true, .in_model = true}));
  EXPECT_EQ(data.pieces[10].type, PieceType::kUserDefined);
}

TEST(TokenizerJsonTest, TakesWithAWarningWhatHasOneMeaning) {
  const auto add = [](int id, const char* text) { return Json{{"id", id}, {"content", text}, {"special", true}}; };
  const struct {
    std::function<void(Json&)> change;
    std::string warning;
    std::size_t pieces;
  } cases[] = {
      {[&](Json& t) { t["added_tokens"].push_back(add(304, "[PAD]")); },
       "added_tokens: '[PAD]' has id 304, but the model has only 304 embeddings: left out", 12},
      {[&](Json& t) { t["model"]["vocab"]["[PAD]"] = 304; },
       "vocab: '[PAD]' has id 304, but the model has only 304 embeddings: it is left out", 12},
      {[&](Json& t) { t["model"]["vocab"]["[PAD]"] = 304, t["added_tokens"].push_back(add(304, "[PAD]")); },
       "added_tokens: '[PAD]' has id 304", 12},
      {[&](Json& t) { t["added_tokens"].push_back(add(14, "<x>")); },
       "vocab: expected a piece for every id up to 14, found none for 12 and 1 more: no text makes it", 15},
      {[&](Json& t) { t["model"]["vocab"]["far"] = 13; }, "found none for 12: no text makes it", 14},
      {[&](Json& t) { t["added_tokens"].push_back(add(12, "he")); }, "'he' has id 12 here and 11 in the vocabulary",
       12},
      {[&](Json& t) { t["added_tokens"].push_back(add(12, "")); }, "the token with id 12 has no text: left out", 12},
      {[](Json& t) { t["model"]["merges"].push_back("t h"); }, "merges: 1 stand there twice", 12},
  };
  for (const auto& [change, warning, pieces] : cases) {
    Json tokenizer = ByteFallbackTokenizer();
    change(tokenizer);
    TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(tokenizer));
    EXPECT_THAT(data.warnings, ::testing::ElementsAre(AllOf(StartsWith("dir/tokenizer.json: "), HasSubstr(warning))));
    EXPECT_EQ(data.pieces.size(), pieces) << warning;
  }
  Json tokenizer = ByteFallbackTokenizer();
  tokenizer["model"]["merges"].push_back("t h");
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(tokenizer));
  EXPECT_EQ(data.merges.back(), std::pair(std::string("t"), std::string("h"))) << "the last one counts";
}

TEST(TokenizerJsonTest, AHoleIsNoText) {
  Json tokenizer = ByteLevelTokenizer();
  tokenizer["model"]["vocab"].erase("\xC4\x84");  // byte 4, which a vocabulary may lack
  TOME_ASSERT_OK_AND_ASSIGN(const TokenizerData data, Parse(tokenizer));
  EXPECT_THAT(data.warnings, ::testing::ElementsAre(HasSubstr("found none for 4: no text makes it")));
  TOME_ASSERT_OK_AND_ASSIGN(const auto made, Tokenizer::Create(data));
  EXPECT_EQ(made->TokenBytes(4), "");
  EXPECT_TRUE(made->IsSpecial(4));
}

TEST(TokenizerJsonTest, RefusesOtherByteFallbackBpe) {
  const auto metaspace = [](Json& t) {
    t["normalizer"] = nullptr;
    t["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", kSpace}, {"split", false}};
  };
  ExpectRefused(
      {
          {[](Json& t) { t["model"]["unk_token"] = "<none>"; },
           "field 'unk_token': expected a piece of the vocabulary"},
          {[](Json& t) { t["normalizer"]["normalizers"].erase(1); },
           "expected a Replace of spaces by U+2581, found none"},
          {[](Json& t) { t["normalizer"]["normalizers"][0]["prepend"] = "_"; }, "field 'prepend': expected U+2581"},
          {[](Json& t) { t["normalizer"]["normalizers"][1]["content"] = "_"; }, "field 'content': expected U+2581"},
          {[](Json& t) { t["normalizer"]["normalizers"][1]["pattern"] = {{"Regex", " "}}; }, "field 'pattern'"},
          {[](Json& t) { t["normalizer"] = {{"type", "NFKC"}}; }, "field 'type': expected Prepend, then Replace"},
          {[](Json& t) { t["pre_tokenizer"] = ByteLevel(true); },
           "pre_tokenizer: field 'type': expected Metaspace for a byte-fallback BPE"},
          {[](Json& t) { t["normalizer"] = nullptr; }, "field 'pre_tokenizer': expected Metaspace"},
          {[&](Json& t) { metaspace(t), t["pre_tokenizer"]["type"] = "ByteLevel"; },
           "field 'type': expected Metaspace"},
          {[&](Json& t) { metaspace(t), t["pre_tokenizer"]["replacement"] = "_"; },
           "field 'replacement': expected U+2581"},
          {[&](Json& t) { metaspace(t), t["pre_tokenizer"]["split"] = 1; }, "field 'split': expected true or false"},
          {[&](Json& t) { metaspace(t), t["pre_tokenizer"]["prepend_scheme"] = "x"; },
           "expected always, first or never"},
      },
      ByteFallbackTokenizer());
}

TEST(TokenizerJsonTest, RefusesEveryTruncation) {
  const std::string text = ByteFallbackTokenizer().dump();
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_THAT(ParseTokenizerJson(text.substr(0, size), "f", TinyVocabSize()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("f: expected JSON")));
  }
}

}  // namespace
}  // namespace tome
