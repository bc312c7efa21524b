// A model's weights with an adapter.
#ifndef TOME_ENGINE_MODEL_ADAPTED_WEIGHTS_H_
#define TOME_ENGINE_MODEL_ADAPTED_WEIGHTS_H_

#include "absl/status/statusor.h"
#include "engine/adapter/adapter.h"
#include "engine/model/weights.h"

namespace tome {

// Shares all tensors of `base` but those that the adapter has trained; its matrices have the adapter's updates beside
// them (Linear::update). INVALID_ARGUMENT for an adapter of a model of another shape. Throws what torch throws.
absl::StatusOr<LlamaWeights> WithAdapter(const LlamaWeights& base, const Adapter& adapter);

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_ADAPTED_WEIGHTS_H_
