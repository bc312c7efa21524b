#include "tests/fuzz/checkpoint_targets.h"

#include "engine/base/byte_reader.h"
#include "engine/base/byte_writer.h"
#include "engine/base/utf8.h"
#include "engine/checkpoint/gguf_checkpoint.h"
#include "engine/checkpoint/huggingface_checkpoint.h"
#include "engine/checkpoint/llama2c_checkpoint.h"
#include "engine/checkpoint/safetensors.h"
#include "engine/checkpoint/tokenizer_json.h"
#include "tests/fuzz/require.h"
#include "tests/support/tiny_model_formats.h"

namespace tome::testing {
namespace {

constexpr char kSource[] = "input";
constexpr int kVocabSize = 304;

bool CheckStatus(const absl::Status& status) {
  if (status.ok()) return true;
  const std::string message(status.message());
  Require(status.code() == absl::StatusCode::kInvalidArgument, "errors are INVALID_ARGUMENT: " + status.ToString());
  Require(message.starts_with(kSource), "errors begin with the source: " + message);
  Require(IsValidUtf8(message), "messages are UTF-8");
  return false;
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
  Require(contents->tensors.size() == ExpectedTensors(contents->config).size(), "all tensors are there, and no others");
  Require(contents->tokenizer.pieces.size() <= static_cast<std::size_t>(contents->config.vocab_size),
          "each piece has a row of the embedding");
  return true;
}

bool RunGguf(std::string_view bytes) { return CheckContents(ReadGguf(bytes, kSource), bytes); }
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

bool RunConfigJson(std::string_view bytes) { return CheckStatus(ParseHuggingFaceConfig(bytes, kSource).status()); }

bool RunTokenizerJson(std::string_view bytes) {
  return CheckStatus(ParseTokenizerJson(bytes, kSource, kVocabSize).status());
}

// The input: config.json and the tokenizer's files, each with its length, then model.safetensors.
bool RunHuggingFace(std::string_view bytes) {
  ByteReader reader(bytes, kSource);
  std::string_view parts[3];
  for (std::string_view& part : parts) {
    const absl::StatusOr<std::string_view> text = reader.ReadString("part");
    if (!CheckStatus(text.status())) return false;
    part = *text;
  }
  const absl::StatusOr<HuggingFaceConfig> config = ParseHuggingFaceConfig(parts[0], kSource);
  if (!CheckStatus(config.status())) return false;
  TokenizerFiles files;
  files.folder = kSource;
  files.tokenizer_json = parts[1];
  files.tokenizer_config = parts[2];
  const absl::StatusOr<TokenizerData> tokenizer = ReadHuggingFaceTokenizer(files, *config);
  if (!CheckStatus(tokenizer.status())) return false;
  absl::StatusOr<TensorMap> tensors = ParseSafetensors(bytes.substr(reader.offset()), kSource);
  if (!CheckStatus(tensors.status())) return false;
  CheckpointContents contents{config->model, *tokenizer, {}};
  absl::StatusOr<TensorMap> selected = SelectHuggingFaceTensors(config->model, *std::move(tensors), kSource);
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

std::vector<std::string> TokenizerSeeds() {
  return {TinyTokenizerJson(),
          R"({"added_tokens":[{"id":0,"content":"<unk>","special":true}],"normalizer":{"type":"Sequence","normalizers":[
            {"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
            "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<unk>"}}]},
            "model":{"type":"BPE","unk_token":"<unk>","byte_fallback":true,
            "vocab":{"<unk>":0,"<0x00>":1,"▁":2,"a":3,"▁a":4},"merges":["▁ a"]}})"};
}

std::vector<std::string> HuggingFaceSeeds() {
  ByteWriter writer;
  writer.WriteString(TinyConfigJson(Smallest()));
  writer.WriteString(TinyTokenizerJson());
  writer.WriteString(TinyTokenizerConfigJson());
  writer.WriteBytes(SafetensorsBytes(TinyTensors(Smallest()), TinyModelType::kF16));
  return {std::move(writer).Take()};
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
