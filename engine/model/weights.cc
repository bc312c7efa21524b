#include "engine/model/weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <string>

#include "engine/base/status.h"
#include "engine/checkpoint/contents/rotary_rows.h"

namespace tome {
namespace {

using Part = PackedMatrix::Part;

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, at::ScalarType type, at::Device device)
      : checkpoint_(checkpoint), type_(type), device_(device) {}

  Part Named(const std::string& name, std::vector<std::int64_t> row_order = {}) const {
    return {checkpoint_.Find(name), std::move(row_order)};
  }

  at::Tensor Vector(const std::string& name) const {
    const CheckpointTensor& tensor = *checkpoint_.Find(name);
    at::Tensor values = at::empty({tensor.shape[0]}, at::kFloat);
    DequantizeRow(tensor.type, tensor.data,
                  {values.mutable_data_ptr<float>(), static_cast<std::size_t>(values.numel())});
    return values.to(device_);
  }

  // The parts stacked along the output, converted row by row.
  at::Tensor Matrix(const std::vector<Part>& parts) const {
    const std::int64_t columns = parts[0].tensor->shape[1];
    std::int64_t rows = 0;
    for (const Part& part : parts) rows += part.tensor->shape[0];
    at::Tensor matrix = at::empty({rows, columns}, type_);
    std::int64_t first = 0;
    for (const Part& part : parts) {
      FillRows(part, matrix.narrow(0, first, part.tensor->shape[0]));
      first += part.tensor->shape[0];
    }
    return matrix.to(device_);
  }

  // With a packed form for decoding on the CPU.
  Linear Layer(const std::vector<Part>& parts) const { return WithPacked(parts, Matrix(parts)); }

  // Embedding or output: a packed matrix needs no dense twin.
  Linear Vocabulary(const std::string& name) const {
    const std::vector<Part> parts = {Named(name)};
    const bool only_packed = device_.is_cpu() && PackedMatrix::CanPack(parts);
    return WithPacked(parts, only_packed ? at::Tensor() : Matrix(parts));
  }

 private:
  Linear WithPacked(const std::vector<Part>& parts, const at::Tensor& dense) const {
    std::vector<std::int64_t> part_rows;
    for (const Part& part : parts) part_rows.push_back(part.tensor->shape[0]);
    return {dense, device_.is_cpu() ? PackedMatrix::Make(parts, dense) : PackedMatrix(), std::move(part_rows)};
  }

  void FillRows(const Part& part, const at::Tensor& target) const {
    const CheckpointTensor& tensor = *part.tensor;
    const std::int64_t rows = tensor.shape[0], columns = tensor.shape[1];
    const std::size_t row_bytes = tensor.data.size() / static_cast<std::size_t>(rows);
    at::parallel_for(0, rows, 16, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> values(static_cast<std::size_t>(columns));
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t source = part.row_order.empty() ? row : part.row_order[row];
        DequantizeRow(tensor.type, tensor.data.subspan(static_cast<std::size_t>(source) * row_bytes, row_bytes),
                      absl::MakeSpan(values));
        if (type_ == at::kFloat) {
          std::copy(values.begin(), values.end(), target.mutable_data_ptr<float>() + row * columns);
        } else {
          at::BFloat16* to = target.mutable_data_ptr<at::BFloat16>() + row * columns;
          for (std::int64_t i = 0; i < columns; ++i) to[i] = values[i];
        }
      }
    });
  }

  const Checkpoint& checkpoint_;
  at::ScalarType type_;
  at::Device device_;
};

LayerWeights LoadLayer(const Loader& loader, const LlamaConfig& config, std::int64_t index) {
  const std::string prefix = fmt::format("model.layers.{}.", index);
  std::vector<std::int64_t> query_order, key_order;
  if (config.rope_interleaved) {
    query_order = HalvesOrder(config.num_heads, config.head_dim);
    key_order = HalvesOrder(config.num_kv_heads, config.head_dim);
  }
  const std::vector<Part> qkv = {loader.Named(prefix + "self_attn.q_proj.weight", query_order),
                                 loader.Named(prefix + "self_attn.k_proj.weight", key_order),
                                 loader.Named(prefix + "self_attn.v_proj.weight")};
  const std::vector<Part> out = {loader.Named(prefix + "self_attn.o_proj.weight")};
  const std::vector<Part> gate_up = {loader.Named(prefix + "mlp.gate_proj.weight"),
                                     loader.Named(prefix + "mlp.up_proj.weight")};
  const std::vector<Part> down = {loader.Named(prefix + "mlp.down_proj.weight")};

  LayerWeights layer;
  layer.attention_norm = loader.Vector(prefix + "input_layernorm.weight");
  layer.ffn_norm = loader.Vector(prefix + "post_attention_layernorm.weight");
  layer.qkv = loader.Layer(qkv);
  layer.attention_out = loader.Layer(out);
  layer.gate_up = loader.Layer(gate_up);
  layer.down = loader.Layer(down);
  return layer;
}

std::size_t TensorBytes(const at::Tensor& tensor) { return tensor.defined() ? tensor.nbytes() : 0; }

}  // namespace

std::size_t LlamaWeights::bytes() const {
  std::size_t total = TensorBytes(final_norm) + embedding.bytes() + untied_output.bytes() + TensorBytes(rope.cosines) +
                      TensorBytes(rope.sines);
  for (const LayerWeights& layer : layers) {
    total += TensorBytes(layer.attention_norm) + TensorBytes(layer.ffn_norm);
    for (const Linear* matrix : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down})
      total += matrix->bytes();
  }
  return total;
}

absl::StatusOr<LlamaWeights> LoadWeights(const Checkpoint& checkpoint, at::ScalarType type, at::Device device) {
  try {
    const Loader loader(checkpoint, type, device);
    LlamaWeights weights;
    weights.config = checkpoint.config();
    weights.type = type;
    weights.device = device;
    weights.embedding = loader.Vocabulary("model.embed_tokens.weight");
    if (!weights.config.tied_output) weights.untied_output = loader.Vocabulary("lm_head.weight");
    weights.final_norm = loader.Vector("model.norm.weight");
    for (std::int64_t i = 0; i < weights.config.num_layers; ++i) {
      weights.layers.push_back(LoadLayer(loader, weights.config, i));
    }
    weights.rope = RopeTable::Make(weights.config, weights.config.context_length, device);
    return weights;
  } catch (const std::exception& error) {
    return ResourceExhausted("{}: the weights do not fit on {}: {}", checkpoint.path(), device.str(), error.what());
  }
}

}  // namespace tome
