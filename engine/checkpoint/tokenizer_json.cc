#include "engine/checkpoint/tokenizer_json.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/quote.h"
#include "engine/base/status.h"

namespace tome {
namespace {

using Json = nlohmann::json;

// Pieces by id, some of which may not be known yet.
using PartialPieces = std::vector<std::optional<TokenizerPiece>>;

absl::StatusOr<PartialPieces> ReadVocabulary(const JsonFields& model, std::int64_t vocab_size) {
  const Json* vocabulary = model.Find("vocab");
  if (vocabulary == nullptr || !vocabulary->is_object()) return model.Unexpected("vocab", "an object");
  PartialPieces pieces;
  for (const auto& [text, value] : vocabulary->items()) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= static_cast<std::uint64_t>(vocab_size)) {
      return InvalidArgument("{}: vocab: piece {}: expected an id below {} (the model's vocabulary size), found {}",
                             model.place(), Quote(text), vocab_size, DescribeJson(value));
    }
    const auto id = value.get<std::size_t>();
    if (id >= pieces.size()) pieces.resize(id + 1);
    if (pieces[id]) {
      return InvalidArgument("{}: vocab: expected unique ids, found {} for {} and {}", model.place(), id,
                             Quote(pieces[id]->text), Quote(text));
    }
    pieces[id] = TokenizerPiece{text};
  }
  return pieces;
}

absl::Status AddTokens(const JsonFields& document, std::int64_t vocab_size, PartialPieces* pieces) {
  const Json* tokens = document.Find("added_tokens");
  if (tokens == nullptr) return absl::OkStatus();
  if (!tokens->is_array()) return document.Unexpected("added_tokens", "an array");
  for (const Json& token : *tokens) {
    if (!token.is_object()) return document.Unexpected("added_tokens", "an array of objects");
    const JsonFields fields(token, document.place() + ": added_tokens");
    TOME_ASSIGN_OR_RETURN(const std::string content, fields.String("content"));
    TOME_ASSIGN_OR_RETURN(const auto id, fields.Integer("id", 0, vocab_size - 1));
    TOME_ASSIGN_OR_RETURN(const auto special, fields.OptionalBool("special"));
    const auto index = static_cast<std::size_t>(id);
    if (index >= pieces->size()) pieces->resize(index + 1);
    std::optional<TokenizerPiece>& piece = (*pieces)[index];
    if (piece && piece->text != content) {
      return InvalidArgument("{}: id {}: expected {} as in the vocabulary, found {}", fields.place(), id,
                             Quote(piece->text), Quote(content));
    }
    piece = TokenizerPiece{content, 0, special.value_or(false) ? PieceType::kControl : PieceType::kUserDefined};
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TokenizerPiece>> CompletePieces(PartialPieces partial, const std::string& place) {
  std::vector<TokenizerPiece> pieces;
  pieces.reserve(partial.size());
  for (std::optional<TokenizerPiece>& piece : partial) {
    if (!piece) {
      return InvalidArgument("{}: vocab: expected a piece for every id up to {}, found none for {}", place,
                             partial.size() - 1, pieces.size());
    }
    pieces.push_back(*std::move(piece));
  }
  if (pieces.empty()) return InvalidArgument("{}: vocab: expected pieces, found none", place);
  return pieces;
}

// "a b", or since tokenizers 0.20 ["a", "b"].
absl::StatusOr<std::pair<std::string, std::string>> ReadMerge(const Json& merge, const std::string& place) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
  }
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
  }
  return InvalidArgument("{}: merges: expected two pieces (\"a b\" or [\"a\", \"b\"]), found {}", place,
                         DescribeJson(merge));
}

absl::Status ReadMerges(const JsonFields& model, TokenizerData* data) {
  const Json* merges = model.Find("merges");
  if (merges == nullptr || !merges->is_array()) return model.Unexpected("merges", "an array");
  data->merges.reserve(merges->size());
  for (const Json& merge : *merges) {
    TOME_ASSIGN_OR_RETURN(auto pair, ReadMerge(merge, model.place()));
    data->merges.push_back(std::move(pair));
  }
  return absl::OkStatus();
}

absl::Status CheckModel(const JsonFields& model) {
  TOME_ASSIGN_OR_RETURN(const auto type, model.OptionalString("type"));
  if (type.value_or("BPE") != "BPE") return model.Unexpected("type", "'BPE'");
  TOME_ASSIGN_OR_RETURN(const auto dropout, model.OptionalNumber("dropout"));
  if (dropout.value_or(0) != 0) return model.Unexpected("dropout", "null");
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    TOME_ASSIGN_OR_RETURN(const auto affix, model.OptionalString(name));
    if (!affix.value_or("").empty()) return model.Unexpected(name, "null");
  }
  return absl::OkStatus();
}

// The special token that a TemplateProcessing puts before a text, if it does.
absl::StatusOr<std::optional<std::string>> LeadingToken(const JsonFields& processor) {
  const Json* single = processor.Find("single");
  if (single == nullptr || !single->is_array()) return processor.Unexpected("single", "an array");
  if (single->empty() || !single->front().is_object()) return std::nullopt;
  const JsonFields first(single->front(), processor.place() + ": single");
  TOME_ASSIGN_OR_RETURN(const JsonFields token, first.Object("SpecialToken"));
  return token.OptionalString("id");
}

absl::Status ReadPostProcessor(const JsonFields& processor, TokenizerData* data, bool nested = false) {
  TOME_ASSIGN_OR_RETURN(const auto stated_type, processor.OptionalString("type"));
  const std::string type = stated_type.value_or("");
  if (type.empty() || type == "ByteLevel") return absl::OkStatus();
  if (type == "Sequence" && !nested) {
    const Json* processors = processor.Find("processors");
    if (processors == nullptr || !processors->is_array()) return processor.Unexpected("processors", "an array");
    for (const Json& inner : *processors) {
      if (!inner.is_object()) return processor.Unexpected("processors", "an array of objects");
      TOME_RETURN_IF_ERROR(ReadPostProcessor(JsonFields(inner, processor.place()), data, /*nested=*/true));
    }
    return absl::OkStatus();
  }
  if (type != "TemplateProcessing") {
    return processor.Unexpected("type", "ByteLevel, TemplateProcessing or a Sequence of them");
  }
  TOME_ASSIGN_OR_RETURN(const auto token, LeadingToken(processor));
  if (!token) return absl::OkStatus();
  const auto piece = std::find_if(data->pieces.begin(), data->pieces.end(),
                                  [&](const TokenizerPiece& candidate) { return candidate.text == *token; });
  if (piece == data->pieces.end()) {
    return InvalidArgument("{}: single: expected a piece of the vocabulary, found {}", processor.place(),
                           Quote(*token));
  }
  data->bos = static_cast<TokenId>(piece - data->pieces.begin());
  data->add_bos = true;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerData> ParseTokenizerJson(std::string_view text, const std::string& source,
                                                 std::int64_t vocab_size) {
  TOME_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(text, source));
  const JsonFields document(json, source);
  if (!document.Has("model")) return document.Unexpected("model", "an object");
  TOME_ASSIGN_OR_RETURN(const JsonFields model, document.Object("model"));
  TOME_RETURN_IF_ERROR(CheckModel(model));
  TOME_ASSIGN_OR_RETURN(PartialPieces pieces, ReadVocabulary(model, vocab_size));
  TOME_RETURN_IF_ERROR(AddTokens(document, vocab_size, &pieces));

  TokenizerData data;
  data.source = source;
  TOME_ASSIGN_OR_RETURN(data.pieces, CompletePieces(std::move(pieces), model.place()));
  TOME_RETURN_IF_ERROR(ReadMerges(model, &data));
  TOME_ASSIGN_OR_RETURN(const auto ignore_merges, model.OptionalBool("ignore_merges"));
  data.ignore_merges = ignore_merges.value_or(false);
  data.add_bos = false;
  TOME_ASSIGN_OR_RETURN(const auto byte_fallback, model.OptionalBool("byte_fallback"));
  if (byte_fallback.value_or(false)) {
    TOME_RETURN_IF_ERROR(ConvertToSentencePiece(document, &data));
  } else {
    TOME_RETURN_IF_ERROR(ReadByteLevelPreTokenizer(document, &data));
  }
  TOME_ASSIGN_OR_RETURN(const JsonFields post_processor, document.Object("post_processor"));
  TOME_RETURN_IF_ERROR(ReadPostProcessor(post_processor, &data));
  return data;
}

}  // namespace tome
