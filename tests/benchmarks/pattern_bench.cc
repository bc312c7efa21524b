#include "tests/benchmarks/pattern_bench.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/attention/causal_attention.h"
#include "engine/attention/pattern_attention.h"
#include "engine/base/status.h"
#include "tests/benchmarks/bench_support.h"

namespace tome {
namespace {

// Dense causal attention in blocks of queries, as two products and a softmax: what the fused kernel is compared with.
void BlockedAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                      const at::Tensor& out) {
  constexpr std::int64_t kBlock = 64;
  const std::int64_t heads = queries.size(0), tokens = queries.size(1), group = heads / keys.size(0);
  const double scale = 1 / std::sqrt(static_cast<double>(queries.size(2)));
  const at::Tensor above = at::ones({kBlock, kBlock}, at::kBool).triu(1);
  for (std::int64_t head = 0; head < heads; ++head) {
    const at::Tensor own_keys = keys[head / group], own_values = values[head / group];
    for (std::int64_t first = 0; first < tokens; first += kBlock) {
      const std::int64_t count = std::min(kBlock, tokens - first), end = first + count;
      const at::Tensor block = queries[head].narrow(0, first, count) * scale;
      const at::Tensor scores = at::mm(block, own_keys.narrow(0, 0, end).t());
      scores.narrow(1, first, count)
          .masked_fill_(above.narrow(0, 0, count).narrow(1, 0, count), -std::numeric_limits<float>::infinity());
      out.narrow(0, first, count)
          .narrow(1, head * queries.size(2), queries.size(2))
          .copy_(at::mm(at::softmax(scores, -1), own_values.narrow(0, 0, end)));
    }
  }
}

}  // namespace

absl::StatusOr<nlohmann::json> BenchPatterns(const PatternBenchOptions& options) {
  const c10::InferenceMode inference;
  at::manual_seed(1);
  const at::Tensor queries = at::randn({1, options.heads, options.tokens, options.head_dim});
  const at::Tensor keys = at::randn({1, options.kv_heads, options.tokens, options.head_dim});
  const at::Tensor values = at::randn({1, options.kv_heads, options.tokens, options.head_dim});
  const at::Tensor out = at::empty({options.tokens, options.heads * options.head_dim});
  std::vector<PatternPlan> plans;
  std::vector<AttentionPattern> patterns;
  for (const std::string& text : options.patterns) {
    TOME_ASSIGN_OR_RETURN(patterns.emplace_back(), AttentionPattern::Parse(text));
    TOME_ASSIGN_OR_RETURN(const std::vector<HeadPattern> heads,
                          patterns.back().ForHeads(options.heads, options.tokens));
    plans.emplace_back(heads, AttentionSpan{.queries = options.tokens});
  }
  std::vector<double> best(plans.size(), std::numeric_limits<double>::infinity());
  double blocked = std::numeric_limits<double>::infinity();
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (std::size_t i = 0; i < plans.size(); ++i) {
      best[i] = std::min(best[i], Seconds([&] {
                           if (patterns[i].dense()) {
                             CausalAttention(queries[0], keys[0], values[0], out);
                           } else {
                             PatternAttention(plans[i], queries, keys, values);
                           }
                         }));
    }
    blocked = std::min(blocked, Seconds([&] { BlockedAttention(queries[0], keys[0], values[0], out); }));
  }
  nlohmann::json runs = nlohmann::json::array();
  const auto dense = std::find_if(patterns.begin(), patterns.end(), [](const auto& own) { return own.dense(); });
  for (std::size_t i = 0; i < plans.size(); ++i) {
    nlohmann::json run = {{"pattern", patterns[i].ToString()},
                          {"seconds", best[i]},
                          {"multiply_adds", plans[i].MultiplyAdds(options.head_dim)}};
    if (dense != patterns.end()) run["share_of_dense"] = best[i] / best[dense - patterns.begin()];
    runs.push_back(std::move(run));
  }
  return nlohmann::json{{"tokens", options.tokens},           {"heads", options.heads},
                        {"kv_heads", options.kv_heads},       {"head_dim", options.head_dim},
                        {"dense_in_blocks_seconds", blocked}, {"runs", runs}};
}

}  // namespace tome
