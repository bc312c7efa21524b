// What was measured about a model once, by `tome-eval calibrate`, and is kept beside it: which attention heads find the
// text that answers a question, how their keys are stored in few bytes, and the prompt that works best.
#ifndef TOME_ENGINE_MODEL_PROFILES_MODEL_PROFILE_H_
#define TOME_ENGINE_MODEL_PROFILES_MODEL_PROFILE_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/llama_config.h"
#include "engine/model/profiles/prompt_form.h"

namespace tome {

// A key-value head whose un-rotated keys route questions. Shapes: D head dimension, R code dimensions.
// The code of a key k is round(basis (k - mean) / step), clamped to the code's range: R small integers.
struct RetrievalHead {
  int layer = 0;
  int kv_head = 0;
  std::vector<int> query_heads;  // of the model, all of this key-value head's group
  std::vector<float> mean;       // [D]
  std::vector<float> basis;      // [R, D], orthonormal rows
  std::vector<float> step;       // [R]
  // Un-rotated queries of questions about other things [B, D]: what draws their attention, draws it whatever is asked.
  std::vector<float> background;

  int code_dims() const { return static_cast<int>(step.size()); }
};

// How much work goes into finding the regions that a question needs.
enum class Effort {
  kFast,      // the fused lists of the routers
  kBalanced,  // the best 40 are reranked by the model
  kThorough,  // the best 256 are
};
absl::StatusOr<Effort> ParseEffort(std::string_view name);  // "fast", "balanced", "thorough"
std::string_view EffortName(Effort effort);

struct ModelProfile {
  std::string model_digest;
  std::string made_by;  // the command, for people
  int code_bits = 8;    // 4 or 8
  std::vector<RetrievalHead> heads;
  // What questions get that do not say; absent: the defaults of every model.
  std::optional<PromptForm> prompt_form;
  std::optional<int> budget_tokens;
  std::optional<Effort> effort;

  bool empty() const { return heads.empty(); }
  // Bytes of one token's codes.
  int code_bytes() const;
  // The layers that a question must pass to get its queries: the last head's layer + 1.
  int num_layers() const;
};

// INVALID_ARGUMENT names the source and the field; sizes and numbers are checked against the model.
absl::StatusOr<ModelProfile> ParseModelProfile(std::string_view json, const std::string& source,
                                               const LlamaConfig& config);
std::string FormatModelProfile(const ModelProfile& profile);
// SHA-256, hex, of all that the codes of keys depend on: a profile that differs in other things reads the same codes.
std::string RoutingCodesDigest(const ModelProfile& profile);

// The profile that the options of Model::Load mean; empty when there is none. FAILED_PRECONDITION when one was named
// that was made for another model.
absl::StatusOr<ModelProfile> LoadModelProfile(const std::string& profile_path, const std::string& model_path,
                                              const std::string& model_digest, const LlamaConfig& config);

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_PROFILES_MODEL_PROFILE_H_
