// What is trained: low-rank pairs beside frozen matrices, and whole tensors in place of the model's own.
#ifndef TOME_ENGINE_TRAINING_TRAINABLE_H_
#define TOME_ENGINE_TRAINING_TRAINABLE_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/adapter/adapter.h"
#include "engine/model/weights.h"

namespace tome {

struct TrainableOptions {
  std::vector<AdaptedMatrix> matrices = {AdaptedMatrix::kQuery, AdaptedMatrix::kKey, AdaptedMatrix::kValue,
                                         AdaptedMatrix::kOutput};
  std::int64_t rank = 8;
  double alpha = 16;                            // pairs are scaled by alpha / rank
  std::map<AdaptedMatrix, std::int64_t> ranks;  // in place of `rank`; they keep the scale
  bool embedding = false, norms = false;        // trained whole, as LongLoRA does (arXiv 2309.12307)
  std::uint64_t seed = 1;
};

// fp32 leaves of autograd, on the model's device. Copies share them.
struct TrainablePair {
  at::Tensor a, b;  // [r, columns] and [rows, r]; undefined: there is none
  double scale = 1;
};

struct NamedParameter {
  std::string name;  // "model.layers.3.self_attn.q_proj.lora_A.weight", "model.norm.weight"
  at::Tensor tensor;
};

// A copy of a tensor's values, row-major.
std::vector<float> Floats(const at::Tensor& tensor);

class Trainable {
 public:
  // A random as PEFT has it, evenly within 1 / sqrt(columns), and B zero; whole tensors as the model has them. Of a
  // tied model the trained embedding stays the output as well.
  static Trainable Make(const LlamaWeights& weights, const TrainableOptions& options);
  // Of an adapter that was checked for this model.
  static Trainable From(const LlamaWeights& weights, const AdapterContents& contents);

  // Copies, as an adapter.
  AdapterContents Contents() const;

  // In a fixed order.
  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  const TrainablePair& Pair(std::int64_t layer, AdaptedMatrix matrix) const {
    return layers_[static_cast<std::size_t>(layer)][static_cast<std::size_t>(matrix)];
  }
  // The trained tensor of that name, else `frozen`.
  const at::Tensor& Whole(const std::string& name, const at::Tensor& frozen) const;
  bool Has(const std::string& name) const { return wholes_.contains(name); }
  bool tied_output() const { return tied_output_; }
  // Layers below it have nothing to train, and nothing below them has.
  std::int64_t first_layer() const { return first_layer_; }

 private:
  void Add(std::int64_t layer, AdaptedMatrix matrix, TrainablePair pair);
  void AddWhole(const std::string& name, const at::Tensor& values);

  std::vector<std::array<TrainablePair, kAdaptedMatrices.size()>> layers_;
  std::map<std::string, at::Tensor> wholes_;
  std::vector<NamedParameter> parameters_;
  bool tied_output_ = false;
  std::int64_t first_layer_ = 0;
};

}  // namespace tome

#endif  // TOME_ENGINE_TRAINING_TRAINABLE_H_
