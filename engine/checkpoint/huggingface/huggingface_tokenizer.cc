// The tokenizer of a Hugging Face folder: the vocabulary's file, and what tokenizer_config.json adds.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <system_error>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/checkpoint/contents/json_reader.h"
#include "engine/checkpoint/contents/listed_tokens.h"
#include "engine/checkpoint/contents/sentencepiece_conversion.h"
#include "engine/checkpoint/contents/special_tokens.h"
#include "engine/checkpoint/huggingface/huggingface_checkpoint.h"
#include "engine/checkpoint/huggingface/tokenizer_json.h"
#include "engine/text/tokenizers/sentencepiece_model.h"

namespace tome {
namespace {

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

// The keys are ids.
absl::StatusOr<std::vector<ListedToken>> ReadDecoder(const JsonFields& fields) {
  constexpr const char* kField = "added_tokens_decoder";
  std::vector<ListedToken> listed;
  const nlohmann::json* decoder = fields.Find(kField);
  if (decoder == nullptr) return listed;
  if (!decoder->is_object()) return fields.Unexpected(kField, "an object");
  for (const auto& [key, value] : decoder->items()) {
    std::int32_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || !value.is_object()) {
      return InvalidArgument("{}: {}: expected tokens by their id, found {} for {}", fields.place(), kField,
                             DescribeJson(value), Quote(key));
    }
    TOME_ASSIGN_OR_RETURN(ListedToken token, ReadListedToken(JsonFields(value, fields.place() + ": " + kField)));
    token.id = id;
    listed.push_back(std::move(token));
  }
  return listed;
}

// added_tokens.json: ids by text. As transformers takes them, those are special that are named so.
absl::StatusOr<std::vector<ListedToken>> ReadAddedTokensFile(const JsonFields& fields, const nlohmann::json& document,
                                                             const NamedTokens& named) {
  std::vector<ListedToken> listed;
  for (const auto& [text, value] : document.items()) {
    ListedToken token{.text = text, .special = named.Contains(text)};
    TOME_ASSIGN_OR_RETURN(token.id, fields.Integer(text, 0, INT32_MAX));
    token.flags.normalized = !token.special;
    listed.push_back(std::move(token));
  }
  return listed;
}

// What the files beside the vocabulary say.
struct TokenizerConfig {
  std::string names_place;  // the file that names special tokens
  NamedTokens named;
  std::vector<ListedToken> listed;
  std::string listed_place;
  std::optional<bool> add_bos;
  bool is_llama_class = false;
  bool legacy = true;
  std::string chat_template;
};

absl::Status ReadTokenizerConfig(const JsonFields& fields, TokenizerConfig* config) {
  TOME_RETURN_IF_ERROR(ReadNamedTokens(fields, &config->named));
  TOME_ASSIGN_OR_RETURN(config->add_bos, fields.OptionalBool("add_bos_token"));
  TOME_ASSIGN_OR_RETURN(const auto legacy, fields.OptionalBool("legacy"));
  config->legacy = legacy.value_or(true);
  TOME_ASSIGN_OR_RETURN(const auto tokenizer_class, fields.OptionalString("tokenizer_class"));
  config->is_llama_class = tokenizer_class.value_or("").starts_with("LlamaTokenizer");
  TOME_ASSIGN_OR_RETURN(config->chat_template, ReadChatTemplate(fields));
  TOME_ASSIGN_OR_RETURN(config->listed, ReadDecoder(fields));
  config->listed_place = fields.place() + ": added_tokens_decoder";
  return absl::OkStatus();
}

// In transformers' order: what tokenizer_config.json does not say, the older files may.
absl::StatusOr<TokenizerConfig> ReadConfigFiles(const TokenizerFiles& files) {
  const auto path = [&](std::string_view name) { return fmt::format("{}/{}", files.folder, name); };
  TokenizerConfig config;
  config.names_place = path("tokenizer_config.json");
  if (files.tokenizer_config) {
    TOME_ASSIGN_OR_RETURN(const auto document, ParseJsonObject(*files.tokenizer_config, config.names_place));
    TOME_RETURN_IF_ERROR(ReadTokenizerConfig(JsonFields(document, config.names_place), &config));
  }
  if (files.special_tokens_map) {
    const std::string source = path("special_tokens_map.json");
    TOME_ASSIGN_OR_RETURN(const auto document, ParseJsonObject(*files.special_tokens_map, source));
    if (config.named.by_name.empty()) config.names_place = source;
    TOME_RETURN_IF_ERROR(ReadNamedTokens(JsonFields(document, source), &config.named));
  }
  if (files.added_tokens && config.listed.empty()) {
    config.listed_place = path("added_tokens.json");
    TOME_ASSIGN_OR_RETURN(const auto document, ParseJsonObject(*files.added_tokens, config.listed_place));
    TOME_ASSIGN_OR_RETURN(config.listed,
                          ReadAddedTokensFile(JsonFields(document, config.listed_place), document, config.named));
  }
  if (files.chat_template) config.chat_template = ReplaceInvalidUtf8(*files.chat_template);
  return config;
}

// The vocabulary: what transformers takes first.
absl::StatusOr<TokenizerData> ReadVocabularyFile(const TokenizerFiles& files, std::int64_t vocab_size) {
  const std::string json = files.folder + "/tokenizer.json", model = files.folder + "/tokenizer.model";
  TokenizerData data;
  if (files.tokenizer_json) {
    absl::StatusOr<TokenizerData> parsed = ParseTokenizerJson(*files.tokenizer_json, json, vocab_size);
    if (parsed.ok() || !files.tokenizer_model) return parsed;
    return InvalidArgument("{} (tokenizer.model, which lies beside it, is taken once tokenizer.json is removed)",
                           std::string(parsed.status().message()));
  }
  if (!files.tokenizer_model) return data;
  data.source = model;
  data.kind = TokenizerKind::kSentencePieceModel;
  data.sentencepiece_model = std::string(*files.tokenizer_model);
  data.add_bos = true;  // transformers' default for its LLaMA tokenizer
  TOME_RETURN_IF_ERROR(ExpandSentencePieceModel(&data));
  return data;
}

// Whether text has to be searched for added tokens, which the library of SentencePiece does not do as transformers
// does.
bool HasAddedTokens(const TokenizerData& data) {
  return std::any_of(data.added.begin(), data.added.end(), [&](const AddedToken& added) {
    return !added.in_model || data.pieces[added.id].type == PieceType::kUserDefined;
  });
}

void TakeEnds(const HuggingFaceConfig& config, TokenizerData* data) {
  data->ends = config.ends;
  for (const TokenId id : config.ends) {
    if (static_cast<std::size_t>(id) < data->pieces.size()) MakeSpecial(id, data);
  }
  const std::vector<TokenId> known = KnownEnds(*data);
  data->ends.insert(data->ends.end(), known.begin(), known.end());
}

}  // namespace

absl::StatusOr<TokenizerData> ReadHuggingFaceTokenizer(const TokenizerFiles& files, const HuggingFaceConfig& config) {
  TOME_ASSIGN_OR_RETURN(TokenizerData data, ReadVocabularyFile(files, config.model.vocab_size));
  if (data.kind == TokenizerKind::kNone) return data;
  TOME_ASSIGN_OR_RETURN(TokenizerConfig tokenizer, ReadConfigFiles(files));
  TOME_RETURN_IF_ERROR(AddListedTokens(tokenizer.listed, tokenizer.listed_place, config.model.vocab_size, &data));
  if (data.kind == TokenizerKind::kSentencePieceBpe && HasAddedTokens(data)) {
    ConvertToCharacterBpe(tokenizer.legacy, &data);
  }
  TOME_RETURN_IF_ERROR(TakeNamedTokens(tokenizer.named, tokenizer.names_place, &data));
  if (tokenizer.add_bos) {
    data.add_bos = tokenizer.add_bos;
  } else if (tokenizer.is_llama_class) {
    data.add_bos = true;
  }
  data.chat_template = std::move(tokenizer.chat_template);
  const auto in_vocabulary = [&](std::optional<TokenId> id) {
    return id && static_cast<std::size_t>(*id) < data.pieces.size();
  };
  if (!data.bos && in_vocabulary(config.bos)) data.bos = config.bos;
  if (!data.eos && in_vocabulary(config.eos)) data.eos = config.eos;
  TakeEnds(config, &data);
  return data;
}

}  // namespace tome
