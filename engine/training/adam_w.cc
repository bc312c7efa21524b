#include "engine/training/adam_w.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <utility>

namespace tome {

AdamW::AdamW(std::vector<NamedParameter> parameters, const AdamWOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const NamedParameter& parameter : parameters_) {
    state_.first.push_back(at::zeros_like(parameter.tensor.detach()));
    state_.second.push_back(at::zeros_like(parameter.tensor.detach()));
  }
}

double AdamW::GradientNorm() const {
  double squares = 0;
  for (const NamedParameter& parameter : parameters_) {
    const at::Tensor& gradient = parameter.tensor.grad();
    if (gradient.defined()) squares += gradient.to(at::kDouble).square().sum().item<double>();
  }
  return std::sqrt(squares);
}

void AdamW::Step(double learning_rate, double gradient_scale) {
  const c10::NoGradGuard no_gradients;
  ++state_.steps;
  const auto t = static_cast<double>(state_.steps);
  const double first_bias = 1 - std::pow(options_.beta1, t), second_bias = 1 - std::pow(options_.beta2, t);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor weight = parameters_[i].tensor.detach();
    const at::Tensor& gradient = parameters_[i].tensor.grad();
    if (!gradient.defined()) continue;
    const at::Tensor scaled = gradient.mul(gradient_scale);
    state_.first[i].mul_(options_.beta1).add_(scaled, 1 - options_.beta1);
    state_.second[i].mul_(options_.beta2).addcmul_(scaled, scaled, 1 - options_.beta2);
    if (weight.dim() > 1) weight.mul_(1 - learning_rate * options_.weight_decay);
    const at::Tensor spread = state_.second[i].div(second_bias).sqrt_().add_(options_.epsilon);
    weight.addcdiv_(state_.first[i], spread, -learning_rate / first_bias);
  }
  ForgetGradients();
}

void AdamW::ForgetGradients() {
  for (NamedParameter& parameter : parameters_) parameter.tensor.mutable_grad() = at::Tensor();
}

void AdamW::Restore(const State& state) {
  const c10::NoGradGuard no_gradients;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    state_.first[i].copy_(state.first[i]);
    state_.second[i].copy_(state.second[i]);
  }
  state_.steps = state.steps;
}

}  // namespace tome
