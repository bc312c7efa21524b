#include "engine/model/rope.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <numbers>

#include "engine/kernels/cpu/kernels.h"
#include "engine/model/position_encoding.h"

namespace tome {
namespace {

// YaRN, section 3.2: high frequencies are kept, low ones interpolated, with a linear ramp between the dimensions that
// turn beta_fast and beta_slow times over the original context.
void ScaleYarn(const LlamaConfig& config, double original_length, RopeFrequencies* frequencies) {
  const RopeScaling& scaling = config.rope_scaling;
  const double dim = static_cast<double>(config.head_dim);
  const auto dimension_of = [&](double turns) {
    return dim * std::log(original_length / (turns * 2 * std::numbers::pi)) / (2 * std::log(config.rope_theta));
  };
  const double low = std::max(std::floor(dimension_of(scaling.beta_fast)), 0.0);
  double high = std::min(std::ceil(dimension_of(scaling.beta_slow)), dim - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < frequencies->inverse.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    double& inverse = frequencies->inverse[i];
    inverse = inverse / scaling.factor * ramp + inverse * (1 - ramp);
  }
  if (scaling.attention_factor > 0) {
    frequencies->attention_scale = scaling.attention_factor;
  } else if (scaling.factor > 1) {
    frequencies->attention_scale = 0.1 * std::log(scaling.factor) + 1.0;
  }
}

// Wavelengths below original / high_freq_factor are kept, those above original / low_freq_factor divided by factor.
void ScaleLlama3(const RopeScaling& scaling, double original_length, RopeFrequencies* frequencies) {
  for (double& inverse : frequencies->inverse) {
    const double wavelength = 2 * std::numbers::pi / inverse;
    if (wavelength < original_length / scaling.high_freq_factor) continue;
    if (wavelength > original_length / scaling.low_freq_factor) {
      inverse /= scaling.factor;
      continue;
    }
    const double smooth =
        (original_length / wavelength - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
    inverse = (1 - smooth) * inverse / scaling.factor + smooth * inverse;
  }
}

template <typename T>
void RotateRowsOnCpu(const at::Tensor& source, const RopeTable& table, std::int64_t first_position,
                     const at::Tensor& target) {
  const CpuKernels& kernels = GetCpuKernels();
  const std::int64_t batch = source.size(0), rows = source.size(1), dim = source.size(2);
  const T* from = source.const_data_ptr<T>();
  T* to = target.mutable_data_ptr<T>();
  const float* cosines = table.cosines.const_data_ptr<float>() + first_position * (dim / 2);
  const float* sines = table.sines.const_data_ptr<float>() + first_position * (dim / 2);
  at::parallel_for(0, batch * rows, 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t index = begin; index < end; ++index) {
      const std::int64_t b = index / rows, row = index % rows;
      RotateRow(kernels, from + b * source.stride(0) + row * source.stride(1), cosines + row * (dim / 2),
                sines + row * (dim / 2), to + b * target.stride(0) + row * target.stride(1), dim);
    }
  });
}

}  // namespace

RopeFrequencies ComputeRopeFrequencies(const LlamaConfig& config, std::int64_t length) {
  const RopeScaling& scaling = config.rope_scaling;
  const double trained = static_cast<double>(TrainedLength(config)), dim = static_cast<double>(config.head_dim);
  double factor = 1;
  if (scaling.kind == RopeScaling::Kind::kNtk || scaling.kind == RopeScaling::Kind::kCrdNtk) factor = scaling.factor;
  if (scaling.kind == RopeScaling::Kind::kDynamicNtk && static_cast<double>(length) > trained) {
    factor = scaling.factor * static_cast<double>(length) / trained - (scaling.factor - 1);
  }
  const double theta = config.rope_theta * (factor == 1 ? 1 : std::pow(factor, dim / (dim - 2)));
  RopeFrequencies frequencies;
  for (std::int64_t i = 0; i < config.head_dim / 2; ++i) {
    frequencies.inverse.push_back(std::pow(theta, -2.0 * static_cast<double>(i) / dim));
  }
  if (scaling.kind == RopeScaling::Kind::kLinear) {
    for (double& inverse : frequencies.inverse) inverse /= scaling.factor;
  } else if (scaling.kind == RopeScaling::Kind::kYarn) {
    ScaleYarn(config, trained, &frequencies);
  } else if (scaling.kind == RopeScaling::Kind::kLlama3) {
    ScaleLlama3(scaling, trained, &frequencies);
  }
  return frequencies;
}

double CrdStageFactor(double factor, std::int64_t stage, std::int64_t stages) {
  if (stages < 2) return factor;
  return 1 + (factor - 1) * static_cast<double>(stage) / static_cast<double>(stages - 1);
}

RopeTable RopeTable::Make(const LlamaConfig& config, std::int64_t num_positions, at::Device device,
                          std::int64_t shift) {
  const RopeFrequencies frequencies = ComputeRopeFrequencies(config, num_positions);
  const bool cyclic = config.rope_scaling.kind == RopeScaling::Kind::kCrdNtk;
  const std::int64_t half = config.head_dim / 2;
  RopeTable table;
  table.cosines = at::empty({num_positions, half}, at::kFloat);
  table.sines = at::empty({num_positions, half}, at::kFloat);
  float* cosines = table.cosines.mutable_data_ptr<float>();
  float* sines = table.sines.mutable_data_ptr<float>();
  for (std::int64_t index = 0; index < num_positions; ++index) {
    const auto position = static_cast<double>(cyclic ? (index + shift) % TrainedLength(config) : index);
    for (std::int64_t i = 0; i < half; ++i) {
      const double angle = position * frequencies.inverse[i];
      *cosines++ = static_cast<float>(std::cos(angle) * frequencies.attention_scale);
      *sines++ = static_cast<float>(std::sin(angle) * frequencies.attention_scale);
    }
  }
  table.cosines = table.cosines.to(device);
  table.sines = table.sines.to(device);
  return table;
}

void RotateInto(const at::Tensor& source, const RopeTable& table, std::int64_t first_position,
                const at::Tensor& target) {
  TORCH_CHECK(first_position + source.size(-2) <= table.cosines.size(0), "positions ", first_position, " to ",
              first_position + source.size(-2), " of ", table.cosines.size(0));
  if (source.is_cpu() && source.dim() == 3) {
    if (source.scalar_type() == at::kFloat) return RotateRowsOnCpu<float>(source, table, first_position, target);
    return RotateRowsOnCpu<at::BFloat16>(source, table, first_position, target);
  }
  const std::int64_t rows = source.size(-2), half = source.size(-1) / 2;
  const at::Tensor cosines = table.cosines.narrow(0, first_position, rows);
  const at::Tensor sines = table.sines.narrow(0, first_position, rows);
  const at::Tensor first = source.narrow(-1, 0, half).to(at::kFloat);
  const at::Tensor second = source.narrow(-1, half, half).to(at::kFloat);
  const at::Tensor turned_first = first * cosines - second * sines;
  const at::Tensor turned_second = second * cosines + first * sines;
  target.narrow(-1, 0, half).copy_(turned_first);
  target.narrow(-1, half, half).copy_(turned_second);
}

}  // namespace tome
