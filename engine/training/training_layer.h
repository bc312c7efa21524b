// One layer of a LLaMA as autograd can follow it: the same sums as Forward's, with trained pairs and norms.
#ifndef TOME_ENGINE_TRAINING_TRAINING_LAYER_H_
#define TOME_ENGINE_TRAINING_TRAINING_LAYER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/attention/pattern_attention.h"
#include "engine/model/rope.h"
#include "engine/training/trainable.h"

namespace tome {

// Sequences side by side, of which each sees only itself, from position 0 on.
class SequenceLayout {
 public:
  // `shifts`: of CRD NTK, see RopeTable::Make, one for each sequence, or none. INVALID_ARGUMENT for a pattern that does
  // not fit the heads or a sequence's length.
  static absl::StatusOr<SequenceLayout> Make(const LlamaConfig& config, const AttentionPattern& pattern,
                                             const std::vector<std::int64_t>& lengths,
                                             const std::vector<std::int64_t>& shifts, at::Device device);

  const std::vector<std::int64_t>& lengths() const { return lengths_; }
  const PatternPlan& PlanOf(std::size_t sequence) const { return plans_.at(lengths_[sequence]); }
  const RopeTable& RopeOf(std::size_t sequence) const { return ropes_[ropes_.size() == 1 ? 0 : sequence]; }

 private:
  std::vector<std::int64_t> lengths_;
  std::map<std::int64_t, PatternPlan> plans_;
  std::vector<RopeTable> ropes_;  // of each sequence, or one for all
};

struct TrainingModel {
  const LlamaWeights* weights = nullptr;  // without updates; outlives this
  LlamaConfig config;                     // with the position encoding of the training
  AttentionPattern pattern;
  Trainable trainable;
  at::Tensor output;  // the frozen output layer [V, E], dense, in the weights' type; see MakeTrainingModel
};

// INVALID_ARGUMENT for an encoding that does not fit, see WithPositionEncoding. `weights` outlives the result.
absl::StatusOr<TrainingModel> MakeTrainingModel(const LlamaWeights& weights, std::string_view encoding,
                                                AttentionPattern pattern, Trainable trainable);

// Hidden states after layer `index`, fp32 [T, E], of those before it. Throws what torch throws.
at::Tensor TrainingLayer(const TrainingModel& model, std::int64_t index, const SequenceLayout& layout,
                         const at::Tensor& hidden);

}  // namespace tome

#endif  // TOME_ENGINE_TRAINING_TRAINING_LAYER_H_
