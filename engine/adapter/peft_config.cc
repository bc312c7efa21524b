#include "engine/adapter/peft_config.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/contents/config_check.h"
#include "engine/checkpoint/contents/json_reader.h"

namespace tome {
namespace {

// Fields that change what an adapter computes, in ways that Tome does not know: each must be absent, false or empty.
constexpr std::string_view kRefused[] = {
    "use_dora",     "lora_bias",         "layer_replication",       "fan_in_fan_out",         "use_qalora",
    "use_bdlora",   "kasa_config",       "monteclora_config",       "lora_ga_config",         "corda_config",
    "arrow_config", "target_parameters", "trainable_token_indices", "alora_invocation_tokens"};

// Fields without a meaning for a finished adapter, or that its tensors say again.
constexpr std::string_view kIgnored[] = {"auto_mapping",
                                         "base_model_name_or_path",
                                         "bias",
                                         "eva_config",
                                         "exclude_modules",
                                         "inference_mode",
                                         "layers_pattern",
                                         "layers_to_transform",
                                         "loftq_config",
                                         "lora_dropout",
                                         "megatron_config",
                                         "megatron_core",
                                         "modules_to_save",
                                         "peft_version",
                                         "qalora_group_size",
                                         "revision",
                                         "runtime_config",
                                         "target_modules",
                                         "task_type",
                                         "velora_config"};

constexpr std::string_view kRead[] = {
    "peft_type",          "r", "lora_alpha", "use_rslora", "init_lora_weights", "rank_pattern", "alpha_pattern",
    "ensure_weight_tying"};

// Ways to begin that leave the model's own weights as they are.
constexpr std::string_view kHarmlessInits[] = {"gaussian", "eva", "orthogonal", "default"};

constexpr double kLargest = 1e9;

template <typename Names>
bool Contains(const Names& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool IsOff(const nlohmann::json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  return value.is_null() || ((value.is_object() || value.is_array()) && value.empty());
}

absl::Status RefuseUnsupported(const nlohmann::json& object, const JsonFields& fields) {
  for (const std::string_view name : kRefused) {
    const auto found = object.find(std::string(name));
    if (found == object.end() || IsOff(*found)) continue;
    return fields.Unexpected(std::string(name), "nothing, for Tome does not support it");
  }
  const nlohmann::json* init = fields.Find("init_lora_weights");
  if (init == nullptr || init->is_boolean()) return absl::OkStatus();
  if (init->is_string() && Contains(kHarmlessInits, init->get<std::string>())) return absl::OkStatus();
  return fields.Unexpected("init_lora_weights",
                           "true, false or 'gaussian': others change the model's own weights; convert the adapter "
                           "first (PEFT: path_initial_model_for_weight_conversion)");
}

absl::StatusOr<double> ReadNumber(const JsonFields& fields, const std::string& name, double absent) {
  TOME_ASSIGN_OR_RETURN(const std::optional<double> value, fields.OptionalNumber(name));
  if (!value) return absent;
  if (!(std::abs(*value) <= kLargest)) return fields.Unexpected(name, "a number of usual size");
  return *value;
}

absl::StatusOr<std::vector<PeftPattern>> ReadPatterns(const JsonFields& fields, const std::string& name) {
  std::vector<PeftPattern> patterns;
  const nlohmann::json* object = fields.Find(name);
  if (object == nullptr) return patterns;
  if (!object->is_object()) return fields.Unexpected(name, "an object of patterns and numbers");
  const std::string place = fmt::format("{}: field {}", fields.place(), Quote(name));
  const JsonFields values(*object, place);
  for (const auto& [text, unused] : object->items()) {
    TOME_ASSIGN_OR_RETURN(const double value, ReadNumber(values, text, 0));
    // As PEFT compares: what ends the module's name, from a dot on.
    absl::StatusOr<std::shared_ptr<const Regex>> regex = Regex::Compile("(?:.*\\.)?(?:" + text + ")\\z");
    if (!regex.ok()) {
      return InvalidArgument("{}: expected a regular expression, found {}: {}", place, Quote(text),
                             Quote(std::string(regex.status().message()), 200));
    }
    patterns.push_back({.text = text, .regex = *std::move(regex), .value = value});
  }
  return patterns;
}

// The value of the pattern that matches; nullopt where none does.
absl::StatusOr<std::optional<double>> Match(const std::vector<PeftPattern>& patterns, const std::string& module,
                                            std::string_view field, const std::string& source) {
  const PeftPattern* match = nullptr;
  for (const PeftPattern& pattern : patterns) {
    RegexSearch search(pattern.regex);
    const RegexSearch::Result found = search.Find(module, 0, /*more_follows=*/false);
    if (found.outcome != RegexSearch::Outcome::kMatch || found.begin != 0) continue;
    if (match != nullptr && match->value != pattern.value) {
      return InvalidArgument("{}: field '{}': expected one pattern for {}, found {} and {}", source, field, module,
                             Quote(match->text), Quote(pattern.text));
    }
    match = &pattern;
  }
  return match == nullptr ? std::nullopt : std::optional(match->value);
}

void WarnOfUnknown(const nlohmann::json& object, const std::string& source, std::vector<std::string>* warnings) {
  for (const auto& [name, value] : object.items()) {
    if (Contains(kRefused, name) || Contains(kIgnored, name) || Contains(kRead, name) || IsOff(value)) continue;
    warnings->push_back(fmt::format("{}: field {} is not known and not used", source, Quote(name)));
  }
}

absl::Status CheckBiases(const JsonFields& fields) {
  TOME_ASSIGN_OR_RETURN(const auto bias, fields.OptionalString("bias"));
  return bias.value_or("none") == "none" ? absl::OkStatus() : fields.Unexpected("bias", "'none'");
}

}  // namespace

absl::StatusOr<std::int64_t> PeftConfig::RankOf(const std::string& module, const std::string& source) const {
  TOME_ASSIGN_OR_RETURN(const auto own, Match(rank_patterns, module, "rank_pattern", source));
  if (!own) return rank;
  if (*own >= 1 && *own <= static_cast<double>(kMaxDimension) && *own == std::floor(*own)) {
    return static_cast<std::int64_t>(*own);
  }
  return InvalidArgument("{}: field 'rank_pattern': expected a rank of 1 or more for {}, found {}", source, module,
                         *own);
}

absl::StatusOr<double> PeftConfig::ScaleOf(const std::string& module, std::int64_t of_rank,
                                           const std::string& source) const {
  TOME_ASSIGN_OR_RETURN(const auto own, Match(alpha_patterns, module, "alpha_pattern", source));
  const auto divisor = static_cast<double>(of_rank);
  return own.value_or(alpha) / (rank_stabilized ? std::sqrt(divisor) : divisor);
}

absl::StatusOr<PeftConfig> ParsePeftConfig(std::string_view text, const std::string& source) {
  TOME_ASSIGN_OR_RETURN(const nlohmann::json object, ParseJsonObject(text, source));
  PeftConfig config;
  const JsonFields fields(object, source, &config.warnings);
  TOME_ASSIGN_OR_RETURN(const std::string type, fields.String("peft_type"));
  if (type != "LORA") return fields.Unexpected("peft_type", "'LORA'");
  TOME_RETURN_IF_ERROR(RefuseUnsupported(object, fields));
  TOME_RETURN_IF_ERROR(CheckBiases(fields));
  TOME_ASSIGN_OR_RETURN(const auto rank, fields.OptionalInteger("r", 1, kMaxDimension));
  config.rank = rank.value_or(config.rank);
  TOME_ASSIGN_OR_RETURN(config.alpha, ReadNumber(fields, "lora_alpha", config.alpha));
  TOME_ASSIGN_OR_RETURN(const auto rank_stabilized, fields.OptionalBool("use_rslora"));
  config.rank_stabilized = rank_stabilized.value_or(false);
  TOME_ASSIGN_OR_RETURN(const auto tied, fields.OptionalBool("ensure_weight_tying"));
  config.tied_output = tied.value_or(false);
  TOME_ASSIGN_OR_RETURN(config.rank_patterns, ReadPatterns(fields, "rank_pattern"));
  TOME_ASSIGN_OR_RETURN(config.alpha_patterns, ReadPatterns(fields, "alpha_pattern"));
  WarnOfUnknown(object, source, &config.warnings);
  return config;
}

}  // namespace tome
