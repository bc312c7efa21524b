#include "engine/adapter/peft_adapter.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "engine/adapter/peft_config.h"
#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/contents/tensor_set.h"
#include "engine/checkpoint/huggingface/safetensors.h"
#include "engine/files/mapped_file.h"

namespace tome {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kA = ".lora_A.weight", kB = ".lora_B.weight";

std::vector<float> Floats(const CheckpointTensor& tensor) {
  std::int64_t count = 1;
  for (const std::int64_t size : tensor.shape) count *= size;
  std::vector<float> values(static_cast<std::size_t>(count));
  DequantizeRow(tensor.type, tensor.data, absl::MakeSpan(values));
  return values;
}

// Fills AdapterContents from a file's tensors, one after another.
class PeftReader {
 public:
  PeftReader(const PeftConfig& peft, const LlamaConfig& config, const std::string& source)
      : peft_(peft), config_(config), source_(source) {
    contents_.layers.resize(static_cast<std::size_t>(config.num_layers));
    contents_.tied_output = peft.tied_output;
  }

  absl::Status Add(std::string_view name, const CheckpointTensor& tensor) {
    const std::string place = fmt::format("{}: tensor {}", source_, Quote(name));
    if (!name.starts_with(kPrefix)) {
      return InvalidArgument("{}: expected a name that begins with 'base_model.model.'", place);
    }
    const std::string_view inner = name.substr(kPrefix.size());
    for (const std::string_view ending : {kA, kB}) {
      if (inner.ends_with(ending)) {
        return AddHalf(std::string(inner.substr(0, inner.size() - ending.size())), ending == kA, tensor, place);
      }
    }
    return AddTrained(inner, tensor, place);
  }

  absl::StatusOr<AdapterContents> Take() && {
    for (std::int64_t layer = 0; layer < config_.num_layers; ++layer) {
      for (const AdaptedMatrix matrix : kAdaptedMatrices) {
        const LowRankPair& pair = contents_.Pair(layer, matrix);
        if (pair.a.empty() == pair.b.empty()) continue;
        return InvalidArgument("{}: tensor '{}{}{}' is missing", source_, kPrefix, ModuleName(layer, matrix),
                               pair.a.empty() ? kA : kB);
      }
    }
    return std::move(contents_);
  }

 private:
  absl::Status AddHalf(const std::string& module, bool is_a, const CheckpointTensor& tensor, const std::string& place) {
    const auto parsed = ParseModuleName(module);
    if (!parsed || parsed->layer >= config_.num_layers) {
      return InvalidArgument(
          "{}: expected a pair of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj or down_proj "
          "of one of the model's {} layers, found another",
          place, config_.num_layers);
    }
    TOME_ASSIGN_OR_RETURN(const std::int64_t rank, peft_.RankOf(module, source_));
    const MatrixShape matrix = ShapeOf(parsed->matrix, config_);
    const std::vector<std::int64_t> expected =
        is_a ? std::vector{rank, matrix.columns} : std::vector{matrix.rows, rank};
    if (tensor.shape != expected) {
      return InvalidArgument("{}: expected shape {}, found {}", place, ShapeText(expected), ShapeText(tensor.shape));
    }
    LowRankPair& pair = contents_.Pair(parsed->layer, parsed->matrix);
    pair.rank = rank;
    TOME_ASSIGN_OR_RETURN(pair.scale, peft_.ScaleOf(module, rank, source_));
    (is_a ? pair.a : pair.b) = Floats(tensor);
    return absl::OkStatus();
  }

  absl::Status AddTrained(std::string_view name, const CheckpointTensor& tensor, const std::string& place) {
    const auto shape = TrainableTensorShape(name, config_);
    if (!shape) {
      return InvalidArgument(
          "{}: expected low-rank pairs (lora_A, lora_B) of a layer's matrices, or a trained "
          "embedding, output or norm, found another tensor",
          place);
    }
    if (tensor.shape != *shape) {
      return InvalidArgument("{}: expected shape {}, found {}", place, ShapeText(*shape), ShapeText(tensor.shape));
    }
    contents_.trained.emplace(std::string(name), Floats(tensor));
    return absl::OkStatus();
  }

  const PeftConfig& peft_;
  const LlamaConfig& config_;
  const std::string& source_;
  AdapterContents contents_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Adapter>> ParsePeftAdapter(std::string_view config_json,
                                                                std::string_view safetensors, const LlamaConfig& config,
                                                                const std::string& source) {
  TOME_ASSIGN_OR_RETURN(const PeftConfig peft, ParsePeftConfig(config_json, source + "/adapter_config.json"));
  const std::string weights = source + "/adapter_model.safetensors";
  TOME_ASSIGN_OR_RETURN(const TensorMap tensors, ParseSafetensors(safetensors, weights));
  PeftReader reader(peft, config, weights);
  for (const auto& [name, tensor] : tensors) TOME_RETURN_IF_ERROR(reader.Add(name, tensor));
  TOME_ASSIGN_OR_RETURN(AdapterContents contents, std::move(reader).Take());
  return Adapter::Make(config, std::move(contents), weights, peft.warnings);
}

absl::StatusOr<std::shared_ptr<const Adapter>> ReadPeftAdapter(const std::string& folder, const LlamaConfig& config) {
  const std::filesystem::path path(folder);
  TOME_ASSIGN_OR_RETURN(const auto config_json, MappedFile::Open((path / "adapter_config.json").string()));
  const std::filesystem::path weights = path / "adapter_model.safetensors";
  std::error_code ignored;  // what cannot be examined is reported when it is opened
  if (!std::filesystem::exists(weights, ignored) && std::filesystem::exists(path / "adapter_model.bin", ignored)) {
    return NotFound("{}: expected adapter_model.safetensors, found adapter_model.bin: save the adapter as safetensors",
                    folder);
  }
  TOME_ASSIGN_OR_RETURN(const auto safetensors, MappedFile::Open(weights.string()));
  return ParsePeftAdapter(config_json->view(), safetensors->view(), config, folder);
}

}  // namespace tome
