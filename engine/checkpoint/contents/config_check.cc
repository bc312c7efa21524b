#include "engine/checkpoint/contents/config_check.h"

#include <cmath>
#include <string_view>

#include "engine/base/status.h"

namespace tome {
namespace {

absl::Status CheckSizes(const LlamaConfig& config, const std::string& source) {
  const struct {
    std::string_view field;
    std::int64_t value, maximum;
  } sizes[] = {
      {"vocabulary size", config.vocab_size, kMaxVocabSize},
      {"hidden size", config.hidden_size, kMaxDimension},
      {"number of layers", config.num_layers, kMaxLayers},
      {"number of query heads", config.num_heads, kMaxDimension},
      {"number of key-value heads", config.num_kv_heads, kMaxDimension},
      {"head dimension", config.head_dim, kMaxDimension},
      {"feed-forward size", config.ffn_size, kMaxDimension},
      {"context length", config.context_length, kMaxContextLength},
  };
  for (const auto& [field, value, maximum] : sizes) {
    if (value < 1 || value > maximum) {
      return InvalidArgument("{}: {}: expected 1 to {}, found {}", source, field, maximum, value);
    }
  }
  if (config.num_heads % config.num_kv_heads != 0) {
    return InvalidArgument("{}: number of key-value heads: expected a divisor of the {} query heads, found {}", source,
                           config.num_heads, config.num_kv_heads);
  }
  if (config.head_dim % 2 != 0) {
    return InvalidArgument("{}: head dimension: expected an even number, found {}", source, config.head_dim);
  }
  if (config.num_heads * config.head_dim > kMaxDimension) {
    return InvalidArgument("{}: query heads times head dimension: expected at most {}, found {} x {}", source,
                           kMaxDimension, config.num_heads, config.head_dim);
  }
  return absl::OkStatus();
}

absl::Status CheckRopeScaling(const LlamaConfig& config, const std::string& source) {
  const RopeScaling& scaling = config.rope_scaling;
  if (scaling.kind == RopeScaling::Kind::kNone) return absl::OkStatus();
  // Comparisons are written so that NaN fails them.
  if (!(scaling.factor >= 1 && scaling.factor <= 1e6)) {
    return InvalidArgument("{}: rope scaling factor: expected 1 to 1000000, found {}", source, scaling.factor);
  }
  if (scaling.original_context_length < 0 || scaling.original_context_length > kMaxContextLength) {
    return InvalidArgument("{}: rope scaling's original context length: expected 1 to {}, found {}", source,
                           kMaxContextLength, scaling.original_context_length);
  }
  if (scaling.kind == RopeScaling::Kind::kLlama3 &&
      !(scaling.low_freq_factor > 0 && scaling.low_freq_factor < scaling.high_freq_factor &&
        std::isfinite(scaling.high_freq_factor))) {
    return InvalidArgument(
        "{}: rope scaling: expected 0 < low frequency factor < high frequency factor, found {} and {}", source,
        scaling.low_freq_factor, scaling.high_freq_factor);
  }
  if (scaling.kind == RopeScaling::Kind::kYarn) {
    if (!(scaling.beta_slow > 0 && scaling.beta_slow < scaling.beta_fast && std::isfinite(scaling.beta_fast))) {
      return InvalidArgument("{}: rope scaling: expected 0 < slow beta < fast beta, found {} and {}", source,
                             scaling.beta_slow, scaling.beta_fast);
    }
    if (!(scaling.attention_factor >= 0 && scaling.attention_factor <= 1e6)) {
      return InvalidArgument("{}: rope scaling's attention factor: expected 0 to 1000000, found {}", source,
                             scaling.attention_factor);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckConfig(const LlamaConfig& config, const std::string& source) {
  TOME_RETURN_IF_ERROR(CheckSizes(config, source));
  if (!(config.rms_norm_epsilon > 0 && config.rms_norm_epsilon < 1)) {
    return InvalidArgument("{}: RMS norm epsilon: expected a number above 0 and below 1, found {}", source,
                           config.rms_norm_epsilon);
  }
  if (!(config.rope_theta > 1 && config.rope_theta <= 1e15)) {
    return InvalidArgument("{}: rope theta: expected a number above 1 and at most 1e15, found {}", source,
                           config.rope_theta);
  }
  return CheckRopeScaling(config, source);
}

}  // namespace tome
