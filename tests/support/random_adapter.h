// Adapters with random numbers.
#ifndef TOME_TESTS_SUPPORT_RANDOM_ADAPTER_H_
#define TOME_TESTS_SUPPORT_RANDOM_ADAPTER_H_

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/adapter/adapter.h"

namespace tome::testing {

struct RandomAdapterOptions {
  std::int64_t rank = 4;
  double scale = 1.5;
  std::uint32_t seed = 1;
  std::vector<AdaptedMatrix> matrices = {kAdaptedMatrices.begin(), kAdaptedMatrices.end()};
  std::vector<std::string> trained;  // names of whole tensors
  bool tied_output = false;
};

// Ends the test program when that fails. Every number is one of bf16.
inline std::shared_ptr<const Adapter> RandomAdapter(const LlamaConfig& config, const RandomAdapterOptions& options) {
  std::mt19937 random(options.seed);
  std::normal_distribution<float> normal;
  const auto fill = [&](std::int64_t count, float size, float mean) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) values.push_back(mean + std::round(normal(random) * size * 64) / 64);
    return values;
  };
  AdapterContents contents;
  contents.layers.resize(static_cast<std::size_t>(config.num_layers));
  contents.tied_output = options.tied_output;
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const AdaptedMatrix matrix : options.matrices) {
      const MatrixShape shape = ShapeOf(matrix, config);
      contents.Pair(layer, matrix) = {.rank = options.rank,
                                      .scale = options.scale,
                                      .a = fill(options.rank * shape.columns, 0.2f, 0),
                                      .b = fill(shape.rows * options.rank, 0.2f, 0)};
    }
  }
  for (const std::string& name : options.trained) {
    const std::vector<std::int64_t> shape = *TrainableTensorShape(name, config);
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    contents.trained[name] = fill(count, 0.3f, name.find("norm") == std::string::npos ? 0.0f : 1.0f);
  }
  auto adapter = Adapter::Make(config, std::move(contents), "random adapter");
  if (!adapter.ok()) {
    std::fprintf(stderr, "random adapter: %s\n", adapter.status().ToString().c_str());
    std::abort();
  }
  return *std::move(adapter);
}

}  // namespace tome::testing

#endif  // TOME_TESTS_SUPPORT_RANDOM_ADAPTER_H_
