#include "engine/checkpoint/huggingface/huggingface_config.h"

#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/contents/config_check.h"
#include "engine/checkpoint/contents/json_reader.h"

namespace tome {
namespace {

enum class Architecture { kLlama, kMistral };

// What transformers takes for a Mistral model whose config does not mention these fields.
constexpr std::int64_t kMistralSlidingWindow = 4096;
constexpr std::int64_t kMistralKvHeads = 8;

constexpr std::int64_t kLlamaContext = 2048;
constexpr std::int64_t kMistralContext = 131072;

std::optional<Architecture> FindArchitecture(const nlohmann::json& name) {
  if (name == "LlamaForCausalLM") return Architecture::kLlama;
  if (name == "MistralForCausalLM") return Architecture::kMistral;
  return std::nullopt;
}

absl::StatusOr<Architecture> ReadModelType(const JsonFields& fields) {
  TOME_ASSIGN_OR_RETURN(const std::string type, fields.String("model_type"));
  if (type == "llama") return Architecture::kLlama;
  if (type == "mistral") return Architecture::kMistral;
  return fields.Unexpected("model_type", "'llama' or 'mistral'");
}

absl::StatusOr<Architecture> ReadArchitecture(const JsonFields& fields, std::vector<std::string>* warnings) {
  constexpr std::string_view kExpected = "[\"LlamaForCausalLM\"] or [\"MistralForCausalLM\"]";
  const nlohmann::json* architectures = fields.Find("architectures");
  if (architectures == nullptr) return ReadModelType(fields);
  if (!architectures->is_array() || architectures->empty()) return fields.Unexpected("architectures", kExpected);
  std::vector<Architecture> known;
  for (const nlohmann::json& name : *architectures) {
    const std::optional<Architecture> architecture = FindArchitecture(name);
    if (architecture && (known.empty() || known.front() != *architecture)) known.push_back(*architecture);
  }
  if (known.empty()) {
    return InvalidArgument("{}: field 'architectures': expected {}, found {}", fields.place(), kExpected,
                           DescribeJson(architectures->front()));
  }
  if (known.size() > 1) return ReadModelType(fields);
  if (architectures->size() > 1) {
    warnings->push_back(fmt::format("{}: field 'architectures': found {} of them: read as {}", fields.place(),
                                    architectures->size(),
                                    known.front() == Architecture::kLlama ? "LLaMA" : "Mistral"));
  }
  return known.front();
}

// Within a sliding window the model attends to all, so the window is as long a context as it was made for.
absl::Status ReadSlidingWindow(const JsonFields& fields, LlamaConfig* config, std::vector<std::string>* warnings) {
  TOME_ASSIGN_OR_RETURN(const auto window, fields.OptionalInteger("sliding_window", 1, kMaxContextLength));
  const std::int64_t unstated = fields.Mentions("sliding_window") ? config->context_length : kMistralSlidingWindow;
  const std::int64_t attended = window.value_or(unstated);
  if (attended >= config->context_length) return absl::OkStatus();
  warnings->push_back(fmt::format(
      "{}: field 'sliding_window': the model attends to the latest {} of its {} positions{}: its context is taken as "
      "{}",
      fields.place(), attended, config->context_length, window ? "" : " (transformers' default)", attended));
  if (config->rope_scaling.kind != RopeScaling::Kind::kNone && config->rope_scaling.original_context_length == 0) {
    config->rope_scaling.original_context_length = config->context_length;
  }
  config->context_length = attended;
  return absl::OkStatus();
}

absl::Status RefuseUnsupported(const JsonFields& fields) {
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

// The ids of a field that is one number or an array of them.
absl::StatusOr<std::vector<TokenId>> ReadTokenIds(const JsonFields& fields, const std::string& name,
                                                  std::int64_t vocab_size, std::vector<std::string>* warnings) {
  std::vector<TokenId> ids;
  const nlohmann::json* value = fields.Find(name);
  if (value == nullptr) return ids;
  const nlohmann::json list = value->is_array() ? *value : nlohmann::json::array({*value});
  for (const nlohmann::json& id : list) {
    if (!id.is_number_integer()) {
      return fields.Unexpected(name, fmt::format("a token id below {}, or an array of them", vocab_size));
    }
    const bool is_known = id.is_number_unsigned() && id.get<std::uint64_t>() < static_cast<std::uint64_t>(vocab_size);
    if (is_known) {
      ids.push_back(id.get<TokenId>());
    } else {
      warnings->push_back(fmt::format("{}: field {}: expected token ids below {}, found {}: left out", fields.place(),
                                      Quote(name), vocab_size, DescribeJson(id)));
    }
  }
  return ids;
}

absl::StatusOr<std::int64_t> ReadContextLength(const JsonFields& fields, Architecture architecture,
                                               std::vector<std::string>* warnings) {
  TOME_ASSIGN_OR_RETURN(const auto stated, fields.OptionalInteger("max_position_embeddings", 1, kMaxContextLength));
  if (stated) return *stated;
  const std::int64_t usual = architecture == Architecture::kLlama ? kLlamaContext : kMistralContext;
  warnings->push_back(
      fmt::format("{}: field 'max_position_embeddings': found no such field: taken as {}, transformers' "
                  "default",
                  fields.place(), usual));
  return usual;
}

absl::Status ReadSizes(const JsonFields& fields, Architecture architecture, HuggingFaceConfig* read) {
  LlamaConfig* config = &read->model;
  TOME_ASSIGN_OR_RETURN(config->vocab_size, fields.Integer("vocab_size", 1, kMaxVocabSize));
  TOME_ASSIGN_OR_RETURN(config->hidden_size, fields.Integer("hidden_size", 1, kMaxDimension));
  TOME_ASSIGN_OR_RETURN(config->num_layers, fields.Integer("num_hidden_layers", 1, kMaxLayers));
  TOME_ASSIGN_OR_RETURN(config->num_heads, fields.Integer("num_attention_heads", 1, kMaxDimension));
  TOME_ASSIGN_OR_RETURN(config->ffn_size, fields.Integer("intermediate_size", 1, kMaxDimension));
  TOME_ASSIGN_OR_RETURN(config->context_length, ReadContextLength(fields, architecture, &read->warnings));
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
  HuggingFaceConfig config;
  const JsonFields fields(document, source, &config.warnings);
  TOME_ASSIGN_OR_RETURN(const Architecture architecture, ReadArchitecture(fields, &config.warnings));
  TOME_RETURN_IF_ERROR(ReadSizes(fields, architecture, &config));
  TOME_RETURN_IF_ERROR(RefuseUnsupported(fields));
  TOME_ASSIGN_OR_RETURN(const auto epsilon, fields.OptionalNumber("rms_norm_eps"));
  config.model.rms_norm_epsilon = epsilon.value_or(1e-6);
  TOME_ASSIGN_OR_RETURN(const auto theta, fields.OptionalNumber("rope_theta"));
  config.model.rope_theta = theta.value_or(10000.0);
  TOME_ASSIGN_OR_RETURN(const auto rope,
                        fields.Object(fields.Has("rope_scaling") ? "rope_scaling" : "rope_parameters"));
  TOME_RETURN_IF_ERROR(ReadRope(rope, &config.model));
  if (architecture == Architecture::kMistral) {
    TOME_RETURN_IF_ERROR(ReadSlidingWindow(fields, &config.model, &config.warnings));
  }
  TOME_ASSIGN_OR_RETURN(const auto tied, fields.OptionalBool("tie_word_embeddings"));
  config.model.tied_output = tied.value_or(false);
  TOME_ASSIGN_OR_RETURN(const auto name, fields.OptionalString("_name_or_path"));
  config.model.name = name.value_or("");
  const std::int64_t vocab_size = config.model.vocab_size;
  TOME_ASSIGN_OR_RETURN(const auto begins, ReadTokenIds(fields, "bos_token_id", vocab_size, &config.warnings));
  if (!begins.empty()) config.bos = begins.front();
  TOME_ASSIGN_OR_RETURN(config.ends, ReadTokenIds(fields, "eos_token_id", vocab_size, &config.warnings));
  if (!config.ends.empty()) config.eos = config.ends.front();
  TOME_RETURN_IF_ERROR(CheckConfig(config.model, source));
  return config;
}

absl::StatusOr<std::vector<TokenId>> ParseGenerationEnds(std::string_view text, const std::string& source,
                                                         std::int64_t vocab_size, std::vector<std::string>* warnings) {
  TOME_ASSIGN_OR_RETURN(const nlohmann::json document, ParseJsonObject(text, source));
  return ReadTokenIds(JsonFields(document, source), "eos_token_id", vocab_size, warnings);
}

}  // namespace tome
