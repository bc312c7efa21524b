// The tokenizer of a Hugging Face folder: the vocabulary's file, and what tokenizer_config.json adds.
#include <algorithm>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/checkpoint/huggingface_checkpoint.h"
#include "engine/checkpoint/json_reader.h"
#include "engine/checkpoint/tokenizer_json.h"

namespace tome {
namespace {

// A special token in tokenizer_config.json: its text, or an object that has it as "content".
absl::StatusOr<std::optional<std::string>> TokenText(const JsonFields& fields, const std::string& name) {
  const nlohmann::json* value = fields.Find(name);
  if (value == nullptr || !value->is_object()) return fields.OptionalString(name);
  return JsonFields(*value, fields.place() + ": " + name).OptionalString("content");
}

absl::Status ReadSpecialToken(const JsonFields& fields, const std::string& name, const TokenizerData& data,
                              std::optional<TokenId>* id) {
  TOME_ASSIGN_OR_RETURN(const auto text, TokenText(fields, name));
  // A SentencePiece model knows its own special tokens.
  if (!text || data.kind == TokenizerKind::kSentencePieceModel) return absl::OkStatus();
  const auto piece = std::find_if(data.pieces.begin(), data.pieces.end(),
                                  [&](const TokenizerPiece& candidate) { return candidate.text == *text; });
  if (piece == data.pieces.end()) return fields.Unexpected(name, "a piece of the vocabulary");
  *id = static_cast<TokenId>(piece - data.pieces.begin());
  return absl::OkStatus();
}

// A string, or a list of named templates of which "default" is taken.
absl::StatusOr<std::string> ReadChatTemplate(const JsonFields& fields) {
  const std::string name = "chat_template";
  const nlohmann::json* value = fields.Find(name);
  if (value == nullptr) return "";
  if (!value->is_array()) return fields.String(name);
  for (const nlohmann::json& item : *value) {
    if (!item.is_object()) return fields.Unexpected(name, "a string or an array of objects");
    const JsonFields named(item, fields.place() + ": " + name);
    TOME_ASSIGN_OR_RETURN(const std::string template_name, named.String("name"));
    if (template_name == "default") return named.String("template");
  }
  return "";
}

absl::Status ReadTokenizerConfig(std::string_view text, const std::string& source, TokenizerData* data) {
  TOME_ASSIGN_OR_RETURN(const nlohmann::json document, ParseJsonObject(text, source));
  const JsonFields fields(document, source);
  TOME_RETURN_IF_ERROR(ReadSpecialToken(fields, "bos_token", *data, &data->bos));
  TOME_RETURN_IF_ERROR(ReadSpecialToken(fields, "eos_token", *data, &data->eos));
  TOME_RETURN_IF_ERROR(ReadSpecialToken(fields, "unk_token", *data, &data->unknown));
  TOME_ASSIGN_OR_RETURN(const auto add_bos, fields.OptionalBool("add_bos_token"));
  if (add_bos) data->add_bos = add_bos;
  TOME_ASSIGN_OR_RETURN(data->chat_template, ReadChatTemplate(fields));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerData> ReadHuggingFaceTokenizer(const TokenizerFiles& files, const HuggingFaceConfig& config) {
  const auto path = [&](std::string_view name) { return fmt::format("{}/{}", files.folder, name); };
  TokenizerData data;
  if (files.tokenizer_model) {
    data.kind = TokenizerKind::kSentencePieceModel;
    data.source = path("tokenizer.model");
    data.sentencepiece_model = std::string(*files.tokenizer_model);
    data.add_bos = true;  // transformers' default for its LLaMA tokenizer
  } else if (files.tokenizer_json) {
    TOME_ASSIGN_OR_RETURN(data,
                          ParseTokenizerJson(*files.tokenizer_json, path("tokenizer.json"), config.model.vocab_size));
  } else {
    return data;
  }
  if (files.tokenizer_config) {
    TOME_RETURN_IF_ERROR(ReadTokenizerConfig(*files.tokenizer_config, path("tokenizer_config.json"), &data));
  }
  if (files.chat_template) data.chat_template = ReplaceInvalidUtf8(*files.chat_template);
  const auto in_vocabulary = [&](std::optional<TokenId> id) {
    return data.kind == TokenizerKind::kSentencePieceModel ||
           (id && static_cast<std::size_t>(*id) < data.pieces.size());
  };
  if (!data.bos && in_vocabulary(config.bos)) data.bos = config.bos;
  if (!data.eos && in_vocabulary(config.eos)) data.eos = config.eos;
  return data;
}

}  // namespace tome
