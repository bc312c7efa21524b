#include "engine/checkpoint/huggingface_checkpoint.h"

#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/json_reader.h"
#include "engine/checkpoint/safetensors.h"

namespace tome {
namespace {

bool Exists(const std::filesystem::path& path) {
  std::error_code ignored;  // what cannot be examined is reported when it is opened
  return std::filesystem::exists(path, ignored);
}

struct Weights {
  TensorMap tensors;
  std::vector<std::shared_ptr<const MappedFile>> files;
  std::string source;  // the file that lists all tensors
};

absl::StatusOr<Weights> ReadSingleFile(const std::string& path) {
  Weights weights;
  weights.source = path;
  TOME_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
  TOME_ASSIGN_OR_RETURN(weights.tensors, ParseSafetensors(file->view(), path));
  weights.files.push_back(std::move(file));
  return weights;
}

absl::StatusOr<Weights> ReadShards(const std::filesystem::path& folder, const std::string& index_path) {
  TOME_ASSIGN_OR_RETURN(const auto index_file, MappedFile::Open(index_path));
  TOME_ASSIGN_OR_RETURN(auto file_of_tensor, ParseSafetensorsIndex(index_file->view(), index_path));
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : file_of_tensor) shards.insert(shard);
  Weights weights;
  weights.source = index_path;
  for (const std::string& shard : shards) {
    const std::string path = (folder / shard).string();
    TOME_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
    TOME_ASSIGN_OR_RETURN(TensorMap tensors, ParseSafetensors(file->view(), path));
    for (auto& [name, tensor] : tensors) {
      const auto listed = file_of_tensor.find(name);
      if (listed == file_of_tensor.end() || listed->second != shard) {
        return InvalidArgument(
            "{}: tensor {}: expected only tensors that the index lists for this file, found {}", path, Quote(name),
            listed == file_of_tensor.end() ? "one that it does not list" : "one of " + Quote(listed->second));
      }
      weights.tensors.emplace(name, std::move(tensor));
      file_of_tensor.erase(listed);
    }
    weights.files.push_back(std::move(file));
  }
  if (!file_of_tensor.empty()) {
    const auto& [tensor, shard] = *file_of_tensor.begin();
    return InvalidArgument("{}: tensor {}: expected it in {}, found no such tensor there", index_path, Quote(tensor),
                           Quote(shard));
  }
  return weights;
}

absl::StatusOr<Weights> ReadWeights(const std::filesystem::path& folder) {
  const std::filesystem::path single = folder / "model.safetensors", index = folder / "model.safetensors.index.json";
  if (Exists(single)) return ReadSingleFile(single.string());  // transformers' order
  if (Exists(index)) return ReadShards(folder, index.string());
  const bool pickled = Exists(folder / "pytorch_model.bin") || Exists(folder / "pytorch_model.bin.index.json");
  return NotFound("{}: expected model.safetensors or model.safetensors.index.json, found {}", folder.string(),
                  pickled ? "only PyTorch pickles: convert them to safetensors" : "neither");
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
  TOME_ASSIGN_OR_RETURN(files.chat_template, ReadOptional(folder / "chat_template.jinja", &mapped));
  return ReadHuggingFaceTokenizer(files, config);
}

bool IsRotaryTable(std::string_view name) {
  constexpr std::string_view kSuffix = ".rotary_emb.inv_freq";
  return name.size() > kSuffix.size() && name.substr(name.size() - kSuffix.size()) == kSuffix;
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> ParseSafetensorsIndex(std::string_view text,
                                                                         const std::string& source) {
  TOME_ASSIGN_OR_RETURN(const nlohmann::json document, ParseJsonObject(text, source));
  const JsonFields fields(document, source);
  const nlohmann::json* weight_map = fields.Find("weight_map");
  if (weight_map == nullptr || !weight_map->is_object()) return fields.Unexpected("weight_map", "an object");
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : weight_map->items()) {
    if (!file.is_string() || file == "" || file == "." || file == ".." ||
        file.get_ref<const std::string&>().find_first_of(std::string_view("/\0", 2)) != std::string::npos) {
      return InvalidArgument("{}: weight_map: {}: expected the name of a file in this folder, found {}", source,
                             Quote(tensor), DescribeJson(file));
    }
    files.emplace(tensor, file.get<std::string>());
  }
  return files;
}

absl::StatusOr<TensorMap> SelectHuggingFaceTensors(const LlamaConfig& config, TensorMap file_tensors,
                                                   const std::string& source) {
  std::erase_if(file_tensors, [](const auto& item) { return IsRotaryTable(item.first); });
  if (config.tied_output) file_tensors.erase("lm_head.weight");
  return SelectTensors(config, std::move(file_tensors), [](const std::string& name) { return name; }, source);
}

absl::StatusOr<HuggingFaceCheckpoint> ReadHuggingFace(const std::string& folder) {
  const std::filesystem::path path = folder;
  HuggingFaceCheckpoint checkpoint;
  const std::string config_path = (path / "config.json").string();
  TOME_ASSIGN_OR_RETURN(const auto config_file, MappedFile::Open(config_path));
  TOME_ASSIGN_OR_RETURN(const HuggingFaceConfig config, ParseHuggingFaceConfig(config_file->view(), config_path));
  TOME_ASSIGN_OR_RETURN(Weights weights, ReadWeights(path));
  checkpoint.contents.config = config.model;
  TOME_ASSIGN_OR_RETURN(checkpoint.contents.tensors,
                        SelectHuggingFaceTensors(config.model, std::move(weights.tensors), weights.source));
  TOME_ASSIGN_OR_RETURN(checkpoint.contents.tokenizer, ReadTokenizer(path, config));
  checkpoint.files = std::move(weights.files);
  return checkpoint;
}

}  // namespace tome
