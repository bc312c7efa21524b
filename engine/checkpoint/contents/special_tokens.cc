#include "engine/checkpoint/contents/special_tokens.h"

#include <algorithm>
#include <cstddef>

#include "engine/base/quote.h"
#include "engine/base/status.h"

namespace tome {
namespace {

constexpr const char* kNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

constexpr std::string_view kEnds[] = {"<|im_end|>", "<|eot_id|>", "<|eom_id|>",      "<|end_of_text|>", "<|endoftext|>",
                                      "<|end|>",    "<|eot|>",    "<|end_of_turn|>", "<end_of_turn>",   "<EOT>"};

// A special token: its text, or an object that has it as "content".
absl::StatusOr<std::optional<std::string>> TokenText(const JsonFields& fields, const std::string& name) {
  const nlohmann::json* value = fields.Find(name);
  if (value == nullptr || !value->is_object()) return fields.OptionalString(name);
  return JsonFields(*value, fields.place() + ": " + name).OptionalString("content");
}

std::optional<TokenId> FindPiece(const TokenizerData& data, std::string_view text) {
  const auto found = std::find_if(data.pieces.begin(), data.pieces.end(),
                                  [&](const TokenizerPiece& piece) { return piece.text == text; });
  if (found == data.pieces.end()) return std::nullopt;
  return static_cast<TokenId>(found - data.pieces.begin());
}

bool IsOneCharacter(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; }) == 1;
}

// Whether merges can make the piece, or it is where they begin.
bool IsMadeByText(const TokenizerData& data, const TokenizerPiece& piece) {
  if (data.kind == TokenizerKind::kSentencePieceBpe || data.ignore_merges || IsOneCharacter(piece.text)) return true;
  return std::any_of(data.merges.begin(), data.merges.end(), [&](const auto& merge) {
    const auto& [left, right] = merge;
    return left.size() + right.size() == piece.text.size() && left + right == piece.text;
  });
}

}  // namespace

void MakeSpecial(TokenId id, TokenizerData* data) {
  TokenizerPiece& piece = data->pieces[id];
  const bool is_added = piece.type == PieceType::kUserDefined && !IsOneCharacter(piece.text);
  if (is_added || (piece.type == PieceType::kNormal && !IsMadeByText(*data, piece))) piece.type = PieceType::kControl;
}

bool NamedTokens::Contains(std::string_view text) const {
  return std::find(others.begin(), others.end(), text) != others.end() ||
         std::any_of(by_name.begin(), by_name.end(), [&](const auto& named) { return named.second == text; });
}

absl::Status ReadNamedTokens(const JsonFields& fields, NamedTokens* named) {
  for (const char* name : kNames) {
    TOME_ASSIGN_OR_RETURN(const auto text, TokenText(fields, name));
    if (text) named->by_name.emplace(name, *text);
  }
  const nlohmann::json* others = fields.Find("additional_special_tokens");
  if (others == nullptr || !others->is_array()) return absl::OkStatus();
  for (const nlohmann::json& token : *others) {
    if (token.is_string()) named->others.push_back(token.get<std::string>());
    if (!token.is_object()) continue;
    const JsonFields object(token, fields.place() + ": additional_special_tokens");
    TOME_ASSIGN_OR_RETURN(const auto text, object.OptionalString("content"));
    if (text) named->others.push_back(*text);
  }
  return absl::OkStatus();
}

absl::Status TakeNamedTokens(const NamedTokens& named, const std::string& place, TokenizerData* data) {
  for (const auto& [name, text] : named.by_name) {
    const std::optional<TokenId> id = FindPiece(*data, text);
    if (!id && (name == "bos_token" || name == "eos_token")) {
      return InvalidArgument("{}: field {}: expected a piece of the vocabulary, found the string {}", place,
                             Quote(name), Quote(text));
    }
    if (!id) {
      data->warnings.push_back(
          fmt::format("{}: field {}: {} is no piece of the vocabulary: left out", place, Quote(name), Quote(text)));
      continue;
    }
    if (name == "bos_token") data->bos = id;
    if (name == "eos_token") data->eos = id;
    if (name == "unk_token") data->unknown = id;
    MakeSpecial(*id, data);
  }
  for (const std::string& text : named.others) {
    if (const std::optional<TokenId> id = FindPiece(*data, text)) MakeSpecial(*id, data);
  }
  return absl::OkStatus();
}

std::vector<TokenId> KnownEnds(const TokenizerData& data) {
  std::vector<TokenId> ends;
  for (std::size_t id = 0; id < data.pieces.size(); ++id) {
    const TokenizerPiece& piece = data.pieces[id];
    if (piece.type != PieceType::kControl && piece.type != PieceType::kUserDefined) continue;
    if (std::find(std::begin(kEnds), std::end(kEnds), piece.text) == std::end(kEnds)) continue;
    ends.push_back(static_cast<TokenId>(id));
  }
  return ends;
}

}  // namespace tome
