// A text that arrives in pieces gives the tokens of the whole, with bounded memory and in time.
#include <random>
#include <string>
#include <vector>

#include "engine/base/utf8.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/text/reference_tokenizers.h"
#include "tests/engine/text/small_vocabularies.h"
#include "tests/support/status_matchers.h"

namespace tome::testing {
namespace {

constexpr int kSeeds = 40;

// Fragments that meet at random: what decides about cuts, whole and broken.
std::string RandomText(std::mt19937* random, int fragments) {
  static const std::vector<std::string> kFragments = {
      " ",        "  ",       "\n",      "\r\n",    "\t",         "'s",
      "'LL",      "'",        "a",       "the",     " The",       "1",
      "2024",     ".",        "...",     "e\u0301", "\u4e2d",     "\U0001f600",
      "\u00a0",   "\u3000",   "\u0664",  "\u2581",  "\xff",       "\xc3",
      "\xe2\x82", "\xf0\x9f", "<think>", "<thin",   "<|im_end|>", std::string(1, '\0'),
      "\n\n\n",   "\x04",     "a user 1"};
  std::string text;
  for (int i = 0; i < fragments; ++i) text += kFragments[(*random)() % kFragments.size()];
  return text;
}

std::string RandomBytes(std::mt19937* random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>((*random)());
  return bytes;
}

class TokenStreamTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    tokenizer_ = ReferenceTokenizer(GetParam());
    if (tokenizer_ == nullptr) GTEST_SKIP() << "needs " << SharedDataFolder();
  }

  void ExpectSameInPieces(const std::string& text, std::mt19937* random) {
    const std::vector<TextToken> whole = tokenizer_->Encode(text);
    EXPECT_EQ(EncodeInPieces(*tokenizer_, text, [] { return 1; }), whole);
    EXPECT_EQ(EncodeInPieces(*tokenizer_, text, [] { return SIZE_MAX; }), whole);
    EXPECT_EQ(EncodeInPieces(*tokenizer_, text, [random] { return 1 + (*random)() % 7; }), whole);
    EXPECT_EQ(EncodeInPieces(*tokenizer_, text, [random] { return (*random)() % 300; }), whole);
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_P(TokenStreamTest, AnyCutsOfRandomTextGiveTheTokensOfTheWhole) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    ExpectSameInPieces(RandomText(&random, 200), &random);
  }
}

TEST_P(TokenStreamTest, AnyCutsOfRandomBytesGiveTheTokensOfTheWhole) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    ExpectSameInPieces(RandomBytes(&random, 500), &random);
  }
}

TEST_P(TokenStreamTest, StreamThatIsSavedAndResumedAnywherePutsOutTheSameTokens) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const std::string text = ReplaceInvalidUtf8(RandomText(&random, 100));
    std::vector<TextToken> tokens;
    std::unique_ptr<TokenStream> stream = tokenizer_->NewStream();
    for (std::size_t at = 0; at < text.size();) {
      std::size_t size = 1 + random() % 9;
      while (at + size < text.size() && (static_cast<unsigned char>(text[at + size]) & 0xC0) == 0x80) ++size;
      stream->Append(std::string_view(text).substr(at, size), &tokens);
      at = std::min(text.size(), at + size);
      const std::string_view taken = std::string_view(text).substr(0, at);
      const TokenStreamState state = stream->Save();
      auto resumed = tokenizer_->ResumeStream(state, taken.substr(at - stream->pending_bytes()));
      ASSERT_THAT(resumed, IsOk());
      EXPECT_EQ((*resumed)->Save(), state);
      EXPECT_EQ((*resumed)->pending_bytes(), stream->pending_bytes());
      stream = *std::move(resumed);
    }
    stream->Finish(&tokens);
    EXPECT_EQ(tokens, tokenizer_->Encode(text));
  }
}

TEST_P(TokenStreamTest, ResumesOnlyWhereAStreamCanBe) {
  EXPECT_THAT(tokenizer_->ResumeStream({.started = true, .held_bytes = 4}, "abc"),
              StatusIs(absl::StatusCode::kDataLoss, ::testing::HasSubstr("3 bytes, 4 of them")));
  EXPECT_FALSE(tokenizer_->ResumeStream({.started = true}, "\xff").ok());
  EXPECT_EQ(tokenizer_->ResumeStream({.started = true, .dummy_prefix = true}, "a").ok(),
            tokenizer_->adds_dummy_prefix());
}

TEST_P(TokenStreamTest, TakesABookByteByByte) {
  if (!HasSharedData()) GTEST_SKIP() << "needs " << SharedDataFolder();
  const std::string book = ReadFile(SharedDataFolder() + "/books/almayers_folly.txt");
  EXPECT_EQ(EncodeInPieces(*tokenizer_, book, [] { return 1; }), tokenizer_->Encode(book));
}

TEST_P(TokenStreamTest, CountsEveryByteOnce) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    std::mt19937 random(seed);
    // The last word has a token, so bytes that the vocabulary lacks have one to count to.
    const std::string text = RandomText(&random, 100) + RandomBytes(&random, 100) + " end";
    std::vector<TextToken> tokens;
    const std::unique_ptr<TokenStream> stream = tokenizer_->NewStream();
    for (std::size_t offset = 0; offset < text.size(); offset += 13) {
      stream->Append(std::string_view(text).substr(offset, 13), &tokens);
      EXPECT_EQ(TotalBytes(tokens) + stream->pending_bytes(), std::min(offset + 13, text.size()));
    }
    stream->Finish(&tokens);
    EXPECT_EQ(TotalBytes(tokens), text.size());
    EXPECT_EQ(stream->pending_bytes(), 0u);
  }
}

TEST_P(TokenStreamTest, PutsTokensOutSoonInOrdinaryText) {
  const std::unique_ptr<TokenStream> stream = tokenizer_->NewStream();
  std::vector<TextToken> tokens;
  for (int i = 0; i < 1000; ++i) {
    stream->Append("It was the best of times, it was the worst of times. ", &tokens);
    EXPECT_LT(stream->pending_bytes(), 32u);
  }
}

TEST_P(TokenStreamTest, ACloneGoesOnByItself) {
  std::mt19937 random(7);
  const std::string text = RandomText(&random, 200), other = RandomText(&random, 50);
  for (const std::size_t cut : {std::size_t{0}, text.size() / 3, text.size() / 2, text.size()}) {
    std::vector<TextToken> tokens;
    const std::unique_ptr<TokenStream> stream = tokenizer_->NewStream();
    stream->Append(std::string_view(text).substr(0, cut), &tokens);
    std::vector<TextToken> clone_tokens = tokens;
    const std::unique_ptr<TokenStream> clone = stream->Clone();
    clone->Append(other, &clone_tokens);
    clone->Finish(&clone_tokens);
    stream->Append(std::string_view(text).substr(cut), &tokens);
    stream->Finish(&tokens);
    EXPECT_EQ(tokens, tokenizer_->Encode(text));
    EXPECT_EQ(clone_tokens, tokenizer_->Encode(text.substr(0, cut) + other));
  }
}

TEST_P(TokenStreamTest, AnEmptyTextHasNoTokens) {
  std::vector<TextToken> tokens;
  const std::unique_ptr<TokenStream> stream = tokenizer_->NewStream();
  stream->Append("", &tokens);
  stream->Finish(&tokens);
  EXPECT_TRUE(tokens.empty());
  EXPECT_TRUE(tokenizer_->Encode("").empty());
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, TokenStreamTest,
                         ::testing::Values("smollm2", "gpt2", "llama3", "gaps", "user_defined", "mistral", "llama2c",
                                           "llama2c_no_bytes"),
                         [](const auto& info) { return std::string(info.param); });

// Runs that nothing cuts, longer than a stream may hold.
struct LongRun {
  const char* name;
  TokenizerData data;
  std::string unit;
};

std::vector<LongRun> LongRuns() {
  TokenizerData gaps = SmallByteLevelData();
  gaps.pre_tokenizer = PreTokenizer::kPattern;
  gaps.split_pattern = "x+";
  TokenizerData user_defined = SmallByteLevelData();
  user_defined.pieces.push_back({"bbc", 0, PieceType::kUserDefined});
  TokenizerData no_bytes = SmallSentencePieceData({"a"});
  for (TokenizerPiece& piece : no_bytes.pieces) {
    if (piece.type == PieceType::kByte) piece.type = PieceType::kUnused;
  }
  return {{"letters", SmallByteLevelData({{"a", "b"}}), "ab"},
          {"three-byte letters", SmallByteLevelData(), "\u4e2d"},
          {"spaces", SmallByteLevelData(), " "},
          {"broken bytes", SmallByteLevelData(), "\xf0\x9f"},
          {"a gap", gaps, "yz"},
          {"letters before a user-defined piece", user_defined, "b"},
          {"SentencePiece pairs", SmallSentencePieceData({"ab", "ba"}), "ab"},
          {"SentencePiece spaces", SmallSentencePieceData({"\u2581\u2581"}), " "},
          {"SentencePiece without a way to write it", no_bytes, "\u4e2d"}};
}

TEST(LongRunTest, IsCutAtTheSamePlacesWhateverTheChunks) {
  for (const LongRun& run : LongRuns()) {
    SCOPED_TRACE(run.name);
    TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(run.data));
    std::string text = "start ";
    while (text.size() < kMaxWordBytes + 50'000) text += run.unit;
    text += " end";
    const std::vector<TextToken> whole = tokenizer->Encode(text);
    EXPECT_EQ(TotalBytes(whole), text.size());

    std::vector<TextToken> tokens;
    const std::unique_ptr<TokenStream> stream = tokenizer->NewStream();
    constexpr std::size_t kPiece = 100'003;
    for (std::size_t offset = 0; offset < text.size(); offset += kPiece) {
      stream->Append(std::string_view(text).substr(offset, kPiece), &tokens);
      EXPECT_LE(stream->pending_bytes(), 2 * kMaxWordBytes + kPiece);
    }
    stream->Finish(&tokens);
    EXPECT_EQ(tokens, whole);
    EXPECT_EQ(EncodeInPieces(*tokenizer, text, [] { return SIZE_MAX; }), whole);
  }
}

TEST(LongRunTest, CostsLinearTimeByteByByte) {
  // With a look at the whole run for each byte this would take hours.
  TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(SmallByteLevelData({{"a", "a"}})));
  const std::string text(kMaxWordBytes + 17, 'a');
  EXPECT_EQ(EncodeInPieces(*tokenizer, text, [] { return 1; }), tokenizer->Encode(text));
}

TEST(MissingBytesTest, CountToANeighbour) {
  TokenizerData data = SmallByteLevelData();
  data.pieces[2 + 4].text = "not a byte";  // U+0004
  TOME_ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Create(data));
  using Tokens = std::vector<TextToken>;
  EXPECT_EQ(tokenizer->Encode("a\x04z"), (Tokens{{2 + 'a', 1}, {2 + 'z', 2}}));  // a word of its own
  EXPECT_EQ(tokenizer->Encode(".\x04."), (Tokens{{2 + '.', 2}, {2 + '.', 1}}));
  EXPECT_EQ(tokenizer->Encode("\x04\x04z"), (Tokens{{2 + 'z', 3}}));
  EXPECT_EQ(tokenizer->Encode("z\x04"), (Tokens{{2 + 'z', 1}}));
  EXPECT_EQ(tokenizer->Encode("\x04"), (Tokens{}));
}

}  // namespace
}  // namespace tome::testing
