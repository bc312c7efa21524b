// What a LLaMA config may hold. Files are foreign: these limits keep every later product of sizes far from overflow,
// and every loop over layers short.
#ifndef TOME_ENGINE_CHECKPOINT_CONTENTS_CONFIG_CHECK_H_
#define TOME_ENGINE_CHECKPOINT_CONTENTS_CONFIG_CHECK_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "engine/checkpoint/contents/llama_config.h"

namespace tome {

inline constexpr std::int64_t kMaxVocabSize = std::int64_t{1} << 24;
inline constexpr std::int64_t kMaxDimension = std::int64_t{1} << 20;  // hidden, heads, head dim, feed-forward
inline constexpr std::int64_t kMaxLayers = 1024;
inline constexpr std::int64_t kMaxContextLength = std::int64_t{1} << 31;

// Checks every range, and what fields mean together (the head counts divide, scalings have sensible factors).
// INVALID_ARGUMENT: "<source>: <field>: expected ..., found ...". Thread-safe.
absl::Status CheckConfig(const LlamaConfig& config, const std::string& source);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CONTENTS_CONFIG_CHECK_H_
