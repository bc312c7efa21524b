#include "engine/adapter/merged_model.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/base/status.h"
#include "engine/checkpoint/contents/rotary_rows.h"
#include "engine/checkpoint/contents/tensor_set.h"
#include "engine/checkpoint/huggingface/safetensors_writer.h"
#include "engine/files/file_replacement.h"
#include "engine/files/mapped_file.h"
#include "nlohmann/json.hpp"

namespace tome {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kTokenizerFiles[] = {"tokenizer.json",          "tokenizer.model",   "tokenizer_config.json",
                                           "special_tokens_map.json", "added_tokens.json", "generation_config.json",
                                           "chat_template.jinja"};

constexpr std::string_view kEmbedding = "model.embed_tokens.weight", kOutput = "lm_head.weight";

class Merging {
 public:
  Merging(const Checkpoint& checkpoint, const Adapter& adapter)
      : checkpoint_(checkpoint), config_(checkpoint.config()), contents_(adapter.contents()) {}

  // Whether the merged model's output is its embedding.
  bool tied() const {
    if (!config_.tied_output || contents_.trained.contains(kOutput)) return false;
    return contents_.tied_output || !contents_.trained.contains(kEmbedding);
  }

  std::vector<TensorToWrite> Tensors() const {
    LlamaConfig merged = config_;
    merged.tied_output = tied();
    std::vector<TensorToWrite> tensors;
    for (const ExpectedTensor& expected : ExpectedTensors(merged)) {
      tensors.push_back({expected.name, expected.shape, [this, name = expected.name] { return Values(name); }});
    }
    return tensors;
  }

 private:
  std::vector<float> Values(const std::string& name) const {
    if (const auto found = contents_.trained.find(name); found != contents_.trained.end()) return found->second;
    // An output that was the embedding and no longer is.
    const CheckpointTensor* tensor = checkpoint_.Find(name);
    if (tensor == nullptr) tensor = checkpoint_.Find(kEmbedding);
    const auto module = ParseModuleName(std::string_view(name).substr(0, name.rfind('.')));
    std::vector<float> values = Rows(*tensor, module ? OrderOf(module->matrix) : std::vector<std::int64_t>());
    if (module) AddPair(contents_.Pair(module->layer, module->matrix), tensor->shape[1], &values);
    return values;
  }

  std::vector<std::int64_t> OrderOf(AdaptedMatrix matrix) const {
    if (!config_.rope_interleaved) return {};
    if (matrix == AdaptedMatrix::kQuery) return HalvesOrder(config_.num_heads, config_.head_dim);
    if (matrix == AdaptedMatrix::kKey) return HalvesOrder(config_.num_kv_heads, config_.head_dim);
    return {};
  }

  static std::vector<float> Rows(const CheckpointTensor& tensor, const std::vector<std::int64_t>& order) {
    const std::int64_t rows = tensor.shape.size() == 1 ? 1 : tensor.shape[0];
    const auto columns = static_cast<std::size_t>(tensor.shape.back());
    const std::size_t row_bytes = tensor.data.size() / static_cast<std::size_t>(rows);
    std::vector<float> values(static_cast<std::size_t>(rows) * columns);
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
      const std::size_t source = order.empty() ? row : static_cast<std::size_t>(order[row]);
      DequantizeRow(tensor.type, tensor.data.subspan(source * row_bytes, row_bytes),
                    absl::MakeSpan(values).subspan(row * columns, columns));
    }
    return values;
  }

  static void AddPair(const LowRankPair& pair, std::int64_t columns, std::vector<float>* values) {
    if (pair.rank == 0) return;
    const auto rank = static_cast<std::size_t>(pair.rank), width = static_cast<std::size_t>(columns);
    std::vector<double> sums(width);
    for (std::size_t row = 0; row < values->size() / width; ++row) {
      sums.assign(width, 0);
      for (std::size_t j = 0; j < rank; ++j) {
        const double weight = pair.scale * static_cast<double>(pair.b[row * rank + j]);
        const float* a = pair.a.data() + j * width;
        for (std::size_t i = 0; i < width; ++i) sums[i] += weight * static_cast<double>(a[i]);
      }
      float* target = values->data() + row * width;
      for (std::size_t i = 0; i < width; ++i) target[i] = static_cast<float>(static_cast<double>(target[i]) + sums[i]);
    }
  }

  const Checkpoint& checkpoint_;
  const LlamaConfig& config_;
  const AdapterContents& contents_;
};

Json RopeScalingJson(const LlamaConfig& config) {
  const RopeScaling& scaling = config.rope_scaling;
  Json json = {{"factor", scaling.factor}};
  if (scaling.original_context_length > 0) json["original_max_position_embeddings"] = scaling.original_context_length;
  switch (scaling.kind) {
    case RopeScaling::Kind::kLinear:
      json["rope_type"] = "linear";
      return json;
    case RopeScaling::Kind::kDynamicNtk:
      json["rope_type"] = "dynamic";
      return json;
    case RopeScaling::Kind::kYarn:
      json.update({{"rope_type", "yarn"}, {"beta_fast", scaling.beta_fast}, {"beta_slow", scaling.beta_slow}});
      if (scaling.attention_factor > 0) json["attention_factor"] = scaling.attention_factor;
      return json;
    case RopeScaling::Kind::kLlama3:
      json.update({{"rope_type", "llama3"},
                   {"low_freq_factor", scaling.low_freq_factor},
                   {"high_freq_factor", scaling.high_freq_factor}});
      return json;
    default:
      return nullptr;
  }
}

Json ConfigOf(const LlamaConfig& config) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_act", "silu"},
          {"vocab_size", config.vocab_size},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.ffn_size},
          {"num_hidden_layers", config.num_layers},
          {"num_attention_heads", config.num_heads},
          {"num_key_value_heads", config.num_kv_heads},
          {"head_dim", config.head_dim},
          {"max_position_embeddings", config.context_length},
          {"rms_norm_eps", config.rms_norm_epsilon},
          {"rope_theta", config.rope_theta},
          {"rope_scaling", RopeScalingJson(config)},
          {"attention_bias", false},
          {"mlp_bias", false}};
}

absl::StatusOr<Json> BaseConfig(const Checkpoint& checkpoint) {
  if (checkpoint.format() != "huggingface") return ConfigOf(checkpoint.config());
  const std::string path = (std::filesystem::path(checkpoint.path()) / "config.json").string();
  TOME_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path));
  Json config = Json::parse(file->view(), nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return InvalidArgument("{}: expected a JSON object", path);
  return config;
}

absl::Status CopyTokenizer(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const char* name : kTokenizerFiles) {
    std::error_code ignored;  // what cannot be examined is reported when it is opened
    if (!std::filesystem::exists(from / name, ignored)) continue;
    TOME_ASSIGN_OR_RETURN(const auto file, MappedFile::Open((from / name).string()));
    TOME_RETURN_IF_ERROR(ReplaceFile((to / name).string(), file->view()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> WriteMergedModel(const Checkpoint& checkpoint, const Adapter& adapter,
                                                          const std::string& folder, TensorType type) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Internal("{}: cannot make the folder: {}", folder, error.message());
  if (std::filesystem::equivalent(folder, checkpoint.path(), error)) {
    return InvalidArgument("{}: expected another folder than the model's own", folder);
  }
  const std::filesystem::path target(folder);
  const Merging merging(checkpoint, adapter);
  TOME_ASSIGN_OR_RETURN(Json config, BaseConfig(checkpoint));
  config["tie_word_embeddings"] = merging.tied();
  config.erase("torch_dtype");
  config["dtype"] = type == TensorType::kF32 ? "float32" : "bfloat16";
  TOME_RETURN_IF_ERROR(WriteSafetensors((target / "model.safetensors").string(), merging.Tensors(), type));
  const std::string text = config.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  TOME_RETURN_IF_ERROR(ReplaceFile((target / "config.json").string(), text));
  if (checkpoint.format() != "huggingface") {
    return std::vector<std::string>{
        fmt::format("{}: {} has no tokenizer in Hugging Face's format: put the model's tokenizer.json into the folder",
                    folder, checkpoint.path())};
  }
  TOME_RETURN_IF_ERROR(CopyTokenizer(checkpoint.path(), target));
  return std::vector<std::string>();
}

}  // namespace tome
