// Any bytes, cut anywhere: a stream gives the tokens of the whole text, counts every byte once and makes no special
// token. The first byte of the input picks the tokenizer, the second how the rest is cut.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/tokenizer.h"
#include "tests/engine/text/small_vocabularies.h"
#include "tests/fuzz/require.h"

namespace tome::testing {
namespace {

std::vector<std::shared_ptr<const Tokenizer>> MakeTokenizers() {
  std::vector<TokenizerData> all;
  for (const PreTokenizer pre_tokenizer : {PreTokenizer::kGpt2, PreTokenizer::kSmolLm, PreTokenizer::kLlama3}) {
    all.push_back(SmallByteLevelData({{"a", "b"}, {"ab", "ab"}, {"Ġ", "Ġ"}, {"Ġ", "ab"}, {"ï", "¿"}}));
    all.back().pre_tokenizer = pre_tokenizer;
  }
  TokenizerData pattern = all.front();
  pattern.pre_tokenizer = PreTokenizer::kPattern;
  pattern.split_pattern = R"(\w\S|a+(?!b))";
  pattern.individual_digits = true;
  pattern.pieces.push_back({"<ab>", 0, PieceType::kUserDefined});
  pattern.pieces.push_back({"<ab>1", 0, PieceType::kUserDefined});
  all.push_back(pattern);
  TokenizerData sentencepiece = SmallSentencePieceData({"ab", "\u2581ab", "a", "b", "\u2581\u2581", "\u2581"});
  sentencepiece.pieces.push_back({"<ab>", 0, PieceType::kUserDefined});
  all.push_back(sentencepiece);
  for (TokenizerPiece& piece : sentencepiece.pieces) {
    if (piece.type == PieceType::kByte) piece.type = PieceType::kUnused;
  }
  all.push_back(sentencepiece);

  using Prefix = SpaceRules::Prefix;
  for (const SpaceRules& spaces :
       {SpaceRules{.normalizer_replaces = true, .normalizer_prepends = true}, SpaceRules{.prefix = Prefix::kFirst},
        SpaceRules{.prefix = Prefix::kAlways, .split = true}, SpaceRules{.normalizer_replaces = true}}) {
    TokenizerData characters =
        SmallCharacterData(spaces, /*special_marks=*/false, {{"a", "b"}, {"\u2581", "ab"}, {"\u2581", "\u2581"}});
    for (const char* text : {"<ab>", "<ab", " b", "ab"}) {
      const auto id = static_cast<TokenId>(characters.pieces.size());
      const bool strips = text[0] == '<';
      if (characters.pieces[286].text == text) continue;  // it is a piece already
      characters.added.push_back({.id = id, .lstrip = strips, .single_word = !strips, .normalized = id % 2 == 0});
      characters.pieces.push_back({text, 0, PieceType::kUserDefined});
    }
    characters.added.front().lstrip = true;
    all.push_back(characters);
    characters.ignore_merges = true;
    all.push_back(characters);
  }

  std::vector<std::shared_ptr<const Tokenizer>> tokenizers;
  for (TokenizerData& data : all) {
    absl::StatusOr<std::shared_ptr<const Tokenizer>> tokenizer = Tokenizer::Create(std::move(data));
    Require(tokenizer.ok(), "the vocabulary is good");
    tokenizers.push_back(*std::move(tokenizer));
  }
  return tokenizers;
}

void Check(const Tokenizer& tokenizer, std::string_view text, std::size_t piece_size) {
  const std::vector<TextToken> whole = tokenizer.Encode(text);
  std::size_t total = 0;
  for (const TextToken& token : whole) {
    Require(token.id >= 0 && token.id < tokenizer.vocab_size(), "ids are within the vocabulary");
    // Without byte fallback, SentencePiece says "unknown" (token 0).
    Require(!tokenizer.IsSpecial(token.id) || (token.id == 0 && tokenizer.adds_dummy_prefix()), "no special token");
    total += token.num_bytes;
  }
  Require(total == text.size(), "every byte is counted once");

  std::vector<TextToken> tokens;
  const std::unique_ptr<TokenStream> stream = tokenizer.NewStream();
  for (std::size_t offset = 0; offset < text.size(); offset += piece_size) {
    stream->Append(text.substr(offset, piece_size), &tokens);
  }
  stream->Finish(&tokens);
  Require(tokens == whole, "a stream gives the tokens of the whole");
}

}  // namespace
}  // namespace tome::testing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto* tokenizers =
      new std::vector<std::shared_ptr<const tome::Tokenizer>>(tome::testing::MakeTokenizers());
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  tome::testing::Check(*(*tokenizers)[data[0] % tokenizers->size()], text, std::size_t{1} + data[1] % 16);
  return 0;
}
