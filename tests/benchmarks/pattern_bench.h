// tome-bench's section "patterns": how long attention takes with each pattern, next to dense attention.
#ifndef TOME_TESTS_BENCHMARKS_PATTERN_BENCH_H_
#define TOME_TESTS_BENCHMARKS_PATTERN_BENCH_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tome {

struct PatternBenchOptions {
  std::vector<std::string> patterns = {
      "dense",           "sliding(1024)", "dilated(256,4)", "s2(m=16)",       "scca-fixed(m=16)",
      "scca-flow(m=16)", "sda2",          "sda4",           "longmixed(m=16)"};
  std::int64_t tokens = 16384;
  std::int64_t heads = 16;
  std::int64_t kv_heads = 16;
  std::int64_t head_dim = 64;
  int repeats = 3;
};

// Times one layer's attention over random fp32 tensors; the best of the repeats, the patterns in turn. Multiply-adds
// are those of the plan. Dense attention in blocks of plain products is timed beside torch's fused kernel, which runs
// all patterns on the CPU.
absl::StatusOr<nlohmann::json> BenchPatterns(const PatternBenchOptions& options);

}  // namespace tome

#endif  // TOME_TESTS_BENCHMARKS_PATTERN_BENCH_H_
