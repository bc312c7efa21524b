#include "engine/training/differentiable.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

namespace tome {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class FrozenProductFunction final : public torch::autograd::Function<FrozenProductFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const Linear* matrix) {
    context->saved_data["matrix"] = at::IValue::make_capsule(c10::make_intrusive<Holder>(*matrix));
    return matrix->Apply(x);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto holder = context->saved_data["matrix"].toCapsule();
    return {static_cast<const Holder&>(*holder).matrix.ApplyTransposed(gradients[0]), at::Tensor()};
  }

 private:
  struct Holder final : torch::CustomClassHolder {
    explicit Holder(Linear of) : matrix(std::move(of)) {}
    Linear matrix;  // a copy, which shares the weights
  };
};

class RmsNormFunction final : public torch::autograd::Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double epsilon) {
    const at::Tensor scale = x.square().mean(-1, /*keepdim=*/true).add_(epsilon).rsqrt_();
    context->save_for_backward({x, weight, scale});
    return x.mul(scale).mul_(weight);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &scale = saved[2];
    const at::Tensor normed = x.mul(scale);
    at::Tensor of_weight;
    if (weight.requires_grad()) of_weight = gradients[0].mul(normed).sum(0);
    const at::Tensor own = gradients[0].mul(weight);
    const at::Tensor mean = own.mul(normed).mean(-1, /*keepdim=*/true);
    return {own.sub(normed.mul_(mean)).mul_(scale), of_weight, at::Tensor()};
  }
};

class RotateFunction final : public torch::autograd::Function<RotateFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cosines,
                            const at::Tensor& sines) {
    context->save_for_backward({cosines, sines});
    return Rotated(x, {cosines, sines});
  }

  // A turn back.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    return {Rotated(gradients[0].contiguous(), {saved[0], saved[1].neg()}), at::Tensor(), at::Tensor()};
  }

 private:
  static at::Tensor Rotated(const at::Tensor& x, const RopeTable& table) {
    at::Tensor out = at::empty(x.sizes(), x.options());
    RotateInto(x, table, 0, out);
    return out;
  }
};

}  // namespace

at::Tensor FrozenProduct(const Linear& matrix, const at::Tensor& x) { return FrozenProductFunction::apply(x, &matrix); }

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  return RmsNormFunction::apply(x, weight, epsilon);
}

at::Tensor Rotate(const at::Tensor& x, const RopeTable& table) {
  return RotateFunction::apply(x, table.cosines, table.sines);
}

}  // namespace tome
