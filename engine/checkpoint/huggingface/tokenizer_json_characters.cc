// BPE of characters with byte fallback in tokenizer.json: how it writes spaces.
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/checkpoint/contents/sentencepiece_pieces.h"
#include "engine/checkpoint/huggingface/tokenizer_json.h"

namespace tome {
namespace {

using Json = nlohmann::json;

// The steps of a "Sequence" whose items are in `field`, or the one step that `object` is.
absl::StatusOr<std::vector<JsonFields>> Steps(const JsonFields& object, const std::string& field) {
  TOME_ASSIGN_OR_RETURN(const auto type, object.OptionalString("type"));
  if (type.value_or("") != "Sequence") return std::vector<JsonFields>{object};
  const Json* sequence = object.Find(field);
  if (sequence == nullptr || !sequence->is_array()) return object.Unexpected(field, "an array");
  std::vector<JsonFields> steps;
  for (const Json& step : *sequence) {
    if (!step.is_object()) return object.Unexpected(field, "an array of objects");
    steps.emplace_back(step, object.place());
  }
  return steps;
}

// One normalizer: "Prepend" U+2581, or "Replace" spaces by it.
absl::Status ReadNormalizer(const JsonFields& step, SpaceRules* spaces) {
  TOME_ASSIGN_OR_RETURN(const std::string type, step.String("type"));
  if (type == "Prepend" && !spaces->normalizer_prepends) {
    TOME_ASSIGN_OR_RETURN(const std::string prefix, step.String("prepend"));
    const bool is_replaced = prefix == " " && !spaces->normalizer_replaces;
    if (prefix != kSentencePieceSpace && !is_replaced) return step.Unexpected("prepend", "U+2581");
    spaces->normalizer_prepends = true;
    return absl::OkStatus();
  }
  if (type == "Replace" && !spaces->normalizer_replaces) {
    TOME_ASSIGN_OR_RETURN(const JsonFields pattern, step.Object("pattern"));
    TOME_ASSIGN_OR_RETURN(const auto text, pattern.OptionalString("String"));
    if (text.value_or("") != " ") return step.Unexpected("pattern", "an object with the 'String' \" \"");
    TOME_ASSIGN_OR_RETURN(const std::string content, step.String("content"));
    if (content != kSentencePieceSpace) return step.Unexpected("content", "U+2581");
    spaces->normalizer_replaces = true;
    return absl::OkStatus();
  }
  return step.Unexpected("type", "Prepend, then Replace, each at most once");
}

absl::Status ReadNormalizers(const JsonFields& document, SpaceRules* spaces) {
  if (!document.Has("normalizer")) return absl::OkStatus();
  TOME_ASSIGN_OR_RETURN(const JsonFields normalizer, document.Object("normalizer"));
  TOME_ASSIGN_OR_RETURN(const std::vector<JsonFields> steps, Steps(normalizer, "normalizers"));
  bool prepends_space = false;
  for (const JsonFields& step : steps) {
    const bool prepended = spaces->normalizer_prepends;
    TOME_RETURN_IF_ERROR(ReadNormalizer(step, spaces));
    TOME_ASSIGN_OR_RETURN(const auto prefix, step.OptionalString("prepend"));
    prepends_space = prepends_space || (spaces->normalizer_prepends && !prepended && prefix.value_or("") == " ");
  }
  if (spaces->normalizer_replaces || steps.empty()) return absl::OkStatus();
  // A space that is prepended and not replaced here is one of the text for the pre-tokenizer.
  if (prepends_space || !document.Has("pre_tokenizer")) {
    return InvalidArgument("{}: expected a Replace of spaces by U+2581, found none", normalizer.place());
  }
  return absl::OkStatus();
}

absl::Status ReadMetaspace(const JsonFields& step, SpaceRules* spaces) {
  TOME_ASSIGN_OR_RETURN(const std::string type, step.String("type"));
  if (type != "Metaspace") return step.Unexpected("type", "Metaspace for a byte-fallback BPE");
  TOME_ASSIGN_OR_RETURN(const std::string replacement, step.String("replacement"));
  if (replacement != kSentencePieceSpace) return step.Unexpected("replacement", "U+2581");
  TOME_ASSIGN_OR_RETURN(const auto split, step.OptionalBool("split"));
  spaces->split = split.value_or(true);  // what `tokenizers` takes for a file that does not say
  TOME_ASSIGN_OR_RETURN(const auto scheme, step.OptionalString("prepend_scheme"));
  TOME_ASSIGN_OR_RETURN(const auto add_prefix, step.OptionalBool("add_prefix_space"));
  const std::string prefix = scheme.value_or(add_prefix.value_or(true) ? "always" : "never");
  if (prefix != "always" && prefix != "first" && prefix != "never") {
    return step.Unexpected("prepend_scheme", "always, first or never");
  }
  if (scheme && add_prefix && !*add_prefix && prefix != "never") {
    return step.Unexpected("add_prefix_space", "true beside this prepend_scheme");
  }
  spaces->prefix = prefix == "always"  ? SpaceRules::Prefix::kAlways
                   : prefix == "first" ? SpaceRules::Prefix::kFirst
                                       : SpaceRules::Prefix::kNever;
  return absl::OkStatus();
}

absl::Status ReadPreTokenizer(const JsonFields& document, SpaceRules* spaces) {
  if (!document.Has("pre_tokenizer")) {
    if (spaces->normalizer_replaces) return absl::OkStatus();
    return document.Unexpected("pre_tokenizer", "Metaspace for a byte-fallback BPE");
  }
  TOME_ASSIGN_OR_RETURN(const JsonFields pre_tokenizer, document.Object("pre_tokenizer"));
  TOME_ASSIGN_OR_RETURN(const std::vector<JsonFields> steps, Steps(pre_tokenizer, "pretokenizers"));
  if (steps.empty() && spaces->normalizer_replaces) return absl::OkStatus();
  if (steps.size() != 1) return pre_tokenizer.Unexpected("pretokenizers", "one Metaspace");
  return ReadMetaspace(steps.front(), spaces);
}

// Files without "unk_token" still have the piece: with byte fallback it stands for nothing.
absl::Status SetPieceTypes(const JsonFields& document, TokenizerData* data) {
  TOME_ASSIGN_OR_RETURN(const JsonFields model, document.Object("model"));
  TOME_ASSIGN_OR_RETURN(const auto stated_unknown, model.OptionalString("unk_token"));
  const std::string unknown = stated_unknown.value_or("<unk>");
  for (std::size_t id = 0; id < data->pieces.size(); ++id) {
    TokenizerPiece& piece = data->pieces[id];
    if (piece.text == unknown) {
      if (piece.type != PieceType::kUserDefined) piece.type = PieceType::kUnknown;
      data->unknown = static_cast<TokenId>(id);
    } else if (piece.type == PieceType::kNormal && IsBytePiece(piece.text)) {
      piece.type = PieceType::kByte;
    }
  }
  if (stated_unknown && !data->unknown) return model.Unexpected("unk_token", "a piece of the vocabulary");
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadCharacterRules(const JsonFields& document, TokenizerData* data) {
  data->kind = TokenizerKind::kCharacterBpe;
  TOME_RETURN_IF_ERROR(ReadNormalizers(document, &data->spaces));
  TOME_RETURN_IF_ERROR(ReadPreTokenizer(document, &data->spaces));
  data->add_dummy_prefix = data->spaces.normalizer_prepends || data->spaces.prefix != SpaceRules::Prefix::kNever;
  return SetPieceTypes(document, data);
}

}  // namespace tome
