#include "engine/text/byte_level_tokenizer.h"

#include <algorithm>
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
#include "engine/base/utf8.h"
#include "engine/text/bpe_merger.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/vocabulary.h"
#include "engine/text/word_splitter.h"

namespace tome {
namespace {

class ByteLevelTokenizer final : public VocabularyTokenizer {
 public:
  using WordMap = absl::flat_hash_map<std::string, TokenId>;

  ByteLevelTokenizer(Vocabulary vocabulary, std::vector<std::string> token_bytes, std::string digest, BpeMerger merger,
                     WordRules rules, WordMap whole_words)
      : VocabularyTokenizer(std::move(vocabulary), std::move(token_bytes), /*adds_dummy_prefix=*/false,
                            std::move(digest)),
        merger_(std::move(merger)),
        rules_(std::move(rules)),
        whole_words_(std::move(whole_words)) {}

  std::unique_ptr<TokenStream> NewStream() const override;
  absl::StatusOr<std::unique_ptr<TokenStream>> ResumeStream(const TokenStreamState& state,
                                                            std::string_view pending) const override;

  const WordRules& rules() const { return rules_; }

  void EncodeWord(std::string_view word, std::vector<TextToken>* out) const {
    if (!whole_words_.empty()) {
      const auto found = whole_words_.find(absl::string_view(word.data(), word.size()));
      if (found != whole_words_.end()) {
        out->push_back({found->second, static_cast<std::uint32_t>(word.size())});
        return;
      }
    }
    merger_.Merge(word, out);
  }

 private:
  BpeMerger merger_;
  WordRules rules_;
  WordMap whole_words_;  // words that are one token without merging
};

// Maps offsets in the repaired text back to the source, for offsets that only grow.
class SourceOffsets {
 public:
  std::vector<Utf8Replacement>* replacements() { return &replacements_; }

  // The source bytes before `offset` of the repaired text; a replaced sequence counts where its U+FFFD ends.
  std::uint64_t At(std::uint64_t offset) {
    for (; next_ < replacements_.size(); ++next_) {
      const Utf8Replacement& replacement = replacements_[next_];
      const std::uint64_t end = replacement.output_offset + kReplacementCharacter.size();
      if (offset <= replacement.output_offset) break;
      if (offset < end) return replacement.source_offset;
      shift_ = replacement.source_offset + replacement.source_bytes - end;
    }
    return offset + shift_;
  }

  void DropPassed() {
    replacements_.erase(replacements_.begin(), replacements_.begin() + static_cast<std::ptrdiff_t>(next_));
    next_ = 0;
  }

 private:
  std::vector<Utf8Replacement> replacements_;
  std::size_t next_ = 0;
  std::uint64_t shift_ = 0;  // source less repaired offset, modulo 2^64
};

class ByteLevelStream final : public TokenStream {
 public:
  explicit ByteLevelStream(std::shared_ptr<const ByteLevelTokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)), splitter_(tokenizer_->rules()) {}

  // Offsets count from the first pending byte: only their differences matter.
  ByteLevelStream(std::shared_ptr<const ByteLevelTokenizer> tokenizer, std::uint64_t held_bytes,
                  std::string_view pending)
      : ByteLevelStream(std::move(tokenizer)) {
    replacer_.Append(pending, &text_, source_.replacements());
    text_.erase(0, held_bytes);
    taken_ = pending.size();
    passed_ = held_bytes;
  }

  void Append(std::string_view bytes, std::vector<TextToken>* out) override {
    taken_ += bytes.size();
    replacer_.Append(bytes, &text_, source_.replacements());
    // An unfinished word is looked at again when it has grown by an eighth, so that a long one that comes byte by byte
    // costs time in proportion to its length.
    if (text_.size() < next_look_) return;
    EmitWords(/*is_end=*/false, out);
    next_look_ = text_.size() + text_.size() / 8 + 1;
  }

  void Finish(std::vector<TextToken>* out) override {
    replacer_.Finish(&text_, source_.replacements());
    EmitWords(/*is_end=*/true, out);
  }

  std::size_t pending_bytes() const override { return taken_ - emitted_; }
  std::unique_ptr<TokenStream> Clone() const override { return std::make_unique<ByteLevelStream>(*this); }
  TokenStreamState Save() const override {
    TokenStreamState state;
    if (passed_ > emitted_) state.held_bytes = passed_ - emitted_;
    return state;
  }

 private:
  void EmitWords(bool is_end, std::vector<TextToken>* out) {
    std::size_t start = 0;
    while (start < text_.size()) {
      const std::size_t length = splitter_.WordLength(text_, start, is_end);
      if (length == 0) break;
      const std::size_t first = out->size();
      tokenizer_->EncodeWord(std::string_view(text_).substr(start, length), out);
      std::uint64_t position = passed_;
      for (std::size_t i = first; i < out->size(); ++i) {
        position += (*out)[i].num_bytes;
        CountSourceBytes(position, &(*out)[i]);
      }
      passed_ += length;
      start += length;
    }
    text_.erase(0, start);
    splitter_.DropFront(start);
    source_.DropPassed();
  }

  // The token takes all source bytes up to `end` of the repaired text that no token took before it.
  void CountSourceBytes(std::uint64_t end, TextToken* token) {
    const std::uint64_t num_bytes = source_.At(end) - emitted_;
    token->num_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(num_bytes, UINT32_MAX));
    emitted_ += token->num_bytes;
  }

  std::shared_ptr<const ByteLevelTokenizer> tokenizer_;
  WordSplitter splitter_;
  Utf8Replacer replacer_;
  SourceOffsets source_;
  std::string text_;           // repaired, from the first word that is not yet certain
  std::size_t next_look_ = 1;  // size of text_ at which words are looked for again
  std::uint64_t passed_ = 0;   // bytes of the repaired text before text_
  std::uint64_t taken_ = 0;    // source bytes taken
  std::uint64_t emitted_ = 0;  // source bytes that tokens were put out for
};

std::unique_ptr<TokenStream> ByteLevelTokenizer::NewStream() const {
  return std::make_unique<ByteLevelStream>(std::static_pointer_cast<const ByteLevelTokenizer>(shared_from_this()));
}

absl::StatusOr<std::unique_ptr<TokenStream>> ByteLevelTokenizer::ResumeStream(const TokenStreamState& state,
                                                                              std::string_view pending) const {
  const std::uint64_t held = state.held_bytes.value_or(0);
  if (state.dummy_prefix || held > pending.size() || !IsValidUtf8(pending) || !IsValidUtf8(pending.substr(held))) {
    return DataLoss("tokenizer: no stream waits with {} bytes, {} of them held back", pending.size(), held);
  }
  return std::make_unique<ByteLevelStream>(std::static_pointer_cast<const ByteLevelTokenizer>(shared_from_this()), held,
                                           pending);
}

absl::StatusOr<BpeMerger> BuildMerger(const TokenizerData& data, const Vocabulary& vocabulary) {
  std::array<TokenId, 256> byte_tokens;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string& character = ByteAlphabetCharacter(static_cast<unsigned char>(byte));
    const std::optional<TokenId> id = vocabulary.Find(character);
    const bool is_ordinary = id && !vocabulary.IsSpecial(*id);
    // Vocabularies may lack rare control characters and bytes that UTF-8 does not use, as SmolLM2's does.
    if (!is_ordinary && byte >= ' ' && byte <= '~') {
      return InvalidArgument("{}: tokenizer vocabulary: expected an ordinary piece '{}' for byte 0x{:02X}, found {}",
                             data.source, character, byte, id ? "a special one" : "none");
    }
    byte_tokens[byte] = is_ordinary ? *id : BpeMerger::kNoToken;
  }
  BpeMerger merger(byte_tokens);
  for (std::size_t rank = 0; rank < data.merges.size(); ++rank) {
    const auto& [left, right] = data.merges[rank];
    const std::optional<TokenId> left_id = vocabulary.Find(left), right_id = vocabulary.Find(right);
    const std::optional<TokenId> merged = vocabulary.Find(left + right);
    if (!left_id || !right_id || !merged) {
      return InvalidArgument("{}: tokenizer merge {} ('{}' and '{}'): '{}' is not in the vocabulary", data.source, rank,
                             left, right,
                             !left_id    ? left
                             : !right_id ? right
                                         : left + right);
    }
    if (vocabulary.IsSpecial(*merged)) {
      return InvalidArgument("{}: tokenizer merge {} makes the special token '{}'", data.source, rank, left + right);
    }
    if (!merger.AddMerge(*left_id, *right_id, *merged)) {
      return InvalidArgument("{}: tokenizer merge {} ('{}' and '{}') stands there twice", data.source, rank, left,
                             right);
    }
  }
  return merger;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> CreateByteLevelTokenizer(TokenizerData data) {
  TOME_ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Create(data));
  TOME_ASSIGN_OR_RETURN(BpeMerger merger, BuildMerger(data, vocabulary));

  std::vector<std::string> token_bytes(data.pieces.size()), user_defined;
  ByteLevelTokenizer::WordMap whole_words;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const TokenizerPiece& piece = vocabulary.piece(id);
    if (vocabulary.IsSpecial(id)) continue;
    const bool is_literal = piece.type == PieceType::kUserDefined;
    token_bytes[id] = is_literal ? piece.text : DecodeByteAlphabet(piece.text).value_or(piece.text);
    if (is_literal) {
      if (!IsValidUtf8(piece.text)) {
        return InvalidArgument("{}: tokenizer piece {}: a user-defined piece must be valid UTF-8", data.source, id);
      }
      user_defined.push_back(piece.text);
      whole_words[piece.text] = id;
    } else if (data.ignore_merges && piece.type == PieceType::kNormal) {
      whole_words.emplace(token_bytes[id], id);
    }
  }
  absl::StatusOr<WordRules> rules = WordRules::Create(data, std::move(user_defined));
  if (!rules.ok()) return Annotate(rules.status(), data.source + ": tokenizer pre-tokenizer");
  std::string digest = TokenizerDigest(data);
  return std::make_shared<const ByteLevelTokenizer>(std::move(vocabulary), std::move(token_bytes), std::move(digest),
                                                    std::move(merger), *std::move(rules), std::move(whole_words));
}

}  // namespace tome
