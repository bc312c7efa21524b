// A model's files as one thing: config, named tensors, tokenizer. Three formats are read:
//   - GGUF (a .gguf file, version 2 or 3, little-endian, architecture "llama");
//   - a Hugging Face LLaMA folder (config.json, *.safetensors, tokenizer.model or tokenizer.json);
//   - llama2.c (a .bin file, the vocabulary beside it: tokenizer.bin or an explicit path).
//
// Files are memory-mapped; tensor data points into the mapping. Every size, offset and shape is checked before use,
// and a checkpoint that opened has exactly the tensors that its config calls for, each of the right shape. Errors are
// INVALID_ARGUMENT (a broken or unsupported file), NOT_FOUND (no such file) and PERMISSION_DENIED; each names the
// file, the field, what was expected and what was found.
#ifndef TOME_ENGINE_CHECKPOINT_CHECKPOINT_H_
#define TOME_ENGINE_CHECKPOINT_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/checkpoint/contents/checkpoint_tensor.h"
#include "engine/checkpoint/contents/llama_config.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// Immutable and thread-safe.
class Checkpoint {
 public:
  struct Options {
    std::string path;            // a .gguf file, a folder, or a llama2.c .bin file
    std::string tokenizer_path;  // llama2.c only: its vocabulary; default: tokenizer.bin beside the model
  };

  static absl::StatusOr<std::shared_ptr<const Checkpoint>> Open(const Options& options);

  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;
  ~Checkpoint();

  const LlamaConfig& config() const { return config_; }
  const TokenizerData& tokenizer() const { return tokenizer_; }
  // What was unusual about the files, and how it was taken; each names its file.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Hugging Face's names: "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", ...,
  // "model.norm.weight", "lm_head.weight" (absent when tied). Rows of q_proj and k_proj are in the order that
  // config().rope_interleaved says. Null when there is no such tensor.
  const CheckpointTensor* Find(std::string_view name) const;
  const std::map<std::string, CheckpointTensor, std::less<>>& tensors() const { return tensors_; }

  const std::string& path() const { return path_; }
  std::string_view format() const { return format_; }  // "gguf", "huggingface", "llama2c"

  // SHA-256 over config and tensor data in a canonical order, lower-case hex. Reads every byte: about 0.1 s for 100 MB.
  std::string ComputeDigest() const;

 private:
  friend class CheckpointBuilder;
  Checkpoint();

  std::string path_;
  std::string_view format_;
  LlamaConfig config_;
  TokenizerData tokenizer_;
  std::vector<std::string> warnings_;
  std::map<std::string, CheckpointTensor, std::less<>> tensors_;
  std::vector<std::shared_ptr<const void>> mappings_;  // keep the files mapped
};

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CHECKPOINT_H_
