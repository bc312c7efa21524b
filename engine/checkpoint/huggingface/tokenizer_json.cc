#include "engine/checkpoint/huggingface/tokenizer_json.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/contents/listed_tokens.h"
#include "engine/checkpoint/contents/sentencepiece_pieces.h"

namespace tome {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMaxId = INT32_MAX;

// The model's own pieces. Some ids may have none, and some pieces no embedding.
struct ModelPieces {
  std::vector<std::optional<std::string>> texts;  // by id, below the vocabulary's size
  std::map<std::string, std::int64_t> beyond;     // the ids of the others
};

absl::StatusOr<ModelPieces> ReadVocabulary(const JsonFields& model, std::int64_t vocab_size) {
  const Json* vocabulary = model.Find("vocab");
  if (vocabulary == nullptr || !vocabulary->is_object()) return model.Unexpected("vocab", "an object");
  ModelPieces pieces;
  for (const auto& [text, value] : vocabulary->items()) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > static_cast<std::uint64_t>(kMaxId)) {
      return InvalidArgument("{}: vocab: piece {}: expected an id below {} (the model's vocabulary size), found {}",
                             model.place(), Quote(text), vocab_size, DescribeJson(value));
    }
    const auto id = value.get<std::size_t>();
    if (id >= static_cast<std::size_t>(vocab_size)) {
      pieces.beyond.emplace(text, id);
      continue;
    }
    if (id >= pieces.texts.size()) pieces.texts.resize(id + 1);
    if (pieces.texts[id]) {
      return InvalidArgument("{}: vocab: expected unique ids, found {} for {} and {}", model.place(), id,
                             Quote(*pieces.texts[id]), Quote(text));
    }
    pieces.texts[id] = text;
  }
  return pieces;
}

absl::StatusOr<std::vector<ListedToken>> ReadAddedTokens(const JsonFields& document) {
  std::vector<ListedToken> listed;
  const Json* tokens = document.Find("added_tokens");
  if (tokens == nullptr) return listed;
  if (!tokens->is_array()) return document.Unexpected("added_tokens", "an array");
  for (const Json& token : *tokens) {
    if (!token.is_object()) return document.Unexpected("added_tokens", "an array of objects");
    const JsonFields fields(token, document.place() + ": added_tokens");
    TOME_ASSIGN_OR_RETURN(ListedToken read, ReadListedToken(fields));
    TOME_ASSIGN_OR_RETURN(read.id, fields.Integer("id", 0, kMaxId));
    listed.push_back(std::move(read));
  }
  return listed;
}

bool IsOneCharacter(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; }) == 1;
}

// Of pieces that the model has no embedding for, those can be left out that no text becomes.
absl::Status LeaveOutBeyond(const ModelPieces& pieces, const std::string& place, std::int64_t vocab_size,
                            TokenizerData* data) {
  std::set<std::string> made;
  for (const auto& [left, right] : data->merges) made.insert({left, right, left + right});
  for (const auto& [text, id] : pieces.beyond) {
    if (data->ignore_merges || made.contains(text) || IsOneCharacter(text) || IsBytePiece(text)) {
      return InvalidArgument(
          "{}: vocab: piece {}: expected an id below {} (the model's vocabulary size), found {}: the tokenizer is that "
          "of a larger model; take the one that belongs to this one, or resize the model's embeddings",
          place, Quote(text), vocab_size, id);
    }
  }
  if (pieces.beyond.empty()) return absl::OkStatus();
  const auto& [text, id] = *pieces.beyond.begin();
  data->warnings.push_back(fmt::format(
      "{}: vocab: {} has id {}, but the model has only {} embeddings: {} left out", place, Quote(text), id, vocab_size,
      pieces.beyond.size() == 1 ? "it is" : fmt::format("{} such pieces are", pieces.beyond.size())));
  return absl::OkStatus();
}

void TakePieces(ModelPieces pieces, TokenizerData* data) {
  data->pieces.reserve(pieces.texts.size());
  for (std::size_t id = 0; id < pieces.texts.size(); ++id) {
    data->pieces.push_back(pieces.texts[id] ? TokenizerPiece{*std::move(pieces.texts[id])} : Hole(id));
  }
}

// After all tokens were added.
absl::Status CheckPieces(const std::string& place, TokenizerData* data) {
  if (data->pieces.empty()) return InvalidArgument("{}: vocab: expected pieces, found none", place);
  std::size_t holes = 0, first = 0;
  for (std::size_t id = data->pieces.size(); id-- > 0;) {
    const TokenizerPiece hole = Hole(id);
    if (data->pieces[id].text != hole.text || data->pieces[id].type != hole.type) continue;
    ++holes;
    first = id;
  }
  if (holes == 0) return absl::OkStatus();
  data->warnings.push_back(
      fmt::format("{}: vocab: expected a piece for every id up to {}, found none for {}{}: no text "
                  "makes it",
                  place, data->pieces.size() - 1, first, holes == 1 ? "" : fmt::format(" and {} more", holes - 1)));
  return absl::OkStatus();
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

// Of a merge that stands there twice the last one counts, as in `tokenizers`.
absl::Status ReadMerges(const JsonFields& model, TokenizerData* data) {
  const Json* merges = model.Find("merges");
  if (merges == nullptr || !merges->is_array()) return model.Unexpected("merges", "an array");
  std::vector<std::pair<std::string, std::string>> all;
  all.reserve(merges->size());
  for (const Json& merge : *merges) {
    TOME_ASSIGN_OR_RETURN(auto pair, ReadMerge(merge, model.place()));
    all.push_back(std::move(pair));
  }
  std::set<std::pair<std::string_view, std::string_view>> seen;
  std::vector<bool> counts(all.size());
  for (std::size_t rank = all.size(); rank-- > 0;)
    counts[rank] = seen.emplace(all[rank].first, all[rank].second).second;
  const auto twice = static_cast<std::size_t>(std::count(counts.begin(), counts.end(), false));
  data->merges.reserve(all.size() - twice);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (!counts[rank]) continue;
    data->merges.push_back(all[rank]);
  }
  if (twice > 0) {
    data->warnings.push_back(
        fmt::format("{}: merges: {} stand there twice: the last of each is taken", model.place(), twice));
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
  TOME_ASSIGN_OR_RETURN(ModelPieces pieces, ReadVocabulary(model, vocab_size));
  TOME_ASSIGN_OR_RETURN(const std::vector<ListedToken> added, ReadAddedTokens(document));
  for (const ListedToken& token : added) pieces.beyond.erase(token.text);

  TokenizerData data;
  data.source = source;
  data.add_bos = false;
  TOME_ASSIGN_OR_RETURN(const auto ignore_merges, model.OptionalBool("ignore_merges"));
  data.ignore_merges = ignore_merges.value_or(false);
  TOME_RETURN_IF_ERROR(ReadMerges(model, &data));
  TOME_RETURN_IF_ERROR(LeaveOutBeyond(pieces, model.place(), vocab_size, &data));
  TakePieces(std::move(pieces), &data);
  TOME_RETURN_IF_ERROR(AddListedTokens(added, source + ": added_tokens", vocab_size, &data));
  TOME_RETURN_IF_ERROR(CheckPieces(model.place(), &data));
  TOME_ASSIGN_OR_RETURN(const auto byte_fallback, model.OptionalBool("byte_fallback"));
  if (byte_fallback.value_or(false)) {
    TOME_RETURN_IF_ERROR(ReadCharacterRules(document, &data));
  } else {
    TOME_RETURN_IF_ERROR(ReadByteLevelPreTokenizer(document, &data));
  }
  TOME_ASSIGN_OR_RETURN(const JsonFields post_processor, document.Object("post_processor"));
  TOME_RETURN_IF_ERROR(ReadPostProcessor(post_processor, &data));
  return data;
}

}  // namespace tome
