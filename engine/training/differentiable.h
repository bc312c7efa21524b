// The operations of a layer that libtorch cannot differentiate as the engine computes them.
#ifndef TOME_ENGINE_TRAINING_DIFFERENTIABLE_H_
#define TOME_ENGINE_TRAINING_DIFFERENTIABLE_H_

#include <ATen/core/Tensor.h>

#include "engine/model/linear.h"
#include "engine/model/rope.h"

namespace tome {

// x W^T of x [rows, n] with the matrix as it is, without its update. The gradient goes to x alone. Packed matrices are
// expanded again on the way back.
at::Tensor FrozenProduct(const Linear& matrix, const at::Tensor& x);

// x / sqrt(mean(x^2) + epsilon) * weight, over the last dimension: fp32. Gradients go to both. (RMSNorm, arXiv
// 1910.07467)
at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

// x [heads, T, D], turned by positions 0 .. T - 1 of the table.
at::Tensor Rotate(const at::Tensor& x, const RopeTable& table);

}  // namespace tome

#endif  // TOME_ENGINE_TRAINING_DIFFERENTIABLE_H_
