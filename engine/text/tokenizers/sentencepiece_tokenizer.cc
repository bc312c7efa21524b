#include "engine/text/tokenizers/sentencepiece_tokenizer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/text/splitting/character_pairs.h"
#include "engine/text/splitting/piece_text.h"
#include "engine/text/tokenizers/sentencepiece_encoder.h"
#include "engine/text/tokenizers/sentencepiece_model.h"
#include "engine/text/tokenizers/vocabulary.h"

namespace tome {
namespace {

// The library is given little more than this at once: it takes quadratic time for a run of unknown characters.
constexpr std::size_t kSliceBytes = 4096;

class SentencePieceTokenizer final : public VocabularyTokenizer {
 public:
  SentencePieceTokenizer(Vocabulary vocabulary, std::vector<std::string> token_bytes, bool adds_dummy_prefix,
                         std::string digest, std::unique_ptr<const SentencePieceEncoder> encoder, CharacterPairs pairs,
                         TokenId unknown, bool has_byte_fallback)
      : VocabularyTokenizer(std::move(vocabulary), std::move(token_bytes), adds_dummy_prefix, std::move(digest)),
        encoder_(std::move(encoder)),
        pairs_(std::move(pairs)),
        unknown_(unknown),
        has_byte_fallback_(has_byte_fallback) {}

  std::unique_ptr<TokenStream> NewStream() const override;
  absl::StatusOr<std::unique_ptr<TokenStream>> ResumeStream(const TokenStreamState& state,
                                                            std::string_view pending) const override;

  const CharacterPairs& pairs() const { return pairs_; }
  TokenId unknown() const { return unknown_; }
  bool has_byte_fallback() const { return has_byte_fallback_; }

  // The tokens of a part of a text that was cut at safe places.
  void EncodePart(std::string_view part, std::vector<TextToken>* out) const {
    if (!encoder_->Encode(part, out)) out->push_back({unknown_, static_cast<std::uint32_t>(part.size())});
  }

 private:
  std::unique_ptr<const SentencePieceEncoder> encoder_;
  CharacterPairs pairs_;
  TokenId unknown_;
  bool has_byte_fallback_;
};

class SentencePieceStream final : public TokenStream {
 public:
  explicit SentencePieceStream(std::shared_ptr<const SentencePieceTokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)) {}

  // What waits is looked at anew: a place to cut depends on nothing before it. Counts of bytes begin with the first
  // pending one: only their difference matters, and whether there were any.
  SentencePieceStream(std::shared_ptr<const SentencePieceTokenizer> tokenizer, const TokenStreamState& state,
                      std::string_view pending)
      : tokenizer_(std::move(tokenizer)),
        has_dummy_prefix_(state.dummy_prefix),
        unknown_bytes_(state.held_bytes),
        taken_(pending.size() + 1),
        emitted_(1) {
    if (has_dummy_prefix_) text_.push_back(' ');
    text_ += pending.substr(state.held_bytes.value_or(0));
  }

  void Append(std::string_view bytes, std::vector<TextToken>* out) override {
    if (bytes.empty()) return;
    if (taken_ == 0 && tokenizer_->adds_dummy_prefix()) {
      text_.push_back(' ');
      has_dummy_prefix_ = true;
    }
    taken_ += bytes.size();
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), kSliceBytes))) {
      text_ += bytes.substr(0, kSliceBytes);
      Scan(/*is_end=*/false, out);
      EmitUpTo(run_start_, out);
    }
  }

  void Finish(std::vector<TextToken>* out) override {
    Scan(/*is_end=*/true, out);
    EmitUpTo(text_.size(), out);
    PutUnknown(out);
  }

  std::size_t pending_bytes() const override { return taken_ - emitted_; }
  std::unique_ptr<TokenStream> Clone() const override { return std::make_unique<SentencePieceStream>(*this); }
  TokenStreamState Save() const override {
    return {.started = taken_ > 0, .dummy_prefix = has_dummy_prefix_, .held_bytes = unknown_bytes_};
  }

 private:
  // Looks at the new characters for the last place where the text can be cut.
  void Scan(bool is_end, std::vector<TextToken>* out) {
    while (scanned_ < text_.size()) {
      const auto [code_point, num_bytes] =
          ReadSentencePieceCharacter(std::string_view(text_).substr(scanned_), !is_end);
      if (num_bytes == 0) return;
      if (scanned_ > 0 && !tokenizer_->pairs().Contains(last_, code_point)) {
        run_start_ = scanned_;
      } else if (scanned_ + num_bytes - run_start_ > kMaxWordBytes) {
        EmitUpTo(scanned_, out);
      }
      last_ = code_point;
      scanned_ += num_bytes;
    }
  }

  // Tokenizes the first `end` bytes of the text, which is scanned at least that far, and drops them.
  void EmitUpTo(std::size_t end, std::vector<TextToken>* out) {
    if (end == 0) return;
    part_.clear();
    tokenizer_->EncodePart(std::string_view(text_).substr(0, end), &part_);
    for (TextToken token : part_) {
      if (has_dummy_prefix_ && token.num_bytes > 0) {
        --token.num_bytes;
        has_dummy_prefix_ = false;
      }
      Put(token, out);
    }
    text_.erase(0, end);
    scanned_ -= end;
    run_start_ -= std::min(run_start_, end);
  }

  // Without byte fallback, unknown characters in a row are one unknown token, also across the places where the text
  // was cut, up to kMaxWordBytes of them.
  void Put(const TextToken& token, std::vector<TextToken>* out) {
    if (tokenizer_->has_byte_fallback() || token.id != tokenizer_->unknown()) {
      PutUnknown(out);
      out->push_back(token);
      emitted_ += token.num_bytes;
      return;
    }
    unknown_bytes_ = unknown_bytes_.value_or(0) + token.num_bytes;
    while (*unknown_bytes_ > kMaxWordBytes) {
      const std::size_t rest = *unknown_bytes_ - kMaxWordBytes;
      unknown_bytes_ = kMaxWordBytes;
      PutUnknown(out);
      unknown_bytes_ = rest;
    }
  }

  void PutUnknown(std::vector<TextToken>* out) {
    if (!unknown_bytes_) return;
    out->push_back({tokenizer_->unknown(), static_cast<std::uint32_t>(*unknown_bytes_)});
    emitted_ += *unknown_bytes_;
    unknown_bytes_.reset();
  }

  std::shared_ptr<const SentencePieceTokenizer> tokenizer_;
  std::string text_;               // from the first character that is not yet tokenized, the dummy prefix included
  std::size_t scanned_ = 0;        // of text_: the characters before are looked at
  std::size_t run_start_ = 0;      // of text_: the last place to cut
  char32_t last_ = 0;              // the character before scanned_
  bool has_dummy_prefix_ = false;  // text_ begins with a space that is not in the source
  std::optional<std::uint64_t> unknown_bytes_;  // of the unknown token held back
  std::uint64_t taken_ = 0;
  std::uint64_t emitted_ = 0;
  std::vector<TextToken> part_;  // working memory
};

std::unique_ptr<TokenStream> SentencePieceTokenizer::NewStream() const {
  return std::make_unique<SentencePieceStream>(
      std::static_pointer_cast<const SentencePieceTokenizer>(shared_from_this()));
}

absl::StatusOr<std::unique_ptr<TokenStream>> SentencePieceTokenizer::ResumeStream(const TokenStreamState& state,
                                                                                  std::string_view pending) const {
  const std::uint64_t held = state.held_bytes.value_or(0);
  if (held > std::min<std::uint64_t>(pending.size(), kMaxWordBytes) || (state.dummy_prefix && !adds_dummy_prefix()) ||
      (!state.started && (!pending.empty() || state.dummy_prefix || state.held_bytes)) || !IsValidUtf8(pending)) {
    return DataLoss("tokenizer: no stream waits with {} bytes, {} of them held back", pending.size(), held);
  }
  auto self = std::static_pointer_cast<const SentencePieceTokenizer>(shared_from_this());
  if (!state.started) return std::make_unique<SentencePieceStream>(std::move(self));
  return std::make_unique<SentencePieceStream>(std::move(self), state, pending);
}

// What the library does not check, and would get wrong.
absl::Status CheckPiece(const std::string& source, TokenId id, const TokenizerPiece& piece) {
  if (!IsValidUtf8(piece.text)) return InvalidArgument("{}: tokenizer piece {}: it is not valid UTF-8", source, id);
  if (!std::isfinite(piece.score)) {
    return InvalidArgument("{}: tokenizer piece {} '{}': expected a finite score, found {}", source, id, piece.text,
                           piece.score);
  }
  if (piece.type == PieceType::kByte && !FallbackByte(piece.text)) {
    return InvalidArgument("{}: tokenizer piece {} '{}': expected a byte piece like '<0x0A>'", source, id, piece.text);
  }
  const bool is_one_character = ReadSentencePieceCharacter(piece.text, false).num_bytes == piece.text.size();
  if (piece.type == PieceType::kControl && is_one_character) {
    return InvalidArgument("{}: tokenizer piece {} '{}': a control piece of one character could be made by text",
                           source, id, piece.text);
  }
  return absl::OkStatus();
}

// Exactly one piece must be the unknown one. GGUF and llama2.c files may name it without giving it the type.
absl::StatusOr<TokenId> SettleUnknown(TokenizerData* data) {
  std::optional<TokenId> unknown;
  for (std::size_t id = 0; id < data->pieces.size(); ++id) {
    if (data->pieces[id].type != PieceType::kUnknown) continue;
    if (unknown) {
      return InvalidArgument("{}: tokenizer: expected one piece of type unknown, found {} and {}", data->source,
                             *unknown, id);
    }
    unknown = static_cast<TokenId>(id);
  }
  if (!unknown && data->unknown && *data->unknown >= 0 &&
      static_cast<std::size_t>(*data->unknown) < data->pieces.size()) {
    unknown = data->unknown;
    data->pieces[*unknown].type = PieceType::kUnknown;
  }
  if (!unknown) return InvalidArgument("{}: tokenizer: expected a piece of type unknown, found none", data->source);
  return *unknown;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> CreateSentencePieceTokenizer(TokenizerData data) {
  if (data.kind == TokenizerKind::kSentencePieceModel) TOME_RETURN_IF_ERROR(ExpandSentencePieceModel(&data));
  TOME_ASSIGN_OR_RETURN(const TokenId unknown, SettleUnknown(&data));
  TOME_ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Create(data));

  std::vector<std::string> token_bytes(data.pieces.size());
  CharacterPairs pairs;
  bool has_byte_fallback = false;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const TokenizerPiece& piece = data.pieces[id];
    TOME_RETURN_IF_ERROR(CheckPiece(data.source, id, piece));
    if (piece.type == PieceType::kByte) {
      has_byte_fallback = true;
      token_bytes[id] = std::string(1, *FallbackByte(piece.text));
    } else if (!vocabulary.IsSpecial(id)) {
      token_bytes[id] = ReplaceSpaceSymbols(piece.text);
      pairs.AddPiece(piece.text);
    }
  }
  auto encoder = std::make_unique<SentencePieceEncoder>();
  const std::string error = encoder->Load(SerializeSentencePieceModel(data.pieces));
  if (!error.empty()) return InvalidArgument("{}: SentencePiece refuses the vocabulary: {}", data.source, error);
  std::string digest = TokenizerDigest(data);
  return std::make_shared<const SentencePieceTokenizer>(std::move(vocabulary), std::move(token_bytes),
                                                        data.add_dummy_prefix, std::move(digest), std::move(encoder),
                                                        std::move(pairs), unknown, has_byte_fallback);
}

}  // namespace tome
