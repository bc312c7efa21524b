#include "engine/training/token_loss.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "engine/training/differentiable.h"

namespace tome {
namespace {

constexpr std::int64_t kRows = 512;

// p(token) - [token is the target], in the place of the logits; and the losses' sum.
double ProbabilitiesLessTargets(const at::Tensor& targets, const at::Tensor& logits) {
  const at::Tensor column = targets.unsqueeze(1);
  const at::Tensor sums = at::logsumexp(logits, 1, /*keepdim=*/true);
  const double nats = sums.sub(logits.gather(1, column)).sum(at::kDouble).item<double>();
  logits.sub_(sums).exp_();
  logits.scatter_add_(1, column, at::full(column.sizes(), -1, logits.options()));
  return nats;
}

void AddToGradient(const at::Tensor& leaf, const at::Tensor& gradient) {
  at::Tensor& total = const_cast<at::Tensor&>(leaf).mutable_grad();
  if (total.defined()) {
    total.add_(gradient);
  } else {
    total = gradient;
  }
}

double BlockLoss(const LossHead& head, const at::Tensor& hidden, const at::Tensor& targets, bool with_gradients,
                 double scale, const at::Tensor& gradient) {
  at::Tensor input = hidden.detach(), normed;
  {
    const c10::AutoGradMode mode(with_gradients);
    input.requires_grad_(with_gradients);
    normed = RmsNorm(input, head.norm, head.epsilon);
  }
  const c10::NoGradGuard no_gradients;
  const at::Tensor matrix = head.matrix.detach(), in = normed.detach().to(matrix.scalar_type());
  const at::Tensor logits = at::linear(in, matrix).to(at::kFloat);
  const double nats = ProbabilitiesLessTargets(targets, logits);
  if (!with_gradients) return nats;
  const at::Tensor of_logits = logits.mul_(scale).to(matrix.scalar_type());
  if (head.matrix.requires_grad()) AddToGradient(head.matrix, at::matmul(of_logits.t(), in).to(at::kFloat));
  torch::autograd::backward({normed}, {at::matmul(of_logits, matrix).to(at::kFloat)});
  gradient.copy_(input.grad());
  return nats;
}

}  // namespace

TokenLoss ComputeTokenLoss(const LossHead& head, const at::Tensor& hidden, absl::Span<const TokenId> targets,
                           bool with_gradients, double scale) {
  const at::Tensor ids =
      at::tensor(at::ArrayRef<TokenId>(targets.data(), targets.size()), at::kInt).to(hidden.device(), at::kLong);
  TokenLoss loss;
  if (with_gradients) loss.gradient = at::empty(hidden.sizes(), hidden.options());
  for (std::int64_t first = 0; first < hidden.size(0); first += kRows) {
    const std::int64_t count = std::min(kRows, hidden.size(0) - first);
    loss.nats += BlockLoss(head, hidden.narrow(0, first, count), ids.narrow(0, first, count), with_gradients, scale,
                           with_gradients ? loss.gradient.narrow(0, first, count) : at::Tensor());
  }
  return loss;
}

}  // namespace tome
