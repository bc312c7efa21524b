// adapter_config.json of PEFT, for LoRA.
#ifndef TOME_ENGINE_ADAPTER_PEFT_CONFIG_H_
#define TOME_ENGINE_ADAPTER_PEFT_CONFIG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/splitting/regex.h"

namespace tome {

// A rank or an alpha of the modules whose name ends with what the pattern matches.
struct PeftPattern {
  std::string text;
  std::shared_ptr<const Regex> regex;
  double value = 0;
};

struct PeftConfig {
  std::int64_t rank = 8;
  double alpha = 8;
  bool rank_stabilized = false;  // the scale is alpha / sqrt(rank) in place of alpha / rank
  bool tied_output = false;      // "ensure_weight_tying"
  std::vector<PeftPattern> rank_patterns, alpha_patterns;
  std::vector<std::string> warnings;

  // Of a module, "model.layers.3.self_attn.q_proj". INVALID_ARGUMENT where patterns of different values match it.
  absl::StatusOr<std::int64_t> RankOf(const std::string& module, const std::string& source) const;
  absl::StatusOr<double> ScaleOf(const std::string& module, std::int64_t rank, const std::string& source) const;
};

// Only "peft_type" is mandatory. Unknown fields are dropped with a warning. INVALID_ARGUMENT: "<source>: field ...",
// also for what Tome does not do, by its name: other types than LORA, DoRA, biases, layer replication, fan_in_fan_out,
// ways to begin that change the model's own weights, and others.
absl::StatusOr<PeftConfig> ParsePeftConfig(std::string_view text, const std::string& source);

}  // namespace tome

#endif  // TOME_ENGINE_ADAPTER_PEFT_CONFIG_H_
