// A Hugging Face folder as a checkpoint.
#ifndef TOME_ENGINE_CHECKPOINT_HUGGINGFACE_HUGGINGFACE_CHECKPOINT_H_
#define TOME_ENGINE_CHECKPOINT_HUGGINGFACE_HUGGINGFACE_CHECKPOINT_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/checkpoint_contents.h"
#include "engine/checkpoint/huggingface/huggingface_config.h"
#include "engine/files/mapped_file.h"

namespace tome {

struct HuggingFaceCheckpoint {
  CheckpointContents contents;
  std::vector<std::shared_ptr<const MappedFile>> files;  // that the tensors point into
};

// Reads config.json, the safetensors files and the tokenizer of a folder. NOT_FOUND, PERMISSION_DENIED and
// INVALID_ARGUMENT name the file.
absl::StatusOr<HuggingFaceCheckpoint> ReadHuggingFace(const std::string& folder);

// The tokenizer's files. A text that is absent is a file that is absent.
struct TokenizerFiles {
  std::string folder;  // for messages
  std::optional<std::string_view> tokenizer_model, tokenizer_json, tokenizer_config, special_tokens_map, added_tokens,
      chat_template;
};
// tokenizer.json wins over tokenizer.model, as in transformers; without either the kind is kNone. Tokens that the other
// files add to either are added.
absl::StatusOr<TokenizerData> ReadHuggingFaceTokenizer(const TokenizerFiles& files, const HuggingFaceConfig& config);

// The tensors of a model from those of its files: drops what Hugging Face ignores as well (the rotary tables of old
// checkpoints, an output layer that is the embedding again), and checks that the rest is complete. An output layer that
// differs from the embedding that it should be is taken, as transformers does, and tied_output of `config` is false
// then. What is unusual is added to `warnings`.
absl::StatusOr<TensorMap> SelectHuggingFaceTensors(TensorMap file_tensors, const std::string& source,
                                                   LlamaConfig* config, std::vector<std::string>* warnings);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_HUGGINGFACE_HUGGINGFACE_CHECKPOINT_H_
