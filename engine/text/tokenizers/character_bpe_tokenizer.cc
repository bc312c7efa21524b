#include "engine/text/tokenizers/character_bpe_tokenizer.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/text/splitting/piece_text.h"
#include "engine/text/tokenizers/bpe_merger.h"
#include "engine/text/tokenizers/merge_rules.h"
#include "engine/text/tokenizers/word_stream.h"

namespace tome {
namespace {

// What is merged into words.
struct Characters {
  absl::flat_hash_map<char32_t, TokenId> tokens;
  std::array<TokenId, 256> bytes;  // of the characters that are no pieces
};

class CharacterBpeTokenizer final : public WordTokenizer {
 public:
  using WordMap = absl::flat_hash_map<std::string, TokenId>;

  CharacterBpeTokenizer(Vocabulary vocabulary, std::vector<std::string> token_bytes, bool adds_prefix,
                        std::string digest, WordRules rules, BpeMerger merger, Characters characters,
                        WordMap whole_words)
      : WordTokenizer(std::move(vocabulary), std::move(token_bytes), adds_prefix, std::move(digest), std::move(rules)),
        merger_(std::move(merger)),
        characters_(std::move(characters)),
        whole_words_(std::move(whole_words)) {}

  void EncodeWord(std::string_view text, const Word& word, std::vector<TextToken>* out) const override {
    if (word.whole && !whole_words_.empty()) {
      std::string whole(word.prefix ? " " : "");
      whole += ReplaceSpaceSymbols(text);
      const auto found = whole_words_.find(absl::string_view(whole));
      if (found != whole_words_.end()) {
        out->push_back({found->second, static_cast<std::uint32_t>(text.size())});
        return;
      }
    }
    std::vector<TextToken> tokens;
    tokens.reserve(text.size() + 1);
    if (word.prefix) AddCharacter(kSpaceSymbol, 0, &tokens);
    while (!text.empty()) {
      const std::size_t size = ReadSentencePieceCharacter(text, /*more_follows=*/false).num_bytes;
      const std::string_view character = text.substr(0, size);
      AddCharacter(character == " " ? kSpaceSymbol : character, size, &tokens);
      text.remove_prefix(size);
    }
    merger_.MergeTokens(absl::MakeSpan(tokens), out);
  }

 private:
  // `num_bytes`: those of the text that the character stands for.
  void AddCharacter(std::string_view character, std::size_t num_bytes, std::vector<TextToken>* tokens) const {
    const char32_t code_point = ReadSentencePieceCharacter(character, /*more_follows=*/false).code_point;
    const auto found = characters_.tokens.find(code_point);
    if (found != characters_.tokens.end()) {
      tokens->push_back({found->second, static_cast<std::uint32_t>(num_bytes)});
      return;
    }
    // As the library of SentencePiece counts: all of them with the last byte.
    for (const char byte : character) tokens->push_back({characters_.bytes[static_cast<unsigned char>(byte)], 0});
    tokens->back().num_bytes = static_cast<std::uint32_t>(num_bytes);
  }

  BpeMerger merger_;
  Characters characters_;
  WordMap whole_words_;  // words that are one token without merging, with spaces
};

absl::Status CheckPiece(const TokenizerData& data, TokenId id) {
  const TokenizerPiece& piece = data.pieces[id];
  if (!IsValidUtf8(piece.text))
    return InvalidArgument("{}: tokenizer piece {}: it is not valid UTF-8", data.source, id);
  const bool is_one_character = ReadSentencePieceCharacter(piece.text, false).num_bytes == piece.text.size();
  if (piece.type == PieceType::kControl && is_one_character) {
    return InvalidArgument("{}: tokenizer piece {} {}: a special token of one character could be made by text",
                           data.source, id, Quote(piece.text));
  }
  return absl::OkStatus();
}

absl::StatusOr<Characters> FindCharacters(const TokenizerData& data, const Vocabulary& vocabulary) {
  Characters characters;
  characters.bytes.fill(BpeMerger::kNoToken);
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const TokenizerPiece& piece = vocabulary.piece(id);
    if (piece.type == PieceType::kByte) {
      if (!FallbackByte(piece.text)) {
        return InvalidArgument("{}: tokenizer piece {} {}: expected a byte piece like '<0x0A>'", data.source, id,
                               Quote(piece.text));
      }
      characters.bytes[static_cast<unsigned char>(*FallbackByte(piece.text))] = id;
      continue;
    }
    if (vocabulary.IsSpecial(id) || !vocabulary.IsInModel(id)) continue;
    const auto [code_point, num_bytes] = ReadSentencePieceCharacter(piece.text, /*more_follows=*/false);
    if (num_bytes == piece.text.size() && piece.text != " ") characters.tokens.emplace(code_point, id);
  }
  for (std::size_t byte = 0; byte < characters.bytes.size(); ++byte) {
    if (characters.bytes[byte] != BpeMerger::kNoToken) continue;
    return InvalidArgument(
        "{}: tokenizer vocabulary: expected a piece for every byte, '<0x00>' to '<0xFF>', found none "
        "for 0x{:02X}",
        data.source, byte);
  }
  return characters;
}

// Byte pieces stand for parts of characters, so their merges would reach over places where a text is cut.
absl::Status RefuseMergedBytes(const TokenizerData& data) {
  for (const auto& [left, right] : data.merges) {
    if (!FallbackByte(left) && !FallbackByte(right)) continue;
    return InvalidArgument("{}: tokenizer merges: expected none of byte pieces, found that of {} and {}", data.source,
                           Quote(left), Quote(right));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> CreateCharacterBpeTokenizer(TokenizerData data) {
  TOME_ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Create(data));
  for (TokenId id = 0; id < vocabulary.size(); ++id) TOME_RETURN_IF_ERROR(CheckPiece(data, id));
  TOME_ASSIGN_OR_RETURN(Characters characters, FindCharacters(data, vocabulary));
  TOME_RETURN_IF_ERROR(RefuseMergedBytes(data));
  BpeMerger merger;
  TOME_RETURN_IF_ERROR(AddMerges(data, vocabulary, &merger));

  std::vector<std::string> token_bytes(data.pieces.size());
  auto pairs = std::make_shared<CharacterPairs>();
  CharacterBpeTokenizer::WordMap whole_words;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const TokenizerPiece& piece = vocabulary.piece(id);
    if (vocabulary.IsSpecial(id)) continue;
    const bool is_byte = piece.type == PieceType::kByte;
    token_bytes[id] = is_byte                                 ? std::string(1, *FallbackByte(piece.text))
                      : piece.type == PieceType::kUserDefined ? piece.text
                                                              : ReplaceSpaceSymbols(piece.text);
    if (!vocabulary.IsInModel(id)) continue;
    pairs->AddPiece(piece.text);
    if (data.ignore_merges && piece.text.find(' ') == std::string::npos) {
      whole_words.emplace(ReplaceSpaceSymbols(piece.text), id);
    }
  }
  WordRules rules;
  TOME_ASSIGN_OR_RETURN(rules.added, AddedTokens::Create(data));
  rules.stretches = CharacterRules{data.spaces, std::move(pairs)};
  const bool adds_prefix = data.spaces.normalizer_prepends || data.spaces.prefix != SpaceRules::Prefix::kNever;
  std::string digest = TokenizerDigest(data);
  return std::make_shared<const CharacterBpeTokenizer>(std::move(vocabulary), std::move(token_bytes), adds_prefix,
                                                       std::move(digest), std::move(rules), std::move(merger),
                                                       std::move(characters), std::move(whole_words));
}

}  // namespace tome
