// The tokenizer that a GGUF file carries.
#include <cmath>
#include <iterator>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/checkpoint/gguf_checkpoint.h"

namespace tome {
namespace {

// Names of "tokenizer.ggml.pre" that models of architecture "llama" carry.
struct KnownPreTokenizer {
  std::string_view name;
  PreTokenizer pre_tokenizer;
};
constexpr KnownPreTokenizer kPreTokenizers[] = {
    {"default", PreTokenizer::kGpt2},     {"gpt-2", PreTokenizer::kGpt2},    {"smollm", PreTokenizer::kSmolLm},
    {"llama-bpe", PreTokenizer::kLlama3}, {"llama3", PreTokenizer::kLlama3}, {"llama-v3", PreTokenizer::kLlama3},
};

absl::StatusOr<PreTokenizer> FindPreTokenizer(const GgufFile& file) {
  TOME_ASSIGN_OR_RETURN(const auto name, file.OptionalString("tokenizer.ggml.pre"));
  std::string known_names;
  for (const auto& [known, pre_tokenizer] : kPreTokenizers) {
    if (known == name.value_or("default")) return pre_tokenizer;
    known_names += known_names.empty() ? "" : ", ";
    known_names += known;
  }
  return InvalidArgument("{}: metadata 'tokenizer.ggml.pre': expected one of {}, found {}", file.source(), known_names,
                         Quote(*name));
}

absl::StatusOr<std::vector<TokenizerPiece>> ReadPieces(const GgufFile& file, std::int64_t vocab_size,
                                                       bool with_scores) {
  constexpr std::string_view kTokens = "tokenizer.ggml.tokens", kTypes = "tokenizer.ggml.token_type";
  TOME_ASSIGN_OR_RETURN(const auto texts, file.StringArray(kTokens));
  if (texts.empty() || texts.size() > static_cast<std::size_t>(vocab_size)) {
    return InvalidArgument("{}: metadata {}: expected 1 to {} pieces (the vocabulary size), found {}", file.source(),
                           Quote(kTokens), vocab_size, texts.size());
  }
  TOME_ASSIGN_OR_RETURN(const auto types, file.Int32Array(kTypes));
  std::vector<float> scores(texts.size());
  if (with_scores) {
    TOME_ASSIGN_OR_RETURN(scores, file.FloatArray("tokenizer.ggml.scores"));
  }
  if (types.size() != texts.size() || scores.size() != texts.size()) {
    return InvalidArgument("{}: tokenizer: expected as many types and scores as the {} pieces, found {} and {}",
                           file.source(), texts.size(), types.size(), scores.size());
  }
  std::vector<TokenizerPiece> pieces;
  pieces.reserve(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (!IsValidUtf8(texts[i])) {
      return InvalidArgument("{}: metadata {}: expected UTF-8, found {} at index {}", file.source(), Quote(kTokens),
                             Quote(texts[i]), i);
    }
    if (types[i] < static_cast<int>(PieceType::kNormal) || types[i] > static_cast<int>(PieceType::kByte)) {
      return InvalidArgument("{}: metadata {}: expected 1 to 6, found {} at index {}", file.source(), Quote(kTypes),
                             types[i], i);
    }
    if (!std::isfinite(scores[i])) {
      return InvalidArgument("{}: metadata 'tokenizer.ggml.scores': expected finite numbers, found {} at index {}",
                             file.source(), scores[i], i);
    }
    pieces.push_back({std::string(texts[i]), scores[i], static_cast<PieceType>(types[i])});
  }
  return pieces;
}

absl::Status ReadMerges(const GgufFile& file, TokenizerData* data) {
  constexpr std::string_view kMerges = "tokenizer.ggml.merges";
  TOME_ASSIGN_OR_RETURN(const auto merges, file.StringArray(kMerges));
  data->merges.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::string_view merge = merges[i];
    const std::size_t space = merge.find(' ');
    if (space == 0 || space == std::string_view::npos || space + 1 == merge.size() ||
        merge.find(' ', space + 1) != std::string_view::npos || !IsValidUtf8(merge)) {
      return InvalidArgument("{}: metadata {}: expected two pieces with a space between them, found {} at index {}",
                             file.source(), Quote(kMerges), Quote(merge), i);
    }
    data->merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return absl::OkStatus();
}

absl::Status ReadSpecialIds(const GgufFile& file, TokenizerData* data) {
  const std::pair<std::string_view, std::optional<TokenId>*> ids[] = {
      {"tokenizer.ggml.bos_token_id", &data->bos},
      {"tokenizer.ggml.eos_token_id", &data->eos},
      {"tokenizer.ggml.unknown_token_id", &data->unknown},
  };
  for (const auto& [key, id] : ids) {
    TOME_ASSIGN_OR_RETURN(const auto value,
                          file.OptionalInteger(key, 0, static_cast<std::int64_t>(data->pieces.size()) - 1));
    if (value) *id = static_cast<TokenId>(*value);
  }
  return absl::OkStatus();
}

absl::Status ReadByteLevelBpe(const GgufFile& file, std::int64_t vocab_size, TokenizerData* data) {
  data->kind = TokenizerKind::kByteLevelBpe;
  TOME_ASSIGN_OR_RETURN(data->pre_tokenizer, FindPreTokenizer(file));
  const bool llama3 = data->pre_tokenizer == PreTokenizer::kLlama3;
  data->ignore_merges = llama3;
  TOME_ASSIGN_OR_RETURN(data->pieces, ReadPieces(file, vocab_size, /*with_scores=*/false));
  TOME_RETURN_IF_ERROR(ReadMerges(file, data));
  TOME_ASSIGN_OR_RETURN(const auto space_prefix, file.OptionalBool("tokenizer.ggml.add_space_prefix"));
  if (space_prefix.value_or(false)) {
    return InvalidArgument(
        "{}: metadata 'tokenizer.ggml.add_space_prefix': expected false for a byte-level BPE, found true",
        file.source());
  }
  data->add_dummy_prefix = false;
  TOME_ASSIGN_OR_RETURN(const auto add_bos, file.OptionalBool("tokenizer.ggml.add_bos_token"));
  data->add_bos = add_bos.value_or(llama3);  // llama.cpp's defaults
  return absl::OkStatus();
}

absl::Status ReadSentencePiece(const GgufFile& file, std::int64_t vocab_size, TokenizerData* data) {
  data->kind = TokenizerKind::kSentencePieceBpe;
  TOME_ASSIGN_OR_RETURN(data->pieces, ReadPieces(file, vocab_size, /*with_scores=*/true));
  TOME_ASSIGN_OR_RETURN(const auto space_prefix, file.OptionalBool("tokenizer.ggml.add_space_prefix"));
  data->add_dummy_prefix = space_prefix.value_or(true);
  TOME_ASSIGN_OR_RETURN(const auto add_bos, file.OptionalBool("tokenizer.ggml.add_bos_token"));
  data->add_bos = add_bos.value_or(true);  // llama.cpp's defaults
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerData> ReadGgufTokenizer(const GgufFile& file, std::int64_t vocab_size) {
  TokenizerData data;
  data.source = file.source();
  TOME_ASSIGN_OR_RETURN(const auto model, file.OptionalString("tokenizer.ggml.model"));
  if (!model) return data;
  if (*model == "gpt2") {
    TOME_RETURN_IF_ERROR(ReadByteLevelBpe(file, vocab_size, &data));
  } else if (*model == "llama") {
    TOME_RETURN_IF_ERROR(ReadSentencePiece(file, vocab_size, &data));
  } else {
    return InvalidArgument("{}: metadata 'tokenizer.ggml.model': expected 'gpt2' or 'llama', found {}", file.source(),
                           Quote(*model));
  }
  TOME_RETURN_IF_ERROR(ReadSpecialIds(file, &data));
  TOME_ASSIGN_OR_RETURN(const auto chat_template, file.OptionalString("tokenizer.chat_template"));
  data.chat_template = ReplaceInvalidUtf8(chat_template.value_or(""));
  return data;
}

}  // namespace tome
