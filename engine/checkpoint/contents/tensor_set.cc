#include "engine/checkpoint/contents/tensor_set.h"

#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "fmt/ranges.h"

namespace tome {

std::string ShapeText(const std::vector<std::int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::vector<ExpectedTensor> ExpectedTensors(const LlamaConfig& config) {
  const std::int64_t hidden = config.hidden_size, ffn = config.ffn_size;
  const std::int64_t q_rows = config.num_heads * config.head_dim, kv_rows = config.num_kv_heads * config.head_dim;
  std::vector<ExpectedTensor> expected;
  expected.push_back({"model.embed_tokens.weight", {config.vocab_size, hidden}});
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    expected.push_back({prefix + "input_layernorm.weight", {hidden}});
    expected.push_back({prefix + "self_attn.q_proj.weight", {q_rows, hidden}});
    expected.push_back({prefix + "self_attn.k_proj.weight", {kv_rows, hidden}});
    expected.push_back({prefix + "self_attn.v_proj.weight", {kv_rows, hidden}});
    expected.push_back({prefix + "self_attn.o_proj.weight", {hidden, q_rows}});
    expected.push_back({prefix + "post_attention_layernorm.weight", {hidden}});
    expected.push_back({prefix + "mlp.gate_proj.weight", {ffn, hidden}});
    expected.push_back({prefix + "mlp.up_proj.weight", {ffn, hidden}});
    expected.push_back({prefix + "mlp.down_proj.weight", {hidden, ffn}});
  }
  expected.push_back({"model.norm.weight", {hidden}});
  if (!config.tied_output) expected.push_back({"lm_head.weight", {config.vocab_size, hidden}});
  return expected;
}

absl::StatusOr<std::uint64_t> TensorBytes(TensorType type, const std::vector<std::int64_t>& shape,
                                          const std::string& place) {
  std::int64_t values = 1;
  for (const std::int64_t dimension : shape) {
    if (dimension < 1) return InvalidArgument("{}: expected positive dimensions, found {}", place, ShapeText(shape));
    if (__builtin_mul_overflow(values, dimension, &values)) {
      return InvalidArgument("{}: expected fewer than 2^63 values, found the shape {}", place, ShapeText(shape));
    }
  }
  const BlockLayout layout = GetBlockLayout(type);
  const std::int64_t row = shape.empty() ? 1 : shape.back();
  if (row % layout.values != 0) {
    return InvalidArgument("{}: expected rows of a multiple of {} values for type {}, found {}", place, layout.values,
                           TensorTypeName(type), row);
  }
  std::int64_t bytes;
  if (__builtin_mul_overflow(values / layout.values, layout.bytes, &bytes)) {
    return InvalidArgument("{}: expected fewer than 2^63 bytes, found the shape {}", place, ShapeText(shape));
  }
  return static_cast<std::uint64_t>(bytes);
}

absl::StatusOr<TensorMap> SelectTensors(const LlamaConfig& config, TensorMap file_tensors,
                                        const std::function<std::string(const std::string&)>& file_name,
                                        const std::string& source) {
  TensorMap selected;
  for (const ExpectedTensor& expected : ExpectedTensors(config)) {
    const std::string name = file_name(expected.name);
    const auto found = file_tensors.find(name);
    if (found == file_tensors.end()) {
      return InvalidArgument("{}: tensor {} of shape {} is missing", source, Quote(name), ShapeText(expected.shape));
    }
    if (found->second.shape != expected.shape) {
      return InvalidArgument("{}: tensor {}: expected shape {}, found {}", source, Quote(name),
                             ShapeText(expected.shape), ShapeText(found->second.shape));
    }
    selected.emplace(expected.name, std::move(found->second));
    file_tensors.erase(found);
  }
  if (!file_tensors.empty()) {
    const auto& [name, tensor] = *file_tensors.begin();
    return InvalidArgument(
        "{}: expected no tensor beyond the {} of a LLaMA model with {} layers, found {} of shape {}{}", source,
        selected.size(), config.num_layers, Quote(name), ShapeText(tensor.shape),
        file_tensors.size() > 1 ? fmt::format(" and {} more", file_tensors.size() - 1) : "");
  }
  return selected;
}

}  // namespace tome
