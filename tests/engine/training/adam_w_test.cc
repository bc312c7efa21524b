#include "engine/training/adam_w.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace tome {
namespace {

NamedParameter Leaf(const std::string& name, const std::vector<float>& values, at::IntArrayRef shape) {
  return {name, at::tensor(values).view(shape).clone().requires_grad_()};
}

void SetGradient(const NamedParameter& parameter, const std::vector<float>& values) {
  at::Tensor tensor = parameter.tensor;
  tensor.mutable_grad() = at::tensor(values).view(tensor.sizes());
}

// The formula, number by number.
TEST(AdamW, IsItsFormula) {
  const AdamWOptions options = {.weight_decay = 0.1};
  const NamedParameter matrix = Leaf("matrix", {1, -2, 0.5f, 3}, {2, 2}), vector = Leaf("vector", {1, 2}, {2});
  AdamW optimizer({matrix, vector}, options);
  std::vector<double> weights = {1, -2, 0.5, 3, 1, 2}, first(6), second(6);
  for (int step = 1; step <= 5; ++step) {
    std::vector<float> gradients;
    for (int i = 0; i < 6; ++i) gradients.push_back(0.1f * static_cast<float>((i * 7 + step * 3) % 11 - 5));
    SetGradient(matrix, {gradients.begin(), gradients.begin() + 4});
    SetGradient(vector, {gradients.begin() + 4, gradients.end()});
    optimizer.Step(0.01, 0.5);
    for (int i = 0; i < 6; ++i) {
      const double g = 0.5 * gradients[i];
      first[i] = 0.9 * first[i] + 0.1 * g;
      second[i] = 0.999 * second[i] + 0.001 * g * g;
      const double spread = std::sqrt(second[i] / (1 - std::pow(0.999, step))) + 1e-8;
      weights[i] -= 0.01 * (first[i] / (1 - std::pow(0.9, step)) / spread + (i < 4 ? 0.1 * weights[i] : 0));
      const at::Tensor& tensor = i < 4 ? matrix.tensor : vector.tensor;
      EXPECT_NEAR(tensor.detach().flatten()[i < 4 ? i : i - 4].item<float>(), weights[i], 1e-5) << step << " " << i;
    }
    EXPECT_FALSE(matrix.tensor.grad().defined());
  }
}

TEST(AdamW, LeavesParametersWithoutAGradient) {
  const NamedParameter still = Leaf("still", {1, 2, 3, 4}, {2, 2});
  AdamW optimizer({still}, {.weight_decay = 0.5});
  optimizer.Step(0.1);
  EXPECT_TRUE(at::equal(still.tensor.detach(), at::tensor({1.f, 2.f, 3.f, 4.f}).view({2, 2})));
}

TEST(AdamW, KnowsTheNormOfAllGradientsTogether) {
  const NamedParameter a = Leaf("a", {0, 0}, {2}), b = Leaf("b", {0}, {1});
  const AdamW optimizer({a, b}, {});
  SetGradient(a, {2, 3});
  SetGradient(b, {6});
  EXPECT_DOUBLE_EQ(optimizer.GradientNorm(), 7);
}

}  // namespace
}  // namespace tome
