#include "engine/checkpoint/huggingface/foreign_folder.h"

#include <algorithm>
#include <string_view>
#include <system_error>

#include "engine/base/quote.h"
#include "fmt/format.h"

namespace tome {
namespace {

bool Exists(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace

std::vector<std::string> FileNames(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator file(folder, error), end; !error && file != end; file.increment(error)) {
    names.push_back(file->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string DescribeForeignFolder(const std::filesystem::path& folder) {
  if (Exists(folder / "adapter_config.json")) {
    return "; the folder has an adapter: merge it into its base model first (peft: merge_and_unload)";
  }
  if (Exists(folder / "params.json")) {
    return "; the folder has params.json, the format of the model's makers: convert it with transformers' conversion "
           "script";
  }
  for (const std::string& name : FileNames(folder)) {
    if (name.ends_with(".gguf"))
      return fmt::format("; give the path of the file {} instead of the folder's", Quote(name));
  }
  return "";
}

std::string DescribeForeignWeights(const std::filesystem::path& folder) {
  const std::vector<std::string> names = FileNames(folder);
  const auto has = [&](std::string_view begin, std::string_view end) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return name.starts_with(begin) && name.ends_with(end); });
  };
  if (has("pytorch_model", ".bin") || has("pytorch_model", ".bin.index.json")) {
    return "only PyTorch pickles: convert them to safetensors (transformers: from_pretrained, then save_pretrained "
           "with safe_serialization=True)";
  }
  if (has("consolidated", ".safetensors") || has("consolidated", ".pth")) {
    return "only weights in the format of the model's makers (consolidated.*): convert them with transformers' "
           "conversion script";
  }
  if (has("adapter_model", "")) return "only an adapter: merge it into its base model first (peft: merge_and_unload)";
  if (has("model-", ".safetensors")) {
    return "neither, and not all files of model-00001-of-0000N.safetensors: fetch the missing ones";
  }
  if (has("", ".gguf")) return "a .gguf file: give its path instead of the folder's";
  return "neither";
}

std::string DescribeForeignTokenizer(const std::filesystem::path& model) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(model, ignored)) return "";
  if (Exists(model / "vocab.json")) {
    return ": expected tokenizer.json or tokenizer.model, found only vocab.json: make tokenizer.json of it "
           "(transformers: AutoTokenizer.from_pretrained, then save_pretrained)";
  }
  if (Exists(model / "tekken.json")) {
    return ": expected tokenizer.json or tokenizer.model, found only tekken.json: take tokenizer.json from the "
           "model's page";
  }
  return ": expected tokenizer.json or tokenizer.model, found neither";
}

}  // namespace tome
