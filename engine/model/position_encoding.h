// Position encodings that a session or an evaluation chooses in place of the checkpoint's own.
#ifndef TOME_ENGINE_MODEL_POSITION_ENCODING_H_
#define TOME_ENGINE_MODEL_POSITION_ENCODING_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/llama_config.h"

namespace tome {

// The length that a model was trained on before any scaling extended it.
std::int64_t TrainedLength(const LlamaConfig& config);

// `config` with another encoding: "" (the checkpoint's own), "rope" (none), or linear, ntk, dynamic-ntk, yarn, llama3
// or crd-ntk with a factor of 1 to 1024 in parentheses, "yarn(4)". The context becomes factor times as long; formulas
// and sources are in rope.h. INVALID_ARGUMENT says what is allowed, or why it does not go with the checkpoint: one that
// was trained with a scaling of its own can only be told to scale further in the same way.
absl::StatusOr<LlamaConfig> WithPositionEncoding(std::string_view encoding, const LlamaConfig& config);

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_POSITION_ENCODING_H_
