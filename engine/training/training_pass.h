// The loss of a batch and its gradients, layer by layer: the way up keeps what goes into each layer, and the way down
// runs each layer again. So memory holds one layer's activations at a time.
#ifndef TOME_ENGINE_TRAINING_TRAINING_PASS_H_
#define TOME_ENGINE_TRAINING_TRAINING_PASS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/training/training_layer.h"

namespace tome {

// A text of which tokens from number `first_counted` on, at least 1, are learnt; each from all that come before it.
struct TrainingSequence {
  std::vector<TokenId> tokens;
  std::size_t first_counted = 1;

  std::int64_t counted() const { return static_cast<std::int64_t>(tokens.size() - first_counted); }
};

struct PassOptions {
  bool with_gradients = true;
  double scale = 1;       // of the gradients, which are added to those of the trainable leaves
  bool recompute = true;  // false: all layers' activations are kept, which is faster
  // Of CRD NTK (arXiv 2410.04211): where each sequence begins in the cycle of positions (empty: at its beginning), and
  // the factor in place of the encoding's (0: that).
  std::vector<std::int64_t> shifts;
  double rope_factor = 0;
};

// -log p of the tokens that count, summed. INVALID_ARGUMENT for a sequence without any, tokens outside the vocabulary,
// or a pattern that does not fit. Throws what torch throws.
absl::StatusOr<double> RunTrainingPass(const TrainingModel& model, absl::Span<const TrainingSequence> batch,
                                       const PassOptions& options);

// Bytes that a pass over so many tokens takes above the weights, about: what the head takes, one layer's activations,
// and what is kept of each layer.
std::int64_t EstimatePassBytes(const TrainingModel& model, std::int64_t tokens, bool recompute);

}  // namespace tome

#endif  // TOME_ENGINE_TRAINING_TRAINING_PASS_H_
