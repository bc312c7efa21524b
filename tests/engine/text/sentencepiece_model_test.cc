#include "engine/text/tokenizers/sentencepiece_model.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/text/reference_tokenizers.h"
#include "tests/engine/text/small_vocabularies.h"
#include "tests/support/status_matchers.h"

namespace tome::testing {
namespace {

using ::testing::HasSubstr;

// Fields of a Protobuf message whose numbers and sizes are small.
std::string Varint(int number, int value) {
  std::string bytes;
  int tag = number << 3;
  for (; tag >= 0x80; tag >>= 7) bytes += static_cast<char>(tag | 0x80);
  bytes += static_cast<char>(tag);
  return bytes + static_cast<char>(value);
}
std::string Bytes(int number, const std::string& value) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(value.size())} + value;
}

const std::string kPieces = Bytes(1, Bytes(1, "<unk>") + Varint(3, 2)) + Bytes(1, Bytes(1, "a"));
const std::string kBpe = Varint(3, 2);
const std::string kKeepSpaces = Varint(4, 0);

absl::Status Expand(const std::string& model, TokenizerData* data) {
  data->kind = TokenizerKind::kSentencePieceModel;
  data->source = "tokenizer.model";
  data->sentencepiece_model = model;
  return ExpandSentencePieceModel(data);
}

TEST(SentencePieceModelTest, ReadsPiecesAndWhatTheModelSaysOfSpaces) {
  TokenizerData data;
  ASSERT_THAT(Expand(kPieces + Bytes(2, kBpe) + Bytes(3, kKeepSpaces + Varint(3, 0)), &data), IsOk());
  EXPECT_EQ(data.kind, TokenizerKind::kSentencePieceBpe);
  ASSERT_EQ(data.pieces.size(), 2u);
  EXPECT_EQ(data.pieces[0].type, PieceType::kUnknown);
  EXPECT_EQ(data.pieces[1].text, "a");
  EXPECT_EQ(data.pieces[1].type, PieceType::kNormal);
  EXPECT_EQ(data.unknown, 0);
  EXPECT_EQ(data.bos, std::nullopt);
  EXPECT_FALSE(data.add_dummy_prefix);
}

TEST(SentencePieceModelTest, RefusesModelsThatAreNotPlainBpe) {
  const std::string unigram = Varint(3, 1), suffix = kBpe + Varint(24, 1), byte_fallback = kBpe + Varint(35, 1);
  const std::vector<std::tuple<std::string, std::string, const char*>> table = {
      {unigram, kKeepSpaces, "model_type: expected 2 (BPE), found 1"},
      {"", kKeepSpaces, "model_type: expected 2 (BPE), found 1"},
      {suffix, kKeepSpaces, "treat_whitespace_as_suffix"},
      {byte_fallback, kKeepSpaces, "byte_fallback"},
      {kBpe, "", "remove_extra_whitespaces"},
      {kBpe, kKeepSpaces + Varint(5, 0), "escape_whitespaces"},
      {kBpe, kKeepSpaces + Bytes(2, "map"), "character map"},
  };
  for (const auto& [trainer, normalizer, message] : table) {
    TokenizerData data;
    EXPECT_THAT(Expand(kPieces + Bytes(2, trainer) + Bytes(3, normalizer), &data),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  }
}

TEST(SentencePieceModelTest, RefusesDamage) {
  const std::string good = kPieces + Bytes(2, kBpe) + Bytes(3, kKeepSpaces);
  for (const std::string& model :
       {std::string("not a model"), std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        std::string("\x0a\x7f"), std::string("\x0b"), std::string("\x00\x00", 2), std::string(20, '\xff'),
        good.substr(0, good.size() - 1)}) {
    TokenizerData data;
    EXPECT_THAT(Expand(model, &data), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tokenizer.model")));
  }
  TokenizerData data;
  EXPECT_THAT(Expand("", &data), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no pieces")));
}

TEST(SentencePieceModelTest, EveryTruncationOfARealModelIsRefusedOrTakenWhole) {
  if (!HasSharedData()) GTEST_SKIP() << "needs " << SharedDataFolder();
  const std::string model = ReadFile(SharedDataFolder() + "/tokenizers/mistral_v1.model");
  for (std::size_t size = 0; size < model.size(); size += 4999) {
    TokenizerData data;
    EXPECT_FALSE(Expand(model.substr(0, size), &data).ok());
  }
}

TEST(SentencePieceModelTest, ReadsWhatTheRealModelNames) {
  if (!HasSharedData()) GTEST_SKIP() << "needs " << SharedDataFolder();
  TokenizerData data;
  ASSERT_THAT(Expand(ReadFile(SharedDataFolder() + "/tokenizers/mistral_v1.model"), &data), IsOk());
  EXPECT_EQ(data.pieces.size(), 32000u);
  EXPECT_EQ(data.bos, 1);
  EXPECT_EQ(data.eos, 2);
  EXPECT_EQ(data.unknown, 0);
  EXPECT_TRUE(data.add_dummy_prefix);
}

TEST(SentencePieceModelTest, ReadsBackWhatItWrites) {
  TokenizerData data;
  const std::vector<TokenizerPiece> pieces = SmallSentencePieceData({"ab", "a", "\u2581"}).pieces;
  ASSERT_THAT(Expand(SerializeSentencePieceModel(pieces), &data), IsOk());
  ASSERT_EQ(data.pieces.size(), pieces.size());
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    EXPECT_EQ(data.pieces[id].text, pieces[id].text);
    EXPECT_EQ(data.pieces[id].score, pieces[id].score);
    EXPECT_EQ(data.pieces[id].type, pieces[id].type);
  }
  EXPECT_FALSE(data.add_dummy_prefix);
}

}  // namespace
}  // namespace tome::testing
