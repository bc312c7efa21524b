// How likely a model finds the tokens that a text really has.
#ifndef TOME_ENGINE_MODEL_TOKEN_LOSSES_H_
#define TOME_ENGINE_MODEL_TOKEN_LOSSES_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/model/weights.h"

namespace tome {

// -log p(target) in nats, of the hidden state in each row of `hidden` [n, E] and the token that follows it. n targets.
std::vector<double> TokenLosses(const LlamaWeights& weights, const at::Tensor& hidden,
                                absl::Span<const TokenId> targets);

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_TOKEN_LOSSES_H_
