#include "tests/benchmarks/attention_bench.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "engine/attention/block_attention.h"
#include "engine/attention/flash_attention.h"
#include "tests/benchmarks/bench_support.h"

namespace tome {
namespace {

struct Kernel {
  const char* name;
  void (*attend)(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, const at::Tensor& out);
  at::ScalarType type;
  double best = std::numeric_limits<double>::infinity();
};

nlohmann::json BenchSpan(const AttentionBenchOptions& options, const AttentionBenchOptions::Span& span) {
  Kernel kernels[] = {{"flash, fp32", FlashAttention, at::kFloat},
                      {"flash, bf16", FlashAttention, at::kBFloat16},
                      {"block, bf16", BlockAttention, at::kBFloat16}};
  const at::Tensor queries = at::randn({options.heads, span.tokens, options.head_dim});
  const at::Tensor keys = at::randn({options.kv_heads, span.past + span.tokens, options.head_dim});
  const at::Tensor values = at::randn_like(keys);
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (Kernel& kernel : kernels) {
      const at::Tensor q = queries.to(kernel.type), k = keys.to(kernel.type), v = values.to(kernel.type);
      const at::Tensor out = at::empty({span.tokens, options.heads * options.head_dim}, q.options());
      kernel.best = std::min(kernel.best, Seconds([&] { kernel.attend(q, k, v, out); }));
    }
  }
  // Of the pairs that are seen; a multiply-add counts as two.
  const double pairs = static_cast<double>(span.tokens) * (static_cast<double>(span.past) + (span.tokens + 1) / 2.0);
  const double operations = 4.0 * pairs * static_cast<double>(options.heads * options.head_dim);
  nlohmann::json runs = nlohmann::json::array();
  for (const Kernel& kernel : kernels) {
    runs.push_back({{"kernel", kernel.name}, {"seconds", kernel.best}, {"gflops", operations / kernel.best * 1e-9}});
  }
  return {{"past", span.past}, {"tokens", span.tokens}, {"runs", runs}};
}

}  // namespace

nlohmann::json BenchAttention(const AttentionBenchOptions& options) {
  const c10::InferenceMode inference;
  at::manual_seed(1);
  nlohmann::json spans = nlohmann::json::array();
  for (const AttentionBenchOptions::Span& span : options.spans) spans.push_back(BenchSpan(options, span));
  return {{"heads", options.heads}, {"kv_heads", options.kv_heads}, {"head_dim", options.head_dim}, {"spans", spans}};
}

}  // namespace tome
