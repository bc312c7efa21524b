#include "engine/checkpoint/huggingface/huggingface_weights.h"

#include <algorithm>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/huggingface/foreign_folder.h"
#include "engine/checkpoint/huggingface/safetensors.h"

namespace tome {
namespace {

bool Exists(const std::filesystem::path& path) {
  std::error_code ignored;  // what cannot be examined is reported when it is opened
  return std::filesystem::exists(path, ignored);
}

absl::StatusOr<HuggingFaceWeights> ReadSingleFile(const std::string& path) {
  HuggingFaceWeights weights;
  weights.source = path;
  TOME_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
  TOME_ASSIGN_OR_RETURN(weights.tensors, ParseSafetensors(file->view(), path));
  weights.files.push_back(std::move(file));
  return weights;
}

absl::StatusOr<HuggingFaceWeights> ReadIndexedFiles(const std::filesystem::path& folder,
                                                    const std::string& index_path) {
  TOME_ASSIGN_OR_RETURN(const auto index_file, MappedFile::Open(index_path));
  TOME_ASSIGN_OR_RETURN(auto file_of_tensor, ParseSafetensorsIndex(index_file->view(), index_path));
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : file_of_tensor) shards.insert(shard);
  HuggingFaceWeights weights;
  weights.source = index_path;
  for (const std::string& shard : shards) {
    const std::string path = (folder / shard).string();
    TOME_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
    TOME_ASSIGN_OR_RETURN(TensorMap tensors, ParseSafetensors(file->view(), path));
    for (auto& [name, tensor] : tensors) {
      if (IsRotaryTable(name)) continue;
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
  std::erase_if(file_of_tensor, [](const auto& item) { return IsRotaryTable(item.first); });
  if (!file_of_tensor.empty()) {
    const auto& [tensor, shard] = *file_of_tensor.begin();
    return InvalidArgument("{}: tensor {}: expected it in {}, found no such tensor there", index_path, Quote(tensor),
                           Quote(shard));
  }
  return weights;
}

// All of "model-00001-of-0000N.safetensors"; empty when one is missing or there are none.
std::vector<std::string> UnindexedFiles(const std::filesystem::path& folder) {
  std::vector<std::string> files;
  for (const std::string& name : FileNames(folder)) {
    if (name.starts_with("model-") && name.ends_with(".safetensors") && name.find("-of-") != std::string::npos) {
      files.push_back(name);
    }
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (files[i] != fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, files.size())) return {};
  }
  return files;
}

absl::StatusOr<HuggingFaceWeights> ReadUnindexedFiles(const std::filesystem::path& folder,
                                                      const std::vector<std::string>& names) {
  HuggingFaceWeights weights;
  weights.source = folder.string();
  for (const std::string& name : names) {
    const std::string path = (folder / name).string();
    TOME_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
    TOME_ASSIGN_OR_RETURN(TensorMap tensors, ParseSafetensors(file->view(), path));
    for (auto& [tensor_name, tensor] : tensors) {
      if (weights.tensors.emplace(tensor_name, std::move(tensor)).second) continue;
      return InvalidArgument("{}: tensor {}: expected each in one file, found it in another as well", path,
                             Quote(tensor_name));
    }
    weights.files.push_back(std::move(file));
  }
  weights.warnings.push_back(fmt::format(
      "{}: expected model.safetensors.index.json, found none: all {} files are taken", folder.string(), names.size()));
  return weights;
}

}  // namespace

absl::StatusOr<HuggingFaceWeights> ReadHuggingFaceWeights(const std::filesystem::path& folder) {
  const std::filesystem::path single = folder / "model.safetensors", index = folder / "model.safetensors.index.json";
  if (Exists(single)) return ReadSingleFile(single.string());  // transformers' order
  if (Exists(index)) return ReadIndexedFiles(folder, index.string());
  if (const std::vector<std::string> files = UnindexedFiles(folder); !files.empty()) {
    return ReadUnindexedFiles(folder, files);
  }
  return NotFound("{}: expected model.safetensors or model.safetensors.index.json, found {}", folder.string(),
                  DescribeForeignWeights(folder));
}

bool IsRotaryTable(std::string_view name) { return name.ends_with(".rotary_emb.inv_freq"); }

}  // namespace tome
