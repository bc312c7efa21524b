#include "engine/text/tokenizers/byte_level_tokenizer.h"

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
#include "engine/base/status.h"
#include "engine/text/tokenizers/bpe_merger.h"
#include "engine/text/tokenizers/byte_alphabet.h"
#include "engine/text/tokenizers/merge_rules.h"
#include "engine/text/tokenizers/word_stream.h"

namespace tome {
namespace {

class ByteLevelTokenizer final : public WordTokenizer {
 public:
  using WordMap = absl::flat_hash_map<std::string, TokenId>;

  ByteLevelTokenizer(Vocabulary vocabulary, std::vector<std::string> token_bytes, std::string digest, BpeMerger merger,
                     WordRules rules, WordMap whole_words)
      : WordTokenizer(std::move(vocabulary), std::move(token_bytes), /*adds_dummy_prefix=*/false, std::move(digest),
                      std::move(rules)),
        merger_(std::move(merger)),
        whole_words_(std::move(whole_words)) {}

  void EncodeWord(std::string_view text, const Word& /*word*/, std::vector<TextToken>* out) const override {
    if (!whole_words_.empty()) {
      const auto found = whole_words_.find(absl::string_view(text.data(), text.size()));
      if (found != whole_words_.end()) {
        out->push_back({found->second, static_cast<std::uint32_t>(text.size())});
        return;
      }
    }
    merger_.Merge(text, out);
  }

 private:
  BpeMerger merger_;
  WordMap whole_words_;  // words that are one token without merging
};

absl::StatusOr<BpeMerger> BuildMerger(const TokenizerData& data, const Vocabulary& vocabulary) {
  std::array<TokenId, 256> byte_tokens;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string& character = ByteAlphabetCharacter(static_cast<unsigned char>(byte));
    const std::optional<TokenId> id = vocabulary.FindInModel(character);
    const bool is_ordinary = id && !vocabulary.IsSpecial(*id);
    // Vocabularies may lack rare control characters and bytes that UTF-8 does not use, as SmolLM2's does.
    if (!is_ordinary && byte >= ' ' && byte <= '~') {
      return InvalidArgument("{}: tokenizer vocabulary: expected an ordinary piece '{}' for byte 0x{:02X}, found {}",
                             data.source, character, byte, id ? "a special one" : "none");
    }
    byte_tokens[byte] = is_ordinary ? *id : BpeMerger::kNoToken;
  }
  BpeMerger merger(byte_tokens);
  TOME_RETURN_IF_ERROR(AddMerges(data, vocabulary, &merger));
  return merger;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> CreateByteLevelTokenizer(TokenizerData data) {
  TOME_ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Create(data));
  TOME_ASSIGN_OR_RETURN(BpeMerger merger, BuildMerger(data, vocabulary));

  std::vector<std::string> token_bytes(data.pieces.size());
  ByteLevelTokenizer::WordMap whole_words;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const TokenizerPiece& piece = vocabulary.piece(id);
    if (vocabulary.IsSpecial(id)) continue;
    const std::string bytes = DecodeByteAlphabet(piece.text).value_or(piece.text);
    const bool is_literal = piece.type == PieceType::kUserDefined;
    token_bytes[id] = is_literal ? piece.text : bytes;
    const bool is_word = is_literal || piece.type == PieceType::kNormal;
    if (data.ignore_merges && is_word && vocabulary.IsInModel(id)) whole_words.emplace(bytes, id);
  }
  WordRules rules;
  TOME_ASSIGN_OR_RETURN(rules.added, AddedTokens::Create(data));
  absl::StatusOr<WordPatterns> patterns = WordPatterns::Create(data);
  if (!patterns.ok()) return Annotate(patterns.status(), data.source + ": tokenizer pre-tokenizer");
  rules.stretches = *std::move(patterns);
  std::string digest = TokenizerDigest(data);
  return std::make_shared<const ByteLevelTokenizer>(std::move(vocabulary), std::move(token_bytes), std::move(digest),
                                                    std::move(merger), std::move(rules), std::move(whole_words));
}

}  // namespace tome
