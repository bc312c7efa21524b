#include "tests/fuzz/checkpoint_targets.h"

#include "engine/base/utf8.h"
#include "engine/checkpoint/gguf/gguf_checkpoint.h"
#include "engine/checkpoint/huggingface/huggingface_checkpoint.h"
#include "engine/checkpoint/huggingface/safetensors.h"
#include "engine/checkpoint/huggingface/tokenizer_json.h"
#include "engine/checkpoint/llama2c_checkpoint.h"
#include "engine/files/byte_reader.h"
#include "engine/files/byte_writer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizers/sentencepiece_model.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/require.h"
#include "tests/support/tiny_model_formats.h"

namespace tome::testing {
namespace {

constexpr char kSource[] = "input";
constexpr int kVocabSize = 304;
constexpr int kHuggingFaceParts = 7;

bool CheckStatus(const absl::Status& status) {
  if (status.ok()) return true;
  const std::string message(status.message());
  Require(status.code() == absl::StatusCode::kInvalidArgument, "errors are INVALID_ARGUMENT: " + status.ToString());
  Require(message.starts_with(kSource), "errors begin with the source: " + message);
  Require(IsValidUtf8(message), "messages are UTF-8");
  return false;
}

void CheckWarnings(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    Require(warning.starts_with(kSource) && IsValidUtf8(warning), "warnings begin with the source: " + warning);
  }
}

void CheckTensors(const TensorMap& tensors, std::string_view bytes) {
  const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
  for (const auto& [name, tensor] : tensors) {
    const absl::StatusOr<std::uint64_t> size = TensorBytes(tensor.type, tensor.shape, name);
    Require(size.ok() && *size == tensor.data.size(), "a tensor has the bytes of its shape");
    Require(tensor.data.data() >= begin && tensor.data.data() + tensor.data.size() <= begin + bytes.size(),
            "a tensor lies within the file");
    const BlockLayout layout = GetBlockLayout(tensor.type);
    std::vector<float> block(static_cast<std::size_t>(layout.values));
    const auto block_bytes = static_cast<std::size_t>(layout.bytes);
    DequantizeRow(tensor.type, tensor.data.first(block_bytes), absl::MakeSpan(block));
    DequantizeRow(tensor.type, tensor.data.last(block_bytes), absl::MakeSpan(block));
  }
}

bool CheckContents(const absl::StatusOr<CheckpointContents>& contents, std::string_view bytes) {
  if (!CheckStatus(contents.status())) return false;
  CheckTensors(contents->tensors, bytes);
  CheckWarnings(contents->warnings);
  Require(contents->tensors.size() == ExpectedTensors(contents->config).size(), "all tensors are there, and no others");
  Require(contents->tokenizer.pieces.size() <= static_cast<std::size_t>(contents->config.vocab_size),
          "each piece has a row of the embedding");
  return true;
}

bool RunLlama2c(std::string_view bytes) { return CheckContents(ReadLlama2c(bytes, kSource), bytes); }

bool RunLlama2cVocabulary(std::string_view bytes) {
  return CheckStatus(ReadLlama2cTokenizer(bytes, kSource, kVocabSize).status());
}

bool RunSafetensors(std::string_view bytes) {
  const absl::StatusOr<TensorMap> tensors = ParseSafetensors(bytes, kSource);
  if (!CheckStatus(tensors.status())) return false;
  CheckTensors(*tensors, bytes);
  return true;
}

bool RunConfigJson(std::string_view bytes) {
  std::vector<std::string> warnings;
  const bool is_generation_config = CheckStatus(ParseGenerationEnds(bytes, kSource, kVocabSize, &warnings).status());
  const absl::StatusOr<HuggingFaceConfig> config = ParseHuggingFaceConfig(bytes, kSource);
  if (config.ok()) CheckWarnings(config->warnings);
  return CheckStatus(config.status()) && is_generation_config;
}

// A tokenizer that was read is refused with a reason, or takes any text: all at once and in pieces.
bool CheckTokenizer(const absl::StatusOr<TokenizerData>& data, std::string_view bytes) {
  if (!CheckStatus(data.status())) return false;
  CheckWarnings(data->warnings);
  if (data->kind == TokenizerKind::kNone) return true;
  const absl::StatusOr<std::shared_ptr<const Tokenizer>> tokenizer = Tokenizer::Create(*data);
  if (!CheckStatus(tokenizer.status())) return false;
  std::string text = "a  b\n<s> \xff\u2581";
  for (const TokenizerPiece& piece : data->pieces) {
    if (piece.type == PieceType::kUserDefined || piece.type == PieceType::kControl) text += piece.text + " ";
    if (text.size() > 1000) break;
  }
  text += bytes.substr(bytes.size() / 2, 200);
  text += "a";
  std::vector<TextToken> pieces;
  const std::vector<TextToken> whole = (*tokenizer)->Encode(text);
  const std::unique_ptr<TokenStream> stream = (*tokenizer)->NewStream();
  for (std::size_t i = 0; i < text.size(); i += 3) stream->Append(std::string_view(text).substr(i, 3), &pieces);
  stream->Finish(&pieces);
  Require(pieces == whole, "a stream gives the tokens of the whole");
  std::size_t total = 0;
  for (const TextToken& token : whole) {
    Require(token.id >= 0 && token.id < (*tokenizer)->vocab_size(), "ids are within the vocabulary");
    Require(data->pieces[token.id].type != PieceType::kControl, "text makes no special token");
    total += token.num_bytes;
  }
  Require(total == text.size() || whole.empty(), "every byte is counted once");
  return true;
}

bool RunGguf(std::string_view bytes) {
  const absl::StatusOr<CheckpointContents> contents = ReadGguf(bytes, kSource);
  if (!CheckContents(contents, bytes)) return false;
  return CheckTokenizer(contents->tokenizer, bytes);
}

bool RunTokenizerJson(std::string_view bytes) {
  return CheckTokenizer(ParseTokenizerJson(bytes, kSource, kVocabSize), bytes);
}

// The input: config.json, generation_config.json and the tokenizer's files, each with its length, then
// model.safetensors. A text that is empty is a file that is absent.
bool RunHuggingFace(std::string_view bytes) {
  ByteReader reader(bytes, kSource);
  std::string_view parts[kHuggingFaceParts];
  for (std::string_view& part : parts) {
    const absl::StatusOr<std::string_view> text = reader.ReadString("part");
    if (!CheckStatus(text.status())) return false;
    part = *text;
  }
  const auto optional = [](std::string_view part) { return part.empty() ? std::nullopt : std::optional(part); };
  absl::StatusOr<HuggingFaceConfig> config = ParseHuggingFaceConfig(parts[0], kSource);
  if (!CheckStatus(config.status())) return false;
  if (!parts[1].empty()) {
    const auto ends = ParseGenerationEnds(parts[1], kSource, config->model.vocab_size, &config->warnings);
    if (!CheckStatus(ends.status())) return false;
    config->ends.insert(config->ends.end(), ends->begin(), ends->end());
  }
  TokenizerFiles files;
  files.folder = kSource;
  files.tokenizer_json = optional(parts[2]);
  files.tokenizer_config = optional(parts[3]);
  files.tokenizer_model = optional(parts[4]);
  files.added_tokens = optional(parts[5]);
  files.special_tokens_map = optional(parts[6]);
  const absl::StatusOr<TokenizerData> tokenizer = ReadHuggingFaceTokenizer(files, *config);
  if (!CheckTokenizer(tokenizer, bytes)) return false;
  absl::StatusOr<TensorMap> tensors = ParseSafetensors(bytes.substr(reader.offset()), kSource);
  if (!CheckStatus(tensors.status())) return false;
  CheckpointContents contents{config->model, *tokenizer, {}, {}};
  absl::StatusOr<TensorMap> selected =
      SelectHuggingFaceTensors(*std::move(tensors), kSource, &contents.config, &contents.warnings);
  if (!CheckStatus(selected.status())) return false;
  contents.tensors = *std::move(selected);
  return CheckContents(contents, bytes);
}

TinyModelOptions Smallest() {
  return {.num_layers = 1,
          .hidden_size = 8,
          .num_heads = 2,
          .num_kv_heads = 1,
          .head_dim = 4,
          .ffn_size = 8,
          .context_length = 4};
}

std::vector<std::string> GgufSeeds() {
  const GgufWriter byte_level = TinyGguf(Smallest());
  GgufWriter sentence_piece = byte_level;
  SetSentencePieceTokenizer(&sentence_piece);
  sentence_piece.SetString("llama.rope.scaling.type", "yarn");
  sentence_piece.SetFloat("llama.rope.scaling.factor", 4);
  return {byte_level.Bytes(), sentence_piece.Bytes()};
}

std::vector<std::string> SafetensorsSeeds() {
  const std::vector<TinyTensor> tensors = {{"a", {2, 3}, {1, 2, 3, 4, 5, 6}}, {"b", {4}, {0, 0, 0, 1}}};
  return {SafetensorsBytes(tensors, TinyModelType::kF32), SafetensorsBytes(tensors, TinyModelType::kBF16)};
}

std::vector<std::string> ConfigSeeds() {
  TinyModelOptions scaled = Smallest();
  scaled.rope_scaling_json =
      R"({"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":4})";
  return {TinyConfigJson(Smallest()), TinyConfigJson(scaled)};
}

std::string CharacterTokenizerJson() {
  nlohmann::json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) vocab[fmt::format("<0x{:02X}>", byte)] = 3 + byte;
  int id = 259;
  for (const char* piece : {"\u2581", "a", "b", "\u2581a", "ab", "\u2581\u2581"}) vocab[piece] = id++;
  const auto added = [](int token, const char* text, bool special, bool flag) {
    return nlohmann::json{{"id", token},    {"content", text},     {"special", special}, {"lstrip", flag},
                          {"rstrip", flag}, {"single_word", flag}, {"normalized", flag}};
  };
  const nlohmann::json metaspace = {
      {"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "first"}, {"split", true}};
  const nlohmann::json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
  return nlohmann::json{
      {"added_tokens",
       {added(0, "<unk>", true, false), added(270, "<|im_end|>", true, true), added(271, "<x>", false, true),
        added(272, "ab", false, false)}},
      {"normalizer", replace},
      {"pre_tokenizer", metaspace},
      {"post_processor", {{"type", "TemplateProcessing"}, {"single", {{{"SpecialToken", {{"id", "<s>"}}}}}}}},
      {"model",
       {{"type", "BPE"},
        {"unk_token", "<unk>"},
        {"byte_fallback", true},
        {"vocab", vocab},
        {"merges", {"\u2581 a", "a b", "\u2581 \u2581"}}}}}
      .dump();
}

std::vector<std::string> TokenizerSeeds() { return {TinyTokenizerJson(), CharacterTokenizerJson()}; }

std::string HuggingFaceSeed(const std::vector<std::string>& tokenizer_files) {
  ByteWriter writer;
  writer.WriteString(TinyConfigJson(Smallest()));
  writer.WriteString(R"({"eos_token_id":[1,2]})");
  for (const std::string& file : tokenizer_files) writer.WriteString(file);
  writer.WriteBytes(SafetensorsBytes(TinyTensors(Smallest()), TinyModelType::kF16));
  return std::move(writer).Take();
}

// tokenizer.model of llama2.c's pieces.
std::string SentencePieceSeed() {
  const TokenizerData data = *ReadLlama2cTokenizer(TinyLlama2cVocabulary(290), kSource, 290);
  return SerializeSentencePieceModel(data.pieces);
}

std::vector<std::string> HuggingFaceSeeds() {
  return {HuggingFaceSeed({TinyTokenizerJson(), TinyTokenizerConfigJson(), "", "", ""}),
          HuggingFaceSeed({CharacterTokenizerJson(),
                           R"({"eos_token":"</s>","added_tokens_decoder":{"280":{"content":"<y>","special":false}}})",
                           "", "", ""}),
          HuggingFaceSeed({"", R"({"legacy":false})", SentencePieceSeed(), R"({"<|im_start|>":290,"<|im_end|>":291})",
                           R"({"eos_token":"<|im_end|>"})"})};
}

std::vector<std::string> Llama2cSeeds() { return {TinyLlama2c(Smallest())}; }
std::vector<std::string> VocabularySeeds() { return {TinyLlama2cVocabulary(kVocabSize)}; }

}  // namespace

const std::vector<FuzzTarget>& CheckpointFuzzTargets() {
  static const std::vector<FuzzTarget> targets = {
      {"gguf", RunGguf, GgufSeeds},
      {"safetensors", RunSafetensors, SafetensorsSeeds},
      {"huggingface", RunHuggingFace, HuggingFaceSeeds},
      {"config_json", RunConfigJson, ConfigSeeds},
      {"tokenizer_json", RunTokenizerJson, TokenizerSeeds},
      {"llama2c", RunLlama2c, Llama2cSeeds},
      {"llama2c_vocabulary", RunLlama2cVocabulary, VocabularySeeds},
  };
  return targets;
}

}  // namespace tome::testing
