// tome-bench's section "attention": the kernels of dense causal attention side by side.
#ifndef TOME_TESTS_BENCHMARKS_ATTENTION_BENCH_H_
#define TOME_TESTS_BENCHMARKS_ATTENTION_BENCH_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

namespace tome {

struct AttentionBenchOptions {
  struct Span {
    std::int64_t past, tokens;
  };
  // A segment that is read with sink, window and 16 regions before it; a prompt; what a ranked sentence takes.
  std::vector<Span> spans = {{3136, 512}, {0, 2048}, {0, 64}};
  std::int64_t heads = 9;
  std::int64_t kv_heads = 3;
  std::int64_t head_dim = 64;
  int repeats = 3;
};

// Times one layer's attention over random tensors; the best of the repeats, the kernels in turn.
nlohmann::json BenchAttention(const AttentionBenchOptions& options);

}  // namespace tome

#endif  // TOME_TESTS_BENCHMARKS_ATTENTION_BENCH_H_
