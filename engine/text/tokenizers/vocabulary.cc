#include "engine/text/tokenizers/vocabulary.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/string_view.h"
#include "engine/base/digest.h"
#include "engine/base/status.h"
#include "engine/files/byte_writer.h"
#include "engine/text/splitting/character_classes.h"

namespace tome {
namespace {

// Encode hands its text to a stream in slices, so that the stream's copy stays small.
constexpr std::size_t kSliceBytes = std::size_t{1} << 16;

absl::Status CheckId(const TokenizerData& data, std::string_view field, std::optional<TokenId> id) {
  if (!id || (*id >= 0 && static_cast<std::size_t>(*id) < data.pieces.size())) return absl::OkStatus();
  return InvalidArgument("{}: tokenizer {} id: expected 0 to {}, found {}", data.source, field, data.pieces.size() - 1,
                         *id);
}

void WriteSpaceRules(const TokenizerData& data, ByteWriter* writer) {
  const SpaceRules& spaces = data.spaces;
  for (const bool rule : {data.ignore_merges, spaces.normalizer_replaces, spaces.normalizer_prepends, spaces.split}) {
    writer->Write<std::uint8_t>(rule);
  }
  writer->Write<std::uint8_t>(static_cast<std::uint8_t>(spaces.prefix));
}

// Whether `data` says of tokens that text can make how they are found.
bool FindsAdded(const TokenizerData& data) {
  return std::any_of(data.added.begin(), data.added.end(),
                     [&](const AddedToken& added) { return data.pieces[added.id].type == PieceType::kUserDefined; });
}

void WriteAdded(const std::vector<AddedToken>& all, ByteWriter* writer) {
  writer->Write<std::uint64_t>(all.size());
  for (const AddedToken& added : all) {
    writer->Write<std::int32_t>(added.id);
    for (const bool flag : {added.lstrip, added.rstrip, added.single_word, added.normalized, added.in_model}) {
      writer->Write<std::uint8_t>(flag);
    }
  }
}

void AddEnd(TokenId id, std::vector<TokenId>* ends) {
  if (std::find(ends->begin(), ends->end(), id) == ends->end()) ends->push_back(id);
}

bool ExpectsBos(const TokenizerData& data) {
  // What the model families do whose checkpoints do not say.
  return data.kind != TokenizerKind::kByteLevelBpe || data.pre_tokenizer == PreTokenizer::kLlama3;
}

}  // namespace

absl::StatusOr<Vocabulary> Vocabulary::Create(const TokenizerData& data) {
  constexpr std::size_t kMaxPieces = std::size_t{1} << 24;
  if (data.pieces.empty() || data.pieces.size() > kMaxPieces) {
    return InvalidArgument("{}: tokenizer vocabulary: expected 1 to {} pieces, found {}", data.source, kMaxPieces,
                           data.pieces.size());
  }
  TOME_RETURN_IF_ERROR(CheckId(data, "BOS", data.bos));
  TOME_RETURN_IF_ERROR(CheckId(data, "EOS", data.eos));
  TOME_RETURN_IF_ERROR(CheckId(data, "unknown token", data.unknown));
  Vocabulary vocabulary;
  vocabulary.ids_.reserve(data.pieces.size());
  for (std::size_t id = 0; id < data.pieces.size(); ++id) {
    const TokenizerPiece& piece = data.pieces[id];
    if (piece.text.empty()) return InvalidArgument("{}: tokenizer piece {}: it is empty", data.source, id);
    if (piece.type < PieceType::kNormal || piece.type > PieceType::kByte) {
      return InvalidArgument("{}: tokenizer piece {} '{}': expected a type from 1 to 6, found {}", data.source, id,
                             piece.text, static_cast<int>(piece.type));
    }
    const auto [other, is_new] = vocabulary.ids_.emplace(piece.text, static_cast<TokenId>(id));
    if (!is_new) {
      return InvalidArgument("{}: tokenizer pieces {} and {} are both '{}'", data.source, other->second, id,
                             piece.text);
    }
  }
  for (const AddedToken& added : data.added) {
    if (!added.in_model) vocabulary.added_only_.insert(added.id);
    vocabulary.added_.emplace(added.id, added);
  }
  // The model may have more tokens than the vocabulary has pieces for.
  for (const TokenId id : data.ends) AddEnd(id, &vocabulary.ends_);
  if (data.eos) AddEnd(*data.eos, &vocabulary.ends_);
  vocabulary.pieces_ = data.pieces;
  vocabulary.bos_ = data.bos;
  vocabulary.eos_ = data.eos;
  vocabulary.add_bos_ = data.bos.has_value() && data.add_bos.value_or(ExpectsBos(data));
  vocabulary.chat_template_ = data.chat_template;
  return vocabulary;
}

std::optional<TokenId> Vocabulary::Find(std::string_view text) const {
  const auto found = ids_.find(absl::string_view(text.data(), text.size()));
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

std::optional<TokenId> Vocabulary::FindInModel(std::string_view text) const {
  const std::optional<TokenId> id = Find(text);
  return id && IsInModel(*id) ? id : std::nullopt;
}

const AddedToken* Vocabulary::FindAdded(TokenId id) const {
  const auto found = added_.find(id);
  return found == added_.end() ? nullptr : &found->second;
}

bool Vocabulary::IsSpecial(TokenId id) const {
  return Contains(id) && (pieces_[id].type == PieceType::kControl || pieces_[id].type == PieceType::kUnknown);
}

VocabularyTokenizer::VocabularyTokenizer(Vocabulary vocabulary, std::vector<std::string> token_bytes,
                                         bool adds_dummy_prefix, std::string digest)
    : vocabulary_(std::move(vocabulary)),
      token_bytes_(std::move(token_bytes)),
      adds_dummy_prefix_(adds_dummy_prefix),
      digest_(std::move(digest)) {}

std::vector<TextToken> VocabularyTokenizer::Encode(std::string_view text) const {
  std::vector<TextToken> tokens;
  const std::unique_ptr<TokenStream> stream = NewStream();
  for (std::size_t offset = 0; offset < text.size(); offset += kSliceBytes) {
    stream->Append(text.substr(offset, kSliceBytes), &tokens);
  }
  stream->Finish(&tokens);
  return tokens;
}

std::vector<TokenId> VocabularyTokenizer::EncodeBetween(std::optional<TokenId> before, std::string_view text,
                                                        std::optional<TokenId> after) const {
  const AddedToken* left = before ? vocabulary_.FindAdded(*before) : nullptr;
  const AddedToken* right = after ? vocabulary_.FindAdded(*after) : nullptr;
  if (left != nullptr && left->rstrip) text.remove_prefix(LeadingSpaceBytes(text));
  if (right != nullptr && right->lstrip) {
    text.remove_suffix(std::min(TrailingSpaceBytes(text), text.size() - EndOfAdded(text)));
  }
  std::vector<TextToken> tokens;
  const std::unique_ptr<TokenStream> stream = before ? StreamAfterToken() : NewStream();
  stream->Append(text, &tokens);
  stream->Finish(&tokens);
  std::vector<TokenId> ids;
  for (const TextToken& token : tokens) ids.push_back(token.id);
  return ids;
}

std::string_view VocabularyTokenizer::TokenBytes(TokenId id) const {
  if (!vocabulary_.Contains(id)) return "";
  return token_bytes_[id];
}

std::string_view VocabularyTokenizer::PieceText(TokenId id) const {
  if (!vocabulary_.Contains(id)) return "";
  return vocabulary_.piece(id).text;
}

std::optional<TokenId> VocabularyTokenizer::FindSpecial(std::string_view text) const {
  const std::optional<TokenId> id = vocabulary_.Find(text);
  if (!id || !vocabulary_.IsSpecial(*id)) return std::nullopt;
  return id;
}

std::optional<TokenId> VocabularyTokenizer::FindAdded(std::string_view text) const {
  const std::optional<TokenId> id = vocabulary_.Find(text);
  if (!id || vocabulary_.piece(*id).type != PieceType::kUserDefined) return FindSpecial(text);
  return id;
}

std::string TokenizerDigest(const TokenizerData& data) {
  ByteWriter writer;
  writer.WriteString("tome tokenizer 1");
  const bool is_byte_level = data.kind == TokenizerKind::kByteLevelBpe;
  const bool is_character = data.kind == TokenizerKind::kCharacterBpe;
  writer.Write<std::uint8_t>(is_byte_level ? 1 : is_character ? 2 : 0);
  writer.Write<std::uint64_t>(data.pieces.size());
  for (const TokenizerPiece& piece : data.pieces) {
    writer.WriteString(piece.text);
    writer.Write<float>(is_byte_level || is_character ? 0.0f : piece.score);
    writer.Write<std::uint8_t>(static_cast<std::uint8_t>(piece.type));
  }
  if (is_byte_level || is_character) {
    writer.Write<std::uint64_t>(data.merges.size());
    for (const auto& [left, right] : data.merges) {
      writer.WriteString(left);
      writer.WriteString(right);
    }
  }
  if (is_byte_level) {
    const bool has_pattern = data.pre_tokenizer == PreTokenizer::kPattern;
    writer.Write<std::uint8_t>(static_cast<std::uint8_t>(data.pre_tokenizer));
    writer.WriteString(has_pattern ? data.split_pattern : "");
    writer.Write<std::uint8_t>(has_pattern && data.individual_digits);
    writer.Write<std::uint8_t>(data.ignore_merges);
  } else if (is_character) {
    WriteSpaceRules(data, &writer);
  } else {
    writer.Write<std::uint8_t>(data.add_dummy_prefix);
  }
  if (is_character || FindsAdded(data)) WriteAdded(data.added, &writer);
  return Sha256Hex(writer.bytes());
}

}  // namespace tome
