#include "engine/checkpoint/huggingface/huggingface_checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/contents/json_reader.h"
#include "engine/checkpoint/contents/tensor_type.h"
#include "engine/checkpoint/huggingface/foreign_folder.h"
#include "engine/checkpoint/huggingface/huggingface_weights.h"

namespace tome {
namespace {

bool Exists(const std::filesystem::path& path) {
  std::error_code ignored;  // what cannot be examined is reported when it is opened
  return std::filesystem::exists(path, ignored);
}

// A file's bytes, or nothing when there is no such file.
absl::StatusOr<std::optional<std::string_view>> ReadOptional(const std::filesystem::path& path,
                                                             std::vector<std::shared_ptr<const MappedFile>>* files) {
  if (!Exists(path)) return std::nullopt;
  TOME_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path.string()));
  const std::string_view view = file->view();
  files->push_back(std::move(file));
  return view;
}

absl::StatusOr<TokenizerData> ReadTokenizer(const std::filesystem::path& folder, const HuggingFaceConfig& config) {
  std::vector<std::shared_ptr<const MappedFile>> mapped;
  TokenizerFiles files;
  files.folder = folder.string();
  TOME_ASSIGN_OR_RETURN(files.tokenizer_model, ReadOptional(folder / "tokenizer.model", &mapped));
  TOME_ASSIGN_OR_RETURN(files.tokenizer_json, ReadOptional(folder / "tokenizer.json", &mapped));
  TOME_ASSIGN_OR_RETURN(files.tokenizer_config, ReadOptional(folder / "tokenizer_config.json", &mapped));
  TOME_ASSIGN_OR_RETURN(files.special_tokens_map, ReadOptional(folder / "special_tokens_map.json", &mapped));
  TOME_ASSIGN_OR_RETURN(files.added_tokens, ReadOptional(folder / "added_tokens.json", &mapped));
  TOME_ASSIGN_OR_RETURN(files.chat_template, ReadOptional(folder / "chat_template.jinja", &mapped));
  return ReadHuggingFaceTokenizer(files, config);
}

absl::Status ReadGenerationConfig(const std::filesystem::path& folder, HuggingFaceConfig* config) {
  const std::filesystem::path path = folder / "generation_config.json";
  if (!Exists(path)) return absl::OkStatus();
  TOME_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path.string()));
  TOME_ASSIGN_OR_RETURN(const std::vector<TokenId> ends,
                        ParseGenerationEnds(file->view(), path.string(), config->model.vocab_size, &config->warnings));
  config->ends.insert(config->ends.end(), ends.begin(), ends.end());
  if (!config->eos && !ends.empty()) config->eos = ends.front();
  return absl::OkStatus();
}

constexpr char kEmbedding[] = "model.embed_tokens.weight", kOutput[] = "lm_head.weight";

// Whether two tensors of one shape hold the same numbers, maybe in different types.
bool AreEqual(const CheckpointTensor& a, const CheckpointTensor& b) {
  if (a.type == b.type) return a.data == b.data;
  std::vector<float> row_a(static_cast<std::size_t>(a.shape.back())), row_b(row_a.size());
  const std::size_t rows = static_cast<std::size_t>(a.shape.front());
  for (std::size_t row = 0; row < rows; ++row) {
    const auto part = [&](const CheckpointTensor& tensor) {
      const std::size_t size = tensor.data.size() / rows;
      return tensor.data.subspan(row * size, size);
    };
    DequantizeRow(a.type, part(a), absl::MakeSpan(row_a));
    DequantizeRow(b.type, part(b), absl::MakeSpan(row_b));
    if (row_a != row_b) return false;
  }
  return true;
}

// The output layer of a model whose config says that it is the embedding.
void SettleTiedOutput(TensorMap* tensors, const std::string& source, LlamaConfig* config,
                      std::vector<std::string>* warnings) {
  const auto output = tensors->find(kOutput), embedding = tensors->find(kEmbedding);
  if (!config->tied_output || output == tensors->end()) return;
  if (embedding == tensors->end()) {  // a file keeps one of two equal tensors, and may keep this one
    auto node = tensors->extract(output);
    node.key() = kEmbedding;
    tensors->insert(std::move(node));
    return;
  }
  const bool has_shape = output->second.shape == embedding->second.shape && output->second.shape.size() == 2;
  if (has_shape && !AreEqual(output->second, embedding->second)) {
    config->tied_output = false;
    warnings->push_back(fmt::format(
        "{}: tensor 'lm_head.weight': config.json says that it is the embedding (tie_word_embeddings), found other "
        "numbers: it is taken as the output layer",
        source));
    return;
  }
  if (!has_shape) {
    warnings->push_back(
        fmt::format("{}: tensor 'lm_head.weight': expected the embedding's shape {}, found {}: left out, "
                    "as config.json says that it is the embedding (tie_word_embeddings)",
                    source, ShapeText(embedding->second.shape), ShapeText(output->second.shape)));
  }
  tensors->erase(output);
}

bool IsZero(const CheckpointTensor& tensor) {
  return std::all_of(tensor.data.begin(), tensor.data.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

// Biases that are all zero add nothing.
void DropZeroBiases(TensorMap* tensors, const std::string& source, std::vector<std::string>* warnings) {
  constexpr std::string_view kSuffix = ".bias";
  std::vector<std::string> dropped;
  for (const auto& [name, tensor] : *tensors) {
    if (!name.ends_with(kSuffix) || !IsZero(tensor)) continue;
    const auto weight = tensors->find(name.substr(0, name.size() - kSuffix.size()) + ".weight");
    if (weight == tensors->end() || weight->second.shape.empty() || tensor.shape.size() != 1) continue;
    if (tensor.shape[0] == weight->second.shape[0]) dropped.push_back(name);
  }
  if (dropped.empty()) return;
  warnings->push_back(fmt::format("{}: {} biases, {} the first, are all zero: left out", source, dropped.size(),
                                  Quote(dropped.front())));
  for (const std::string& name : dropped) tensors->erase(name);
}

}  // namespace

absl::StatusOr<TensorMap> SelectHuggingFaceTensors(TensorMap file_tensors, const std::string& source,
                                                   LlamaConfig* config, std::vector<std::string>* warnings) {
  std::erase_if(file_tensors, [](const auto& item) { return IsRotaryTable(item.first); });
  SettleTiedOutput(&file_tensors, source, config, warnings);
  DropZeroBiases(&file_tensors, source, warnings);
  if (!config->tied_output && !file_tensors.contains(kOutput) && file_tensors.contains(kEmbedding)) {
    return InvalidArgument(
        "{}: tensor 'lm_head.weight' of shape {} is missing; if the output layer is the embedding, say so in "
        "config.json: \"tie_word_embeddings\": true",
        source, ShapeText({config->vocab_size, config->hidden_size}));
  }
  return SelectTensors(*config, std::move(file_tensors), [](const std::string& name) { return name; }, source);
}

absl::StatusOr<HuggingFaceCheckpoint> ReadHuggingFace(const std::string& folder) {
  const std::filesystem::path path = folder;
  HuggingFaceCheckpoint checkpoint;
  CheckpointContents& contents = checkpoint.contents;
  const std::string config_path = (path / "config.json").string();
  const auto config_file = MappedFile::Open(config_path);
  if (!config_file.ok()) {
    return absl::Status(config_file.status().code(),
                        std::string(config_file.status().message()) + DescribeForeignFolder(path));
  }
  TOME_ASSIGN_OR_RETURN(HuggingFaceConfig config, ParseHuggingFaceConfig((*config_file)->view(), config_path));
  TOME_RETURN_IF_ERROR(ReadGenerationConfig(path, &config));
  TOME_ASSIGN_OR_RETURN(HuggingFaceWeights weights, ReadHuggingFaceWeights(path));
  contents.warnings = config.warnings;
  contents.warnings.insert(contents.warnings.end(), weights.warnings.begin(), weights.warnings.end());
  contents.config = config.model;
  TOME_ASSIGN_OR_RETURN(contents.tensors, SelectHuggingFaceTensors(std::move(weights.tensors), weights.source,
                                                                   &contents.config, &contents.warnings));
  if (Exists(path / "adapter_config.json")) {
    contents.warnings.push_back(fmt::format("{}: the adapter in it (adapter_config.json) is not applied", folder));
  }
  TOME_ASSIGN_OR_RETURN(contents.tokenizer, ReadTokenizer(path, config));
  checkpoint.files = std::move(weights.files);
  return checkpoint;
}

}  // namespace tome
