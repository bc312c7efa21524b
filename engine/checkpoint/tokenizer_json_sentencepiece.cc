// Byte-fallback BPEs in tokenizer.json: SentencePiece's algorithm in another spelling.
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/sentencepiece_pieces.h"
#include "engine/checkpoint/tokenizer_json.h"

namespace tome {
namespace {

using Json = nlohmann::json;

// One normalizer: "Prepend" U+2581, or "Replace" spaces by it.
absl::Status ReadNormalizer(const JsonFields& step, bool* replaces, bool* prepends) {
  TOME_ASSIGN_OR_RETURN(const std::string type, step.String("type"));
  if (type == "Prepend" && !*prepends && !*replaces) {
    TOME_ASSIGN_OR_RETURN(const std::string prefix, step.String("prepend"));
    if (prefix != kSentencePieceSpace) return step.Unexpected("prepend", "U+2581");
    *prepends = true;
    return absl::OkStatus();
  }
  if (type == "Replace" && !*replaces) {
    TOME_ASSIGN_OR_RETURN(const JsonFields pattern, step.Object("pattern"));
    TOME_ASSIGN_OR_RETURN(const auto text, pattern.OptionalString("String"));
    if (text.value_or("") != " ") return step.Unexpected("pattern", "an object with the 'String' \" \"");
    TOME_ASSIGN_OR_RETURN(const std::string content, step.String("content"));
    if (content != kSentencePieceSpace) return step.Unexpected("content", "U+2581");
    *replaces = true;
    return absl::OkStatus();
  }
  return step.Unexpected("type", "Prepend, then Replace, each at most once");
}

// Llama 2's way: normalizers. Sets the dummy prefix; false when there is no normalizer.
absl::StatusOr<bool> ReadNormalizers(const JsonFields& document, TokenizerData* data) {
  if (!document.Has("normalizer")) return false;
  TOME_ASSIGN_OR_RETURN(const JsonFields normalizer, document.Object("normalizer"));
  TOME_ASSIGN_OR_RETURN(const auto type, normalizer.OptionalString("type"));
  bool replaces = false, prepends = false;
  if (type.value_or("") != "Sequence") {
    TOME_RETURN_IF_ERROR(ReadNormalizer(normalizer, &replaces, &prepends));
  } else {
    const Json* sequence = normalizer.Find("normalizers");
    if (sequence == nullptr || !sequence->is_array()) return normalizer.Unexpected("normalizers", "an array");
    for (const Json& step : *sequence) {
      if (!step.is_object()) return normalizer.Unexpected("normalizers", "an array of objects");
      TOME_RETURN_IF_ERROR(ReadNormalizer(JsonFields(step, normalizer.place()), &replaces, &prepends));
    }
  }
  if (!replaces) return InvalidArgument("{}: expected a Replace of spaces by U+2581, found none", normalizer.place());
  if (document.Has("pre_tokenizer")) return document.Unexpected("pre_tokenizer", "null beside the normalizer");
  data->add_dummy_prefix = prepends;
  return true;
}

// The newer way: a Metaspace pre-tokenizer that does not split.
absl::Status ReadMetaspace(const JsonFields& document, TokenizerData* data) {
  if (!document.Has("pre_tokenizer")) return document.Unexpected("pre_tokenizer", "Metaspace for a byte-fallback BPE");
  TOME_ASSIGN_OR_RETURN(const JsonFields step, document.Object("pre_tokenizer"));
  TOME_ASSIGN_OR_RETURN(const std::string type, step.String("type"));
  if (type != "Metaspace") return step.Unexpected("type", "Metaspace for a byte-fallback BPE");
  TOME_ASSIGN_OR_RETURN(const std::string replacement, step.String("replacement"));
  if (replacement != kSentencePieceSpace) return step.Unexpected("replacement", "U+2581");
  TOME_ASSIGN_OR_RETURN(const auto split, step.OptionalBool("split"));
  if (split.value_or(true)) return step.Unexpected("split", "false");
  TOME_ASSIGN_OR_RETURN(const auto scheme, step.OptionalString("prepend_scheme"));
  TOME_ASSIGN_OR_RETURN(const auto add_prefix, step.OptionalBool("add_prefix_space"));
  if (scheme && *scheme != "always" && *scheme != "first" && *scheme != "never") {
    return step.Unexpected("prepend_scheme", "always, first or never");
  }
  data->add_dummy_prefix = scheme ? *scheme != "never" : add_prefix.value_or(true);
  return absl::OkStatus();
}

// Files without "unk_token" still have the piece: with byte fallback it stands for nothing, but SentencePiece wants it.
absl::Status SetPieceTypes(const JsonFields& document, TokenizerData* data) {
  TOME_ASSIGN_OR_RETURN(const JsonFields model, document.Object("model"));
  TOME_ASSIGN_OR_RETURN(const auto stated_unknown, model.OptionalString("unk_token"));
  const std::string unknown = stated_unknown.value_or("<unk>");
  for (std::size_t id = 0; id < data->pieces.size(); ++id) {
    TokenizerPiece& piece = data->pieces[id];
    if (piece.text == unknown) {
      piece.type = PieceType::kUnknown;
      data->unknown = static_cast<TokenId>(id);
    } else if (piece.type == PieceType::kNormal && IsBytePiece(piece.text)) {
      piece.type = PieceType::kByte;
    }
  }
  if (stated_unknown && !data->unknown) return model.Unexpected("unk_token", "a piece of the vocabulary");
  return absl::OkStatus();
}

bool IsOneCharacter(std::string_view text) {
  std::size_t characters = 0;
  for (const unsigned char byte : text) characters += (byte & 0xC0) != 0x80;
  return characters == 1;
}

// SentencePiece joins the neighbours whose joined piece has the best score, where this format ranks the pairs. Both are
// the same when every piece that can be joined is the result of a merge, and better pieces come from earlier merges.
absl::Status ScoreByRank(const std::string& place, TokenizerData* data) {
  std::unordered_map<std::string_view, std::size_t> ids;
  for (std::size_t id = 0; id < data->pieces.size(); ++id) ids.emplace(data->pieces[id].text, id);
  std::vector<bool> scored(data->pieces.size());
  int rank = 0;
  for (const auto& [left, right] : data->merges) {
    const auto joined = ids.find(left + right);
    if (joined == ids.end() || !ids.contains(left) || !ids.contains(right)) {
      return InvalidArgument("{}: merges: expected pieces of the vocabulary and their join, found {} and {}", place,
                             Quote(left), Quote(right));
    }
    if (scored[joined->second]) continue;
    scored[joined->second] = true;
    data->pieces[joined->second].score = static_cast<float>(-++rank);
  }
  for (std::size_t id = 0; id < data->pieces.size(); ++id) {
    TokenizerPiece& piece = data->pieces[id];
    if (scored[id] || piece.type != PieceType::kNormal) continue;
    if (!IsOneCharacter(piece.text)) {
      return InvalidArgument("{}: vocab: expected a merge that makes the piece {}, found none", place,
                             Quote(piece.text));
    }
    piece.score = static_cast<float>(-rank - 1);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ConvertToSentencePiece(const JsonFields& document, TokenizerData* data) {
  data->kind = TokenizerKind::kSentencePieceBpe;
  if (data->ignore_merges) {
    return InvalidArgument("{}: model: field 'ignore_merges': expected false for a byte-fallback BPE, found true",
                           document.place());
  }
  TOME_ASSIGN_OR_RETURN(const bool normalized, ReadNormalizers(document, data));
  if (!normalized) TOME_RETURN_IF_ERROR(ReadMetaspace(document, data));
  TOME_RETURN_IF_ERROR(SetPieceTypes(document, data));
  TOME_RETURN_IF_ERROR(ScoreByRank(document.place() + ": model", data));
  data->merges.clear();
  return absl::OkStatus();
}

}  // namespace tome
