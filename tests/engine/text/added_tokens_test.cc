// Small tokenizer.json files with added tokens of every kind give the tokens that Hugging Face `tokenizers` gives: see
// scripts/golden/added_tokens.py.
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "engine/base/utf8.h"
#include "engine/checkpoint/huggingface/tokenizer_json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/text/reference_tokenizers.h"
#include "tests/support/status_matchers.h"

namespace tome::testing {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAreArray;

// What scripts/golden/added_tokens.py made: the checked-in file, and one that the environment names.
std::vector<Json> GoldenFiles() {
  std::vector<Json> files = {ReadGolden("added_tokens.json")};
  if (const char* path = std::getenv("TOME_GOLDEN_ADDED_TOKENS")) files.push_back(Json::parse(ReadFile(path)));
  return files;
}

std::shared_ptr<const Tokenizer> MakeFamily(const Json& file, const Json& family) {
  Json document = file["bases"][family["base"].get<std::string>()];
  document.merge_patch(family["patch"]);
  absl::StatusOr<TokenizerData> data = ParseTokenizerJson(document.dump(), "tokenizer.json", 400);
  EXPECT_THAT(data, IsOk()) << data.status() << family["patch"];
  if (!data.ok()) return nullptr;
  EXPECT_THAT(data->warnings, ::testing::IsEmpty()) << family["patch"];
  absl::StatusOr<std::shared_ptr<const Tokenizer>> tokenizer = Tokenizer::Create(*std::move(data));
  EXPECT_THAT(tokenizer, IsOk()) << tokenizer.status() << family["patch"];
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

// Calls `check` with every tokenizer and what it was made of.
template <typename Check>
void ForEachFamily(Check check) {
  for (const Json& file : GoldenFiles()) {
    ASSERT_GT(file["families"].size(), 50u);
    for (const Json& family : file["families"]) {
      const std::shared_ptr<const Tokenizer> tokenizer = MakeFamily(file, family);
      ASSERT_NE(tokenizer, nullptr);
      check(*tokenizer, family);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(AddedTokensTest, GiveTheTokensOfTheReference) {
  ForEachFamily([](const Tokenizer& tokenizer, const Json& family) {
    for (const Json& test_case : family["texts"]) {
      const auto text = test_case[0].get<std::string>();
      const std::vector<TextToken> tokens = tokenizer.Encode(text);
      EXPECT_THAT(Ids(tokens), ElementsAreArray(test_case[1].get<std::vector<TokenId>>()))
          << test_case[0] << family["patch"];
      EXPECT_EQ(TotalBytes(tokens), text.size()) << test_case[0] << family["patch"];
    }
  });
}

TEST(AddedTokensTest, GiveThePromptsOfTheReference) {
  ForEachFamily([](const Tokenizer& tokenizer, const Json& family) {
    for (const Json& test_case : family["prompts"]) {
      std::vector<TokenId> ids;
      std::optional<TokenId> before;
      std::string text;
      const auto put_text = [&](std::optional<TokenId> after) {
        for (const TokenId id : tokenizer.EncodeBetween(before, text, after)) ids.push_back(id);
        text.clear();
        before = after;
      };
      for (const Json& part : test_case[0]) {
        if (part.is_string()) {
          text = part.get<std::string>();
          continue;
        }
        put_text(part.get<TokenId>());
        ids.push_back(part.get<TokenId>());
      }
      put_text(std::nullopt);
      EXPECT_THAT(ids, ElementsAreArray(test_case[1].get<std::vector<TokenId>>())) << test_case[0] << family["patch"];
    }
  });
}

TEST(AddedTokensTest, AnyCutsGiveTheTokensOfTheWhole) {
  std::mt19937 random(7);
  ForEachFamily([&](const Tokenizer& tokenizer, const Json& family) {
    std::string text;
    for (const Json& test_case : family["texts"])
      text += test_case[0].get<std::string>() + (random() % 3 == 0 ? "\xff" : "");
    const std::vector<TextToken> whole = tokenizer.Encode(text);
    EXPECT_EQ(EncodeInPieces(tokenizer, text, [] { return 1; }), whole) << family["patch"];
    EXPECT_EQ(EncodeInPieces(tokenizer, text, [&] { return 1 + random() % 7; }), whole) << family["patch"];
  });
}

TEST(AddedTokensTest, StreamsThatAreSavedAndResumedAnywherePutOutTheSameTokens) {
  std::mt19937 random(8);
  ForEachFamily([&](const Tokenizer& tokenizer, const Json& family) {
    std::string text;
    for (const Json& test_case : family["texts"]) text += test_case[0].get<std::string>();
    std::vector<TextToken> tokens;
    std::unique_ptr<TokenStream> stream = tokenizer.NewStream();
    for (std::size_t at = 0; at < text.size();) {
      std::size_t size = 1 + random() % 5;
      while (at + size < text.size() && (static_cast<unsigned char>(text[at + size]) & 0xC0) == 0x80) ++size;
      stream->Append(std::string_view(text).substr(at, size), &tokens);
      at = std::min(text.size(), at + size);
      const std::string_view taken = std::string_view(text).substr(0, at);
      const TokenStreamState state = stream->Save();
      ASSERT_LT(state.context, 128);
      auto resumed = tokenizer.ResumeStream(state, taken.substr(at - stream->pending_bytes()));
      ASSERT_THAT(resumed, IsOk());
      EXPECT_EQ((*resumed)->Save(), state);
      stream = *std::move(resumed);
    }
    stream->Finish(&tokens);
    EXPECT_EQ(tokens, tokenizer.Encode(text)) << family["patch"];
  });
}

}  // namespace
}  // namespace tome::testing
