// The cross entropy of tokens and its gradient, a few hundred rows at a time: logits of a large vocabulary are never
// all there at once.
#ifndef TOME_ENGINE_TRAINING_TOKEN_LOSS_H_
#define TOME_ENGINE_TRAINING_TOKEN_LOSS_H_

#include <ATen/core/Tensor.h>

#include "absl/types/span.h"
#include "engine/base/types.h"

namespace tome {

// The output layer: fp32 norm [E], and the matrix [V, E] in the type of the products. Either may be a leaf of autograd.
struct LossHead {
  at::Tensor norm, matrix;
  double epsilon = 1e-5;
};

struct TokenLoss {
  double nats = 0;      // -log p(target), summed
  at::Tensor gradient;  // of `hidden`: fp32 [n, E], times `scale`; undefined where none was asked for
};

// Of each row of hidden [n, E], fp32, the token that follows it. With gradients, which are those of scale * nats, they
// are also added to those of the head's leaves. Throws what torch throws.
TokenLoss ComputeTokenLoss(const LossHead& head, const at::Tensor& hidden, absl::Span<const TokenId> targets,
                           bool with_gradients, double scale = 1);

}  // namespace tome

#endif  // TOME_ENGINE_TRAINING_TOKEN_LOSS_H_
