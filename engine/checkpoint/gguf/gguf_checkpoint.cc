#include "engine/checkpoint/gguf/gguf_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/checkpoint/contents/config_check.h"

namespace tome {
namespace {

constexpr std::string_view kEmbedding = "token_embd.weight";
constexpr std::string_view kOutput = "output.weight";
constexpr std::string_view kRopeFactors = "rope_freqs.weight";

// Of "model-00002-of-00003.gguf" the first part and the whole; the path itself and another one when it is called
// otherwise.
std::pair<std::string, std::string> SplitNames(const std::string& path) {
  constexpr std::size_t kSuffixBytes = std::string_view("-00002-of-00003.gguf").size();
  const std::size_t stem = path.size() - std::min(path.size(), kSuffixBytes);
  const std::string suffix = path.substr(stem);
  const bool is_usual = suffix.size() == kSuffixBytes && suffix[0] == '-' && suffix.substr(6, 4) == "-of-";
  if (!is_usual) return {path, path + ".whole.gguf"};
  return {path.substr(0, stem) + "-00001" + suffix.substr(6), path.substr(0, stem) + ".gguf"};
}

absl::Status RefuseParts(const GgufFile& file) {
  TOME_ASSIGN_OR_RETURN(const auto parts, file.OptionalInteger("split.count", 0, INT64_MAX));
  if (parts.value_or(1) <= 1) return absl::OkStatus();
  const auto [first, whole] = SplitNames(file.source());
  return InvalidArgument(
      "{}: metadata 'split.count': expected a single file, found a part of {}: join them first: "
      "llama-gguf-split --merge {} {}",
      file.source(), *parts, first, whole);
}

// What this reader does not do. A model with such a key would load and say nonsense.
absl::Status RefuseUnsupported(const GgufFile& file) {
  TOME_ASSIGN_OR_RETURN(const auto experts, file.OptionalInteger("llama.expert_count", 0, INT64_MAX));
  if (experts.value_or(0) > 0) {
    return InvalidArgument("{}: metadata 'llama.expert_count': expected no experts, found {}", file.source(), *experts);
  }
  TOME_ASSIGN_OR_RETURN(const auto scale, file.OptionalNumber("llama.attention.scale"));
  if (scale.value_or(0) != 0) {
    return InvalidArgument("{}: metadata 'llama.attention.scale': expected the usual 1/sqrt(head dimension), found {}",
                           file.source(), *scale);
  }
  return absl::OkStatus();
}

// Within a sliding window the model attends to all, so the window is as long a context as it was made for.
absl::Status ReadSlidingWindow(const GgufFile& file, LlamaConfig* config, std::vector<std::string>* warnings) {
  TOME_ASSIGN_OR_RETURN(const auto window,
                        file.OptionalInteger("llama.attention.sliding_window", 0, kMaxContextLength));
  if (window.value_or(0) == 0 || *window >= config->context_length) return absl::OkStatus();
  warnings->push_back(
      fmt::format("{}: metadata 'llama.attention.sliding_window': the model attends to the latest {} of its {} "
                  "positions: its context is taken as {}",
                  file.source(), *window, config->context_length, *window));
  if (config->rope_scaling.kind != RopeScaling::Kind::kNone && config->rope_scaling.original_context_length == 0) {
    config->rope_scaling.original_context_length = config->context_length;
  }
  config->context_length = *window;
  return absl::OkStatus();
}

absl::Status ReadYarn(const GgufFile& file, RopeScaling* scaling) {
  TOME_ASSIGN_OR_RETURN(const auto fast, file.OptionalNumber("llama.rope.scaling.yarn_beta_fast"));
  TOME_ASSIGN_OR_RETURN(const auto slow, file.OptionalNumber("llama.rope.scaling.yarn_beta_slow"));
  TOME_ASSIGN_OR_RETURN(const auto extrapolation, file.OptionalNumber("llama.rope.scaling.yarn_ext_factor"));
  TOME_ASSIGN_OR_RETURN(const auto log_multiplier, file.OptionalNumber("llama.rope.scaling.yarn_log_multiplier"));
  TOME_ASSIGN_OR_RETURN(const auto attention, file.OptionalNumber("llama.rope.scaling.attn_factor"));
  TOME_ASSIGN_OR_RETURN(const auto yarn_attention, file.OptionalNumber("llama.rope.scaling.yarn_attn_factor"));
  if (extrapolation.value_or(1) != 1) {
    return InvalidArgument("{}: metadata 'llama.rope.scaling.yarn_ext_factor': expected 1, found {}", file.source(),
                           *extrapolation);
  }
  if (log_multiplier.value_or(0) != 0) {
    return InvalidArgument("{}: metadata 'llama.rope.scaling.yarn_log_multiplier': expected 0, found {}", file.source(),
                           *log_multiplier);
  }
  scaling->beta_fast = fast.value_or(scaling->beta_fast);
  scaling->beta_slow = slow.value_or(scaling->beta_slow);
  // llama.cpp multiplies this with the usual factor instead of replacing it.
  const double multiplier = yarn_attention.value_or(attention.value_or(1));
  if (multiplier != 1) scaling->attention_factor = multiplier * (0.1 * std::log(scaling->factor) + 1);
  return absl::OkStatus();
}

absl::Status ReadRopeScaling(const GgufFile& file, RopeScaling* scaling) {
  TOME_ASSIGN_OR_RETURN(const auto type, file.OptionalString("llama.rope.scaling.type"));
  TOME_ASSIGN_OR_RETURN(const auto factor, file.OptionalNumber("llama.rope.scaling.factor"));
  TOME_ASSIGN_OR_RETURN(const auto old_factor, file.OptionalNumber("llama.rope.scale_linear"));
  TOME_ASSIGN_OR_RETURN(const auto original,
                        file.OptionalInteger("llama.rope.scaling.original_context_length", 0, kMaxContextLength));
  scaling->factor = factor.value_or(old_factor.value_or(1));
  // llama.cpp takes a factor without a type as linear, and 0 as no scaling.
  if (scaling->factor == 0) scaling->factor = 1;
  if (type.value_or("linear") == "none" || scaling->factor == 1) {
    *scaling = RopeScaling{};
    scaling->original_context_length = original.value_or(0);
    return absl::OkStatus();
  }
  scaling->original_context_length = original.value_or(0);
  if (type.value_or("linear") == "linear") {
    scaling->kind = RopeScaling::Kind::kLinear;
    return absl::OkStatus();
  }
  if (*type == "yarn") {
    scaling->kind = RopeScaling::Kind::kYarn;
    return ReadYarn(file, scaling);
  }
  return InvalidArgument("{}: metadata 'llama.rope.scaling.type': expected none, linear or yarn, found {}",
                         file.source(), Quote(*type));
}

// How much Llama 3's blend slows down the rotary pair `index`.
double Llama3Factor(const LlamaConfig& config, const RopeScaling& scaling, std::int64_t index) {
  const double exponent = 2.0 * static_cast<double>(index) / static_cast<double>(config.head_dim);
  const double wavelength = 2 * std::numbers::pi * std::pow(config.rope_theta, exponent);
  const auto original = static_cast<double>(scaling.original_context_length);
  if (wavelength < original / scaling.high_freq_factor) return 1;
  if (wavelength > original / scaling.low_freq_factor) return scaling.factor;
  const double smooth =
      (original / wavelength - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return 1 / ((1 - smooth) / scaling.factor + smooth);
}

// Turns the factors of "rope_freqs.weight" back into the numbers of Llama 3's config.json.
absl::Status RecogniseRopeFactors(const GgufFile& file, const CheckpointTensor& tensor, LlamaConfig* config) {
  const std::string place = fmt::format("{}: tensor {}", file.source(), Quote(kRopeFactors));
  const std::vector<std::int64_t> expected = {config->head_dim / 2};
  if (tensor.type != TensorType::kF32 || tensor.shape != expected) {
    return InvalidArgument("{}: expected type F32 and shape {}, found {} and {}", place, ShapeText(expected),
                           TensorTypeName(tensor.type), ShapeText(tensor.shape));
  }
  if (config->rope_scaling.kind != RopeScaling::Kind::kNone) {
    return InvalidArgument("{}: expected no other rope scaling beside it, found 'llama.rope.scaling.type'", place);
  }
  std::vector<float> factors(static_cast<std::size_t>(expected[0]));
  DequantizeRow(tensor.type, tensor.data, absl::MakeSpan(factors));
  if (std::all_of(factors.begin(), factors.end(), [](float factor) { return factor == 1; })) return absl::OkStatus();

  RopeScaling scaling = config->rope_scaling;
  scaling.kind = RopeScaling::Kind::kLlama3;
  scaling.factor = factors.back();  // the slowest pair gets the whole factor
  if (scaling.original_context_length == 0) scaling.original_context_length = 8192;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const double blend = Llama3Factor(*config, scaling, static_cast<std::int64_t>(i));
    if (!(std::abs(factors[i] - blend) <= 1e-3 * std::abs(blend))) {
      return InvalidArgument(
          "{}: expected Llama 3's blend with factor {}, original context {}, frequency factors 1 and 4, which is {} at "
          "index {}; found {}: other rotary factors are not supported",
          place, scaling.factor, scaling.original_context_length, blend, i, factors[i]);
    }
  }
  config->rope_scaling = scaling;
  return absl::OkStatus();
}

// One dimension of all layers.
absl::StatusOr<std::int64_t> UniformInteger(const GgufFile& file, std::string_view key, std::int64_t num_layers) {
  TOME_ASSIGN_OR_RETURN(const auto value, file.OptionalUniform(key, 1, kMaxDimension, num_layers));
  return value ? absl::StatusOr<std::int64_t>(*value) : file.Integer(key, 1, kMaxDimension);
}

absl::Status ReadHeads(const GgufFile& file, LlamaConfig* config) {
  TOME_ASSIGN_OR_RETURN(config->num_heads, UniformInteger(file, "llama.attention.head_count", config->num_layers));
  TOME_ASSIGN_OR_RETURN(const auto num_kv_heads,
                        file.OptionalUniform("llama.attention.head_count_kv", 1, kMaxDimension, config->num_layers));
  config->num_kv_heads = num_kv_heads.value_or(config->num_heads);
  TOME_ASSIGN_OR_RETURN(const auto key_length, file.OptionalInteger("llama.attention.key_length", 1, kMaxDimension));
  TOME_ASSIGN_OR_RETURN(const auto value_length,
                        file.OptionalInteger("llama.attention.value_length", 1, kMaxDimension));
  if (!key_length && config->hidden_size % config->num_heads != 0) {
    return InvalidArgument(
        "{}: metadata 'llama.attention.head_count': expected a divisor of the embedding length {}, found {}",
        file.source(), config->hidden_size, config->num_heads);
  }
  config->head_dim = key_length.value_or(config->hidden_size / config->num_heads);
  if (value_length.value_or(config->head_dim) != config->head_dim) {
    return InvalidArgument("{}: metadata 'llama.attention.value_length': expected the key length {}, found {}",
                           file.source(), config->head_dim, *value_length);
  }
  TOME_ASSIGN_OR_RETURN(const auto rotary, file.OptionalInteger("llama.rope.dimension_count", 1, kMaxDimension));
  if (rotary.value_or(config->head_dim) != config->head_dim) {
    return InvalidArgument("{}: metadata 'llama.rope.dimension_count': expected the head dimension {}, found {}",
                           file.source(), config->head_dim, *rotary);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::int64_t> ReadVocabSize(const GgufFile& file) {
  const auto embedding = file.tensors().find(kEmbedding);
  if (embedding == file.tensors().end()) {
    return InvalidArgument("{}: tensor {} is missing", file.source(), Quote(kEmbedding));
  }
  // When the key is absent (older converters) the embedding says it; when it is there, the shape check compares.
  TOME_ASSIGN_OR_RETURN(const auto vocab_size, file.OptionalInteger("llama.vocab_size", 1, kMaxVocabSize));
  return vocab_size.value_or(embedding->second.shape.front());
}

absl::StatusOr<LlamaConfig> ReadConfig(const GgufFile& file, std::vector<std::string>* warnings) {
  TOME_ASSIGN_OR_RETURN(const auto architecture, file.String("general.architecture"));
  if (architecture != "llama") {
    return InvalidArgument("{}: metadata 'general.architecture': expected 'llama', found {}", file.source(),
                           Quote(architecture));
  }
  LlamaConfig config;
  TOME_ASSIGN_OR_RETURN(const auto name, file.OptionalString("general.name"));
  config.name = ReplaceInvalidUtf8(name.value_or(""));
  TOME_ASSIGN_OR_RETURN(config.vocab_size, ReadVocabSize(file));
  TOME_ASSIGN_OR_RETURN(config.num_layers, file.Integer("llama.block_count", 1, kMaxLayers));
  TOME_ASSIGN_OR_RETURN(config.context_length, file.Integer("llama.context_length", 1, kMaxContextLength));
  TOME_ASSIGN_OR_RETURN(config.hidden_size, file.Integer("llama.embedding_length", 1, kMaxDimension));
  TOME_ASSIGN_OR_RETURN(config.ffn_size, UniformInteger(file, "llama.feed_forward_length", config.num_layers));
  TOME_RETURN_IF_ERROR(ReadHeads(file, &config));
  TOME_ASSIGN_OR_RETURN(config.rms_norm_epsilon, file.Number("llama.attention.layer_norm_rms_epsilon"));
  TOME_ASSIGN_OR_RETURN(const auto theta, file.OptionalNumber("llama.rope.freq_base"));
  config.rope_theta = theta.value_or(10000.0);
  TOME_RETURN_IF_ERROR(ReadRopeScaling(file, &config.rope_scaling));
  config.tied_output = !file.tensors().contains(kOutput);
  config.rope_interleaved = true;
  TOME_RETURN_IF_ERROR(RefuseUnsupported(file));
  TOME_RETURN_IF_ERROR(ReadSlidingWindow(file, &config, warnings));
  TOME_RETURN_IF_ERROR(CheckConfig(config, file.source()));
  return config;
}

// "model.layers.3.mlp.up_proj.weight" -> "blk.3.ffn_up.weight".
std::string GgufName(const std::string& name) {
  constexpr std::pair<std::string_view, std::string_view> kInLayer[] = {
      {"input_layernorm", "attn_norm"}, {"self_attn.q_proj", "attn_q"},      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},   {"self_attn.o_proj", "attn_output"}, {"post_attention_layernorm", "ffn_norm"},
      {"mlp.gate_proj", "ffn_gate"},    {"mlp.up_proj", "ffn_up"},           {"mlp.down_proj", "ffn_down"},
  };
  constexpr std::string_view kLayerPrefix = "model.layers.", kSuffix = ".weight";
  if (name == "model.embed_tokens.weight") return std::string(kEmbedding);
  if (name == "model.norm.weight") return "output_norm.weight";
  if (name == "lm_head.weight") return std::string(kOutput);
  const std::size_t dot = name.find('.', kLayerPrefix.size());
  const std::string layer = name.substr(kLayerPrefix.size(), dot - kLayerPrefix.size());
  const std::string part = name.substr(dot + 1, name.size() - kSuffix.size() - dot - 1);
  const auto* found =
      std::find_if(std::begin(kInLayer), std::end(kInLayer), [&](const auto& pair) { return pair.first == part; });
  return fmt::format("blk.{}.{}.weight", layer, found->second);
}

}  // namespace

absl::StatusOr<CheckpointContents> ReadGguf(std::string_view bytes, const std::string& source) {
  TOME_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::Parse(bytes, source));
  TOME_RETURN_IF_ERROR(RefuseParts(file));
  CheckpointContents contents;
  TOME_ASSIGN_OR_RETURN(contents.config, ReadConfig(file, &contents.warnings));
  TensorMap tensors = file.tensors();
  if (const auto factors = tensors.find(kRopeFactors); factors != tensors.end()) {
    TOME_RETURN_IF_ERROR(RecogniseRopeFactors(file, factors->second, &contents.config));
    tensors.erase(factors);
  }
  if (contents.config.rope_scaling.kind == RopeScaling::Kind::kNone) contents.config.rope_scaling = RopeScaling{};
  TOME_RETURN_IF_ERROR(CheckConfig(contents.config, source));
  TOME_ASSIGN_OR_RETURN(contents.tensors, SelectTensors(contents.config, std::move(tensors), GgufName, source));
  TOME_ASSIGN_OR_RETURN(contents.tokenizer, ReadGgufTokenizer(file, contents.config.vocab_size));
  return contents;
}

}  // namespace tome
