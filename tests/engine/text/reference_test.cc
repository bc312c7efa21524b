// Token for token equal to Hugging Face `tokenizers` and to SentencePiece: see scripts/golden/tokens.py.
#include <string>
#include <vector>

#include "engine/base/digest.h"
#include "engine/base/utf8.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/text/reference_tokenizers.h"

namespace tome::testing {
namespace {

using ::testing::ElementsAreArray;

void ExpectGolden(const Tokenizer& tokenizer, const std::string& text, const nlohmann::json& golden) {
  const std::vector<TextToken> tokens = tokenizer.Encode(text);
  EXPECT_EQ(TotalBytes(tokens), text.size());
  if (golden.is_array()) {
    EXPECT_THAT(Ids(tokens), ElementsAreArray(golden.get<std::vector<TokenId>>()));
  } else {
    EXPECT_EQ(tokens.size(), golden["count"].get<std::size_t>());
    EXPECT_EQ(DigestOfIds(tokens), golden["sha256"].get<std::string>());
  }
}

class ReferenceTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    tokenizer_ = ReferenceTokenizer(GetParam());
    if (tokenizer_ == nullptr) GTEST_SKIP() << "needs " << SharedDataFolder();
  }
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_P(ReferenceTest, GivesTheTokensOfHardTexts) {
  const nlohmann::json golden = ReadGolden("hard.json");
  ASSERT_GT(golden["cases"].size(), 50u);
  for (const nlohmann::json& test_case : golden["cases"]) {
    SCOPED_TRACE(test_case["name"].get<std::string>());
    std::string text;
    for (const nlohmann::json& part : test_case["parts"]) {
      const std::string bytes = FromHex(part[0].get<std::string>());
      for (int i = 0; i < part[1].get<int>(); ++i) text += bytes;
    }
    ExpectGolden(*tokenizer_, text, test_case["tokens"][GetParam()]);
  }
}

std::string EncodeUtf8(char32_t c) {
  if (c < 0x80) return {static_cast<char>(c)};
  const auto continuation = [c](int shift) { return static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x800) return {static_cast<char>(0xC0 | (c >> 6)), continuation(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | (c >> 12)), continuation(6), continuation(0)};
  return {static_cast<char>(0xF0 | (c >> 18)), continuation(12), continuation(6), continuation(0)};
}

// Each code point next to letters, digits, spaces, punctuation and itself.
std::string BlockOfCodePoints(char32_t first) {
  std::string text;
  for (char32_t code_point = first; code_point < first + 0x2000; ++code_point) {
    if (code_point >= 0xD800 && code_point < 0xE000) continue;
    const std::string c = EncodeUtf8(code_point);
    for (const std::string& part : {std::string("a"), c, c, std::string(" "), c, std::string("1"), c, std::string("'"),
                                    c, std::string(".\n"), c, std::string("  "), c}) {
      text += part;
    }
  }
  return text;
}

TEST_P(ReferenceTest, GivesTheTokensOfEveryCodePoint) {
  const nlohmann::json golden = ReadGolden("code_points.json");
  ASSERT_GT(golden["blocks"].size(), 30u);
  for (const auto& [block, digests] : golden["blocks"].items()) {
    const std::string text = BlockOfCodePoints(static_cast<char32_t>(std::stoul(block, nullptr, 16)));
    const std::vector<TextToken> tokens = tokenizer_->Encode(text);
    EXPECT_EQ(DigestOfIds(tokens), digests[GetParam()].get<std::string>()) << "in the block from U+" << block;
    EXPECT_EQ(TotalBytes(tokens), text.size());
  }
}

TEST_P(ReferenceTest, GivesTheTokensOfBooksAndBinaries) {
  if (!HasSharedData()) GTEST_SKIP() << "needs " << SharedDataFolder();
  const nlohmann::json golden = ReadGolden("texts.json");
  ASSERT_GT(golden["texts"].size(), 20u);
  int compared = 0;
  for (const auto& [path, entry] : golden["texts"].items()) {
    SCOPED_TRACE(path);
    const nlohmann::json& tokens = entry["tokens"];
    if (!tokens.contains(GetParam())) continue;
    const std::string text = ReadFile(SharedDataFolder() + "/" + path);
    if (Sha256Hex(text) != entry["sha256"].get<std::string>()) continue;  // another edition
    ExpectGolden(*tokenizer_, text, tokens[GetParam()]);
    ++compared;
  }
  const bool has_texts = golden["texts"].begin().value()["tokens"].contains(GetParam());
  EXPECT_EQ(compared > 0, has_texts);
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, ReferenceTest,
                         ::testing::Values("smollm2", "gpt2", "llama3", "gaps", "user_defined", "mistral", "llama2c",
                                           "llama2c_no_bytes"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace tome::testing
