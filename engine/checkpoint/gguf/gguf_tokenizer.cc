// The tokenizer that a GGUF file carries.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/checkpoint/contents/sentencepiece_pieces.h"
#include "engine/checkpoint/contents/special_tokens.h"
#include "engine/checkpoint/gguf/gguf_checkpoint.h"

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

absl::StatusOr<PreTokenizer> FindPreTokenizer(const GgufFile& file, std::vector<std::string>* warnings) {
  TOME_ASSIGN_OR_RETURN(const auto name, file.OptionalString("tokenizer.ggml.pre"));
  if (!name) {
    warnings->push_back(fmt::format(
        "{}: metadata 'tokenizer.ggml.pre': found no such key: words are cut as GPT-2 cuts them ('gpt-2'); if that is "
        "another model's way, name it: gguf-new-metadata --pre-tokenizer llama-bpe OLD NEW",
        file.source()));
    return PreTokenizer::kGpt2;
  }
  std::string known_names;
  for (const auto& [known, pre_tokenizer] : kPreTokenizers) {
    if (known == *name) return pre_tokenizer;
    known_names += known_names.empty() ? "" : ", ";
    known_names += known;
  }
  return InvalidArgument("{}: metadata 'tokenizer.ggml.pre': expected one of {}, found {}", file.source(), known_names,
                         Quote(*name));
}

bool LooksSpecial(std::string_view text) {
  return text == "<s>" || text == "</s>" || (text.starts_with("<|") && text.ends_with("|>") && text.size() > 4);
}

// The types of the pieces of a file that has none.
std::vector<std::int32_t> GuessTypes(const GgufFile& file, const std::vector<std::string_view>& texts,
                                     std::vector<std::string>* warnings) {
  std::vector<std::int32_t> types;
  for (const std::string_view text : texts) {
    const PieceType type = text == "<unk>"      ? PieceType::kUnknown
                           : LooksSpecial(text) ? PieceType::kControl
                           : IsBytePiece(text)  ? PieceType::kByte
                                                : PieceType::kNormal;
    types.push_back(static_cast<std::int32_t>(type));
  }
  warnings->push_back(
      fmt::format("{}: metadata 'tokenizer.ggml.token_type': found no such key: special and byte pieces are those that "
                  "are written so (<s>, <|...|>, <0x0A>)",
                  file.source()));
  return types;
}

// Pieces that the model has no embedding for are left out where text never becomes them.
absl::Status LeaveOutBeyond(const GgufFile& file, std::int64_t vocab_size, const std::vector<std::int32_t>& types,
                            std::vector<std::string_view>* texts, std::vector<std::string>* warnings) {
  const auto size = static_cast<std::size_t>(vocab_size);
  const auto is_made = [](std::int32_t type) {
    return type != static_cast<int>(PieceType::kControl) && type != static_cast<int>(PieceType::kUnused);
  };
  const bool can_be =
      texts->size() > size && types.size() == texts->size() && std::none_of(types.begin() + size, types.end(), is_made);
  if (texts->empty() || (texts->size() > size && !can_be)) {
    return InvalidArgument(
        "{}: metadata 'tokenizer.ggml.tokens': expected 1 to {} pieces (the vocabulary size), found {}", file.source(),
        vocab_size, texts->size());
  }
  if (texts->size() <= size) return absl::OkStatus();
  warnings->push_back(
      fmt::format("{}: metadata 'tokenizer.ggml.tokens': found {} pieces, but the model has only {} "
                  "embeddings: the special ones beyond are left out",
                  file.source(), texts->size(), vocab_size));
  texts->resize(size);
  return absl::OkStatus();
}

// Without scores nobody knows which pieces are joined first.
absl::StatusOr<std::vector<float>> ReadScores(const GgufFile& file) {
  constexpr std::string_view kScores = "tokenizer.ggml.scores";
  absl::StatusOr<std::vector<float>> scores = file.FloatArray(kScores);
  if (scores.ok() || file.Has(kScores)) return scores;
  return InvalidArgument(
      "{}: they say which pieces are joined first; convert the model anew from its original files "
      "(convert_hf_to_gguf.py)",
      std::string(scores.status().message()));
}

absl::StatusOr<std::vector<TokenizerPiece>> ReadPieces(const GgufFile& file, std::int64_t vocab_size, bool with_scores,
                                                       std::vector<std::string>* warnings) {
  constexpr std::string_view kTokens = "tokenizer.ggml.tokens", kTypes = "tokenizer.ggml.token_type";
  TOME_ASSIGN_OR_RETURN(auto texts, file.StringArray(kTokens));
  std::vector<std::int32_t> types;
  if (file.Has(kTypes)) {
    TOME_ASSIGN_OR_RETURN(types, file.Int32Array(kTypes));
  } else {
    types = GuessTypes(file, texts, warnings);
  }
  const std::size_t all = texts.size();
  TOME_RETURN_IF_ERROR(LeaveOutBeyond(file, vocab_size, types, &texts, warnings));
  std::vector<float> scores(all);
  if (with_scores) {
    TOME_ASSIGN_OR_RETURN(scores, ReadScores(file));
  }
  if (types.size() != all || scores.size() != all) {
    return InvalidArgument("{}: tokenizer: expected as many types and scores as the {} pieces, found {} and {}",
                           file.source(), all, types.size(), scores.size());
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

// An id that is named; nullopt, with a warning, for one that is no piece.
absl::StatusOr<std::optional<TokenId>> ReadSpecialId(const GgufFile& file, std::string_view key, TokenizerData* data) {
  TOME_ASSIGN_OR_RETURN(const auto value, file.OptionalInteger(key, INT64_MIN, INT64_MAX));
  if (!value) return std::nullopt;
  if (*value >= 0 && static_cast<std::uint64_t>(*value) < data->pieces.size()) return static_cast<TokenId>(*value);
  data->warnings.push_back(fmt::format("{}: metadata {}: expected an integer from 0 to {}, found {}: left out",
                                       file.source(), Quote(key), data->pieces.size() - 1, *value));
  return std::nullopt;
}

absl::Status ReadSpecialIds(const GgufFile& file, TokenizerData* data) {
  TOME_ASSIGN_OR_RETURN(data->bos, ReadSpecialId(file, "tokenizer.ggml.bos_token_id", data));
  TOME_ASSIGN_OR_RETURN(data->eos, ReadSpecialId(file, "tokenizer.ggml.eos_token_id", data));
  TOME_ASSIGN_OR_RETURN(data->unknown, ReadSpecialId(file, "tokenizer.ggml.unknown_token_id", data));
  data->ends = KnownEnds(*data);
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    TOME_ASSIGN_OR_RETURN(const auto end, ReadSpecialId(file, key, data));
    if (end) data->ends.push_back(*end);
  }
  for (const TokenId id : data->ends) MakeSpecial(id, data);
  if (data->eos) MakeSpecial(*data->eos, data);
  return absl::OkStatus();
}

absl::Status ReadByteLevelBpe(const GgufFile& file, std::int64_t vocab_size, TokenizerData* data) {
  data->kind = TokenizerKind::kByteLevelBpe;
  TOME_ASSIGN_OR_RETURN(data->pre_tokenizer, FindPreTokenizer(file, &data->warnings));
  const bool llama3 = data->pre_tokenizer == PreTokenizer::kLlama3;
  data->ignore_merges = llama3;
  TOME_ASSIGN_OR_RETURN(data->pieces, ReadPieces(file, vocab_size, /*with_scores=*/false, &data->warnings));
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
  TOME_ASSIGN_OR_RETURN(data->pieces, ReadPieces(file, vocab_size, /*with_scores=*/true, &data->warnings));
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
