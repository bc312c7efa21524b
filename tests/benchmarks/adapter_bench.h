// tome-bench's section "adapters": what an adapter costs in prefill and in decoding.
#ifndef TOME_TESTS_BENCHMARKS_ADAPTER_BENCH_H_
#define TOME_TESTS_BENCHMARKS_ADAPTER_BENCH_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace tome {

struct AdapterBenchOptions {
  std::int64_t rank = 16;  // on all matrices, numbers of bf16
  std::int64_t tokens = 512;
  int decode_tokens = 64;
  int repeats = 5;
};

// Each run without the adapter is followed by one with it; the costs are medians of the pairs' quotients less 1.
absl::StatusOr<nlohmann::json> BenchAdapters(const Model& model, const std::vector<TokenId>& text,
                                             const AdapterBenchOptions& options);

}  // namespace tome

#endif  // TOME_TESTS_BENCHMARKS_ADAPTER_BENCH_H_
