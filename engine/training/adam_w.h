// AdamW (arXiv 1711.05101): Adam with weight decay apart from the gradient.
//
//   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w -= lr (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + decay w)
#ifndef TOME_ENGINE_TRAINING_ADAM_W_H_
#define TOME_ENGINE_TRAINING_ADAM_W_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine/training/trainable.h"

namespace tome {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;  // of matrices; vectors are not decayed
};

// Not thread-safe.
class AdamW {
 public:
  // Shares the parameters, which are fp32 leaves.
  AdamW(std::vector<NamedParameter> parameters, const AdamWOptions& options);

  // The norm of all gradients together, in double.
  double GradientNorm() const;
  // Takes one step by the gradients, each times `gradient_scale`, and forgets them. Parameters without one stay.
  void Step(double learning_rate, double gradient_scale = 1);
  void ForgetGradients();

  struct State {
    std::vector<at::Tensor> first, second;  // m and v of each parameter
    std::int64_t steps = 0;
  };
  const State& state() const { return state_; }
  // Copies; of the same parameters.
  void Restore(const State& state);
  const std::vector<NamedParameter>& parameters() const { return parameters_; }

 private:
  std::vector<NamedParameter> parameters_;
  AdamWOptions options_;
  State state_;
};

}  // namespace tome

#endif  // TOME_ENGINE_TRAINING_ADAM_W_H_
