#include "engine/checkpoint/huggingface_config.h"

#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/config_check.h"
#include "engine/checkpoint/json_reader.h"

namespace tome {
namespace {

enum class Architecture { kLlama, kMistral };

// What transformers takes for a Mistral model whose config does not mention these fields.
constexpr std::int64_t kMistralSlidingWindow = 4096;
constexpr std::int64_t kMistralKvHeads = 8;

absl::StatusOr<Architecture> ReadArchitecture(const JsonFields& fields) {
  constexpr std::string_view kExpected = "[\"LlamaForCausalLM\"] or [\"MistralForCausalLM\"]";
  const nlohmann::json* architectures = fields.Find("architectures");
  if (architectures == nullptr) {
    TOME_ASSIGN_OR_RETURN(const std::string type, fields.String("model_type"));
    if (type == "llama") return Architecture::kLlama;
    if (type == "mistral") return Architecture::kMistral;
    return fields.Unexpected("model_type", "'llama' or 'mistral'");
  }
  if (!architectures->is_array() || architectures->size() != 1) return fields.Unexpected("architectures", kExpected);
  const nlohmann::json& name = architectures->front();
  if (name == "LlamaForCausalLM") return Architecture::kLlama;
  if (name == "MistralForCausalLM") return Architecture::kMistral;
  return InvalidArgument("{}: field 'architectures': expected {}, found {}", fields.place(), kExpected,
                         DescribeJson(name));
}

absl::Status RefuseUnsupported(const JsonFields& fields, Architecture architecture, const LlamaConfig& config) {
  for (const char* name : {"attention_bias", "mlp_bias"}) {
    TOME_ASSIGN_OR_RETURN(const auto bias, fields.OptionalBool(name));
    if (bias.value_or(false)) return fields.Unexpected(name, "false: layers with biases are not supported");
  }
  TOME_ASSIGN_OR_RETURN(const auto activation, fields.OptionalString("hidden_act"));
  if (activation.value_or("silu") != "silu") return fields.Unexpected("hidden_act", "'silu'");
  if (fields.Has("quantization_config")) {
    return fields.Unexpected("quantization_config", "none: only plain F32, F16 and BF16 weights are read");
  }
  TOME_ASSIGN_OR_RETURN(const auto partial, fields.OptionalNumber("partial_rotary_factor"));
  if (partial.value_or(1) != 1) return fields.Unexpected("partial_rotary_factor", "1");
  if (architecture == Architecture::kMistral) {
    TOME_ASSIGN_OR_RETURN(const auto window, fields.OptionalInteger("sliding_window", 1, kMaxContextLength));
    const std::int64_t unstated = fields.Mentions("sliding_window") ? config.context_length : kMistralSlidingWindow;
    if (window.value_or(unstated) < config.context_length) {
      return fields.Unexpected("sliding_window",
                               fmt::format("null, or at least the context of {}", config.context_length));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<RopeScaling::Kind> ReadScalingKind(const JsonFields& fields) {
  const std::string name = fields.Has("rope_type") ? "rope_type" : "type";
  TOME_ASSIGN_OR_RETURN(const auto type, fields.OptionalString(name));
  const std::pair<std::string_view, RopeScaling::Kind> kinds[] = {
      {"default", RopeScaling::Kind::kNone},       {"linear", RopeScaling::Kind::kLinear},
      {"dynamic", RopeScaling::Kind::kDynamicNtk}, {"yarn", RopeScaling::Kind::kYarn},
      {"llama3", RopeScaling::Kind::kLlama3},
  };
  for (const auto& [known, kind] : kinds) {
    if (type.value_or("default") == known) return kind;
  }
  return fields.Unexpected(name, "one of default, linear, dynamic, yarn, llama3");
}

absl::Status ReadYarn(const JsonFields& fields, RopeScaling* scaling) {
  TOME_ASSIGN_OR_RETURN(const auto fast, fields.OptionalNumber("beta_fast"));
  TOME_ASSIGN_OR_RETURN(const auto slow, fields.OptionalNumber("beta_slow"));
  TOME_ASSIGN_OR_RETURN(const auto attention, fields.OptionalNumber("attention_factor"));
  scaling->beta_fast = fast.value_or(scaling->beta_fast);
  scaling->beta_slow = slow.value_or(scaling->beta_slow);
  scaling->attention_factor = attention.value_or(0);
  for (const char* name : {"mscale", "mscale_all_dim"}) {
    if (fields.Has(name)) return fields.Unexpected(name, "none (give 'attention_factor')");
  }
  TOME_ASSIGN_OR_RETURN(const auto truncate, fields.OptionalBool("truncate"));
  if (!truncate.value_or(true)) return fields.Unexpected("truncate", "true");
  return absl::OkStatus();
}

// `fields`: the object "rope_scaling" or "rope_parameters".
absl::Status ReadRope(const JsonFields& fields, LlamaConfig* config) {
  TOME_ASSIGN_OR_RETURN(const auto theta, fields.OptionalNumber("rope_theta"));
  config->rope_theta = theta.value_or(config->rope_theta);
  TOME_ASSIGN_OR_RETURN(const auto partial, fields.OptionalNumber("partial_rotary_factor"));
  if (partial.value_or(1) != 1) return fields.Unexpected("partial_rotary_factor", "1");
  RopeScaling scaling;
  TOME_ASSIGN_OR_RETURN(scaling.kind, ReadScalingKind(fields));
  if (scaling.kind == RopeScaling::Kind::kNone) return absl::OkStatus();
  TOME_ASSIGN_OR_RETURN(scaling.factor, fields.Number("factor"));
  TOME_ASSIGN_OR_RETURN(const auto original,
                        fields.OptionalInteger("original_max_position_embeddings", 1, kMaxContextLength));
  scaling.original_context_length = original.value_or(0);
  if (scaling.kind == RopeScaling::Kind::kLlama3) {
    TOME_ASSIGN_OR_RETURN(scaling.low_freq_factor, fields.Number("low_freq_factor"));
    TOME_ASSIGN_OR_RETURN(scaling.high_freq_factor, fields.Number("high_freq_factor"));
  }
  if (scaling.kind == RopeScaling::Kind::kYarn) TOME_RETURN_IF_ERROR(ReadYarn(fields, &scaling));
  config->rope_scaling = scaling;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<TokenId>> ReadTokenId(const JsonFields& fields, const std::string& name,
                                                   std::int64_t vocab_size) {
  const nlohmann::json* value = fields.Find(name);
  if (value != nullptr && value->is_array()) value = value->empty() ? nullptr : &value->front();
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_unsigned() || value->get<std::uint64_t>() >= static_cast<std::uint64_t>(vocab_size)) {
    return fields.Unexpected(name, fmt::format("a token id below {}, or an array of them", vocab_size));
  }
  return value->get<TokenId>();
}

absl::Status ReadSizes(const JsonFields& fields, Architecture architecture, LlamaConfig* config) {
  TOME_ASSIGN_OR_RETURN(config->vocab_size, fields.Integer("vocab_size", 1, kMaxVocabSize));
  TOME_ASSIGN_OR_RETURN(config->hidden_size, fields.Integer("hidden_size", 1, kMaxDimension));
  TOME_ASSIGN_OR_RETURN(config->num_layers, fields.Integer("num_hidden_layers", 1, kMaxLayers));
  TOME_ASSIGN_OR_RETURN(config->num_heads, fields.Integer("num_attention_heads", 1, kMaxDimension));
  TOME_ASSIGN_OR_RETURN(config->ffn_size, fields.Integer("intermediate_size", 1, kMaxDimension));
  TOME_ASSIGN_OR_RETURN(config->context_length, fields.Integer("max_position_embeddings", 1, kMaxContextLength));
  TOME_ASSIGN_OR_RETURN(const auto num_kv_heads, fields.OptionalInteger("num_key_value_heads", 1, kMaxDimension));
  const bool mistral_default = architecture == Architecture::kMistral && !fields.Mentions("num_key_value_heads");
  config->num_kv_heads = num_kv_heads.value_or(mistral_default ? kMistralKvHeads : config->num_heads);
  TOME_ASSIGN_OR_RETURN(const auto head_dim, fields.OptionalInteger("head_dim", 1, kMaxDimension));
  if (!head_dim && config->hidden_size % config->num_heads != 0) {
    return fields.Unexpected("num_attention_heads",
                             fmt::format("a divisor of the hidden size {} (or a 'head_dim')", config->hidden_size));
  }
  config->head_dim = head_dim.value_or(config->hidden_size / config->num_heads);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<HuggingFaceConfig> ParseHuggingFaceConfig(std::string_view text, const std::string& source) {
  TOME_ASSIGN_OR_RETURN(const nlohmann::json document, ParseJsonObject(text, source));
  const JsonFields fields(document, source);
  TOME_ASSIGN_OR_RETURN(const Architecture architecture, ReadArchitecture(fields));
  HuggingFaceConfig config;
  TOME_RETURN_IF_ERROR(ReadSizes(fields, architecture, &config.model));
  TOME_RETURN_IF_ERROR(RefuseUnsupported(fields, architecture, config.model));
  TOME_ASSIGN_OR_RETURN(const auto epsilon, fields.OptionalNumber("rms_norm_eps"));
  config.model.rms_norm_epsilon = epsilon.value_or(1e-6);
  TOME_ASSIGN_OR_RETURN(const auto theta, fields.OptionalNumber("rope_theta"));
  config.model.rope_theta = theta.value_or(10000.0);
  TOME_ASSIGN_OR_RETURN(const auto rope,
                        fields.Object(fields.Has("rope_scaling") ? "rope_scaling" : "rope_parameters"));
  TOME_RETURN_IF_ERROR(ReadRope(rope, &config.model));
  TOME_ASSIGN_OR_RETURN(const auto tied, fields.OptionalBool("tie_word_embeddings"));
  config.model.tied_output = tied.value_or(false);
  TOME_ASSIGN_OR_RETURN(const auto name, fields.OptionalString("_name_or_path"));
  config.model.name = name.value_or("");
  TOME_ASSIGN_OR_RETURN(config.bos, ReadTokenId(fields, "bos_token_id", config.model.vocab_size));
  TOME_ASSIGN_OR_RETURN(config.eos, ReadTokenId(fields, "eos_token_id", config.model.vocab_size));
  TOME_RETURN_IF_ERROR(CheckConfig(config.model, source));
  return config;
}

}  // namespace tome
