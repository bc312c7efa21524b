#include "tests/fuzz/adapter_targets.h"

#include <cmath>
#include <string>

#include "engine/adapter/gguf_adapter.h"
#include "engine/adapter/peft_adapter.h"
#include "engine/base/utf8.h"
#include "engine/files/byte_reader.h"
#include "engine/files/byte_writer.h"
#include "tests/fuzz/require.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/tiny_model.h"

namespace tome::testing {
namespace {

constexpr char kSource[] = "input";

LlamaConfig SmallConfig() {
  LlamaConfig config;
  config.vocab_size = 5;
  config.hidden_size = 8;
  config.num_layers = 2;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 4;
  config.ffn_size = 6;
  config.context_length = 16;
  return config;
}

bool CheckAdapter(const absl::StatusOr<std::shared_ptr<const Adapter>>& adapter) {
  if (!adapter.ok()) {
    const std::string message(adapter.status().message());
    Require(adapter.status().code() == absl::StatusCode::kInvalidArgument, "errors are INVALID_ARGUMENT: " + message);
    Require(message.starts_with(kSource), "errors begin with the source: " + message);
    Require(IsValidUtf8(message), "messages are UTF-8");
    return false;
  }
  for (const std::string& warning : (*adapter)->warnings()) {
    Require(warning.starts_with(kSource) && IsValidUtf8(warning), "warnings begin with the source: " + warning);
  }
  const LlamaConfig config = SmallConfig();
  const AdapterContents& contents = (*adapter)->contents();
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const AdaptedMatrix matrix : kAdaptedMatrices) {
      const LowRankPair& pair = contents.Pair(layer, matrix);
      const MatrixShape shape = ShapeOf(matrix, config);
      Require(static_cast<std::int64_t>(pair.a.size()) == pair.rank * shape.columns, "A has its size");
      Require(static_cast<std::int64_t>(pair.b.size()) == pair.rank * shape.rows, "B has its size");
      Require(std::isfinite(pair.scale), "scales are finite");
    }
  }
  Require((*adapter)->digest().size() == 64, "adapters have a digest");
  return true;
}

bool RunPeft(std::string_view bytes) {
  ByteReader reader(bytes, kSource);
  const absl::StatusOr<std::string_view> config = reader.ReadString("config");
  if (!config.ok()) return false;
  return CheckAdapter(ParsePeftAdapter(*config, bytes.substr(reader.offset()), SmallConfig(), kSource));
}

bool RunGguf(std::string_view bytes) { return CheckAdapter(ParseGgufAdapter(bytes, SmallConfig(), kSource)); }

std::vector<float> Ramp(std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(i % 7 - 3) / 8);
  return values;
}

std::vector<std::string> PeftSeeds() {
  const std::string prefix = "base_model.model.model.";
  const std::vector<TinyTensor> tensors = {{prefix + "layers.0.self_attn.q_proj.lora_A.weight", {2, 8}, Ramp(16)},
                                           {prefix + "layers.0.self_attn.q_proj.lora_B.weight", {8, 2}, Ramp(16)},
                                           {prefix + "layers.1.mlp.down_proj.lora_A.weight", {3, 6}, Ramp(18)},
                                           {prefix + "layers.1.mlp.down_proj.lora_B.weight", {8, 3}, Ramp(24)},
                                           {prefix + "norm.weight", {8}, Ramp(8)}};
  const char* configs[] = {
      R"({"peft_type":"LORA","r":2,"lora_alpha":4,"rank_pattern":{"down_proj":3},"alpha_pattern":{"q_\\w+":1}})",
      R"({"peft_type":"LORA","r":3,"rank_pattern":{"self_attn.q_proj":2},"use_rslora":true,"use_dora":false,"new":1})"};
  std::vector<std::string> seeds;
  for (const char* config : configs) {
    for (const TinyModelType type : {TinyModelType::kF32, TinyModelType::kF16}) {
      ByteWriter writer;
      writer.WriteString(config);
      writer.WriteBytes(SafetensorsBytes(tensors, type));
      seeds.push_back(std::move(writer).Take());
    }
  }
  return seeds;
}

std::vector<std::string> GgufSeeds() {
  GgufWriter writer;
  writer.SetString("general.type", "adapter");
  writer.SetString("general.architecture", "llama");
  writer.SetString("adapter.type", "lora");
  writer.SetFloat("adapter.lora.alpha", 4);
  const auto add = [&](const char* name, std::int64_t rows, std::int64_t columns) {
    writer.tensors.push_back(
        {name, {rows, columns}, gguf::kF32, EncodeValues(Ramp(rows * columns), TinyModelType::kF32)});
  };
  add("blk.0.attn_k.weight.lora_a", 2, 8);
  add("blk.0.attn_k.weight.lora_b", 4, 2);
  add("blk.1.ffn_up.weight.lora_a", 1, 8);
  add("blk.1.ffn_up.weight.lora_b", 6, 1);
  return {writer.Bytes()};
}

}  // namespace

const std::vector<FuzzTarget>& AdapterFuzzTargets() {
  static const std::vector<FuzzTarget> targets = {
      {"peft_adapter", RunPeft, PeftSeeds},
      {"gguf_adapter", RunGguf, GgufSeeds},
  };
  return targets;
}

}  // namespace tome::testing
