// What a folder that is not as expected holds instead, and what to do about it: the ends of messages.
#ifndef TOME_ENGINE_CHECKPOINT_HUGGINGFACE_FOREIGN_FOLDER_H_
#define TOME_ENGINE_CHECKPOINT_HUGGINGFACE_FOREIGN_FOLDER_H_

#include <filesystem>
#include <string>
#include <vector>

namespace tome {

// The names of all files in a folder, sorted; none when it cannot be read.
std::vector<std::string> FileNames(const std::filesystem::path& folder);

// Of a folder without config.json: "; ..." or "" when nobody can tell.
std::string DescribeForeignFolder(const std::filesystem::path& folder);

// Of a folder without safetensors: "neither" when nobody can tell.
std::string DescribeForeignWeights(const std::filesystem::path& folder);

// Of a model without a tokenizer, which may be a file: ": ..." or "".
std::string DescribeForeignTokenizer(const std::filesystem::path& model);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_HUGGINGFACE_FOREIGN_FOLDER_H_
