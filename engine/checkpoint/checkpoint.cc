#include "engine/checkpoint/checkpoint.h"

#include <bit>
#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/base/digest.h"
#include "engine/base/status.h"
#include "engine/checkpoint/contents/checkpoint_contents.h"
#include "engine/checkpoint/gguf/gguf_checkpoint.h"
#include "engine/checkpoint/huggingface/huggingface_checkpoint.h"
#include "engine/checkpoint/llama2c_checkpoint.h"
#include "engine/files/byte_writer.h"
#include "engine/files/mapped_file.h"

namespace tome {

// The only maker of checkpoints.
class CheckpointBuilder {
 public:
  static std::shared_ptr<const Checkpoint> Build(std::string path, std::string_view format, CheckpointContents contents,
                                                 std::vector<std::shared_ptr<const MappedFile>> files) {
    std::shared_ptr<Checkpoint> checkpoint(new Checkpoint);
    checkpoint->path_ = std::move(path);
    checkpoint->format_ = format;
    checkpoint->config_ = std::move(contents.config);
    checkpoint->tokenizer_ = std::move(contents.tokenizer);
    checkpoint->warnings_ = std::move(contents.warnings);
    checkpoint->warnings_.insert(checkpoint->warnings_.end(), checkpoint->tokenizer_.warnings.begin(),
                                 checkpoint->tokenizer_.warnings.end());
    checkpoint->tensors_ = std::move(contents.tensors);
    checkpoint->mappings_.assign(files.begin(), files.end());
    return checkpoint;
  }
};

namespace {

absl::StatusOr<std::shared_ptr<const Checkpoint>> OpenHuggingFace(const std::string& path) {
  TOME_ASSIGN_OR_RETURN(HuggingFaceCheckpoint checkpoint, ReadHuggingFace(path));
  return CheckpointBuilder::Build(path, "huggingface", std::move(checkpoint.contents), std::move(checkpoint.files));
}

absl::StatusOr<std::shared_ptr<const Checkpoint>> OpenGguf(const std::string& path,
                                                           std::shared_ptr<const MappedFile> file) {
  TOME_ASSIGN_OR_RETURN(CheckpointContents contents, ReadGguf(file->view(), path));
  return CheckpointBuilder::Build(path, "gguf", std::move(contents), {std::move(file)});
}

absl::StatusOr<std::shared_ptr<const Checkpoint>> OpenLlama2c(const Checkpoint::Options& options,
                                                              std::shared_ptr<const MappedFile> file) {
  TOME_ASSIGN_OR_RETURN(CheckpointContents contents, ReadLlama2c(file->view(), options.path));
  std::string tokenizer_path = options.tokenizer_path;
  if (tokenizer_path.empty()) {
    tokenizer_path = (std::filesystem::path(options.path).parent_path() / "tokenizer.bin").string();
  }
  absl::StatusOr<std::shared_ptr<const MappedFile>> tokenizer = MappedFile::Open(tokenizer_path);
  if (!tokenizer.ok()) return Annotate(tokenizer.status(), "the vocabulary of " + options.path);
  TOME_ASSIGN_OR_RETURN(contents.tokenizer,
                        ReadLlama2cTokenizer((*tokenizer)->view(), tokenizer_path, contents.config.vocab_size));
  return CheckpointBuilder::Build(options.path, "llama2c", std::move(contents), {std::move(file)});
}

// A canonical form of everything in the config that changes what the model computes.
std::string ConfigBytes(const LlamaConfig& config) {
  ByteWriter writer;
  for (const std::int64_t value :
       {config.vocab_size, config.hidden_size, config.num_layers, config.num_heads, config.num_kv_heads,
        config.head_dim, config.ffn_size, config.context_length, static_cast<std::int64_t>(config.rope_scaling.kind),
        config.rope_scaling.original_context_length, std::int64_t{config.tied_output},
        std::int64_t{config.rope_interleaved}}) {
    writer.Write<std::int64_t>(value);
  }
  const RopeScaling& scaling = config.rope_scaling;
  for (const double value :
       {config.rms_norm_epsilon, config.rope_theta, scaling.factor, scaling.low_freq_factor, scaling.high_freq_factor,
        scaling.beta_fast, scaling.beta_slow, scaling.attention_factor}) {
    writer.Write<double>(value);
  }
  return std::move(writer).Take();
}

}  // namespace

Checkpoint::Checkpoint() = default;
Checkpoint::~Checkpoint() = default;

absl::StatusOr<std::shared_ptr<const Checkpoint>> Checkpoint::Open(const Options& options) {
  if (options.path.empty()) return InvalidArgument("model path: expected a file or a folder, found an empty path");
  std::error_code ignored;  // what cannot be examined is reported when it is opened
  if (std::filesystem::is_directory(options.path, ignored)) return OpenHuggingFace(options.path);
  TOME_ASSIGN_OR_RETURN(auto file, MappedFile::Open(options.path));
  const std::string extension = std::filesystem::path(options.path).extension().string();
  if (extension == ".gguf" || file->view().substr(0, 4) == "GGUF") return OpenGguf(options.path, std::move(file));
  if (extension == ".bin") return OpenLlama2c(options, std::move(file));
  return InvalidArgument(
      "{}: expected a .gguf file, a llama2.c .bin file or a folder with config.json and safetensors, found another "
      "file",
      options.path);
}

const CheckpointTensor* Checkpoint::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::string Checkpoint::ComputeDigest() const {
  Sha256 sha;
  sha.Update(ConfigBytes(config_));
  for (const auto& [name, tensor] : tensors_) {
    ByteWriter header;
    header.WriteString(name);
    header.WriteString(TensorTypeName(tensor.type));
    header.Write<std::uint64_t>(tensor.shape.size());
    for (const std::int64_t dimension : tensor.shape) header.Write<std::int64_t>(dimension);
    sha.Update(header.bytes());
    sha.Update(tensor.data);
  }
  return sha.FinishHex();
}

}  // namespace tome
