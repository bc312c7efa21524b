// How near the meanings of two tokens are, by the model's own embeddings: "physician" to "doctor", in every language
// that the model knows, without any list of synonyms.
//
// Embeddings of a language model share a mean and a few directions that tell frequent tokens from rare ones and nothing
// of what they mean. Without these, cosines do ("all-but-the-top", Mu and Viswanath, arXiv 1702.01417, algorithm 1).
//
// Shapes: V vocabulary, E hidden size, T tokens.
#ifndef TOME_ENGINE_MODEL_TOKEN_MEANINGS_H_
#define TOME_ENGINE_MODEL_TOKEN_MEANINGS_H_

#include <ATen/core/Tensor.h>

#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/model/weights.h"

namespace tome {

// Immutable and thread-safe.
class TokenMeanings {
 public:
  // Some passes over the embeddings: a third of a second for 49,152 tokens of 576 numbers. Throws what torch throws.
  explicit TokenMeanings(const LlamaWeights& weights);

  // The cosine of each token of the vocabulary with each of `tokens`: [V, T], fp32, on the CPU. `weights`: the same.
  at::Tensor Similarities(const LlamaWeights& weights, absl::Span<const TokenId> tokens) const;

 private:
  at::Tensor mean_;             // [E]
  at::Tensor common_;           // [E, directions], orthonormal
  at::Tensor inverse_lengths_;  // [V], of what is left of each embedding
};

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_TOKEN_MEANINGS_H_
