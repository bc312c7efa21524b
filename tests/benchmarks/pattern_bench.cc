#include "tests/benchmarks/pattern_bench.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "engine/attention/causal_attention.h"
#include "engine/attention/pattern_attention.h"
#include "engine/base/status.h"

namespace tome {

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
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (std::size_t i = 0; i < plans.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      if (patterns[i].dense()) {
        CausalAttention(queries[0], keys[0], values[0], out);
      } else {
        PatternAttention(plans[i], queries, keys, values);
      }
      best[i] = std::min(best[i], std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
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
  return nlohmann::json{{"tokens", options.tokens},
                        {"heads", options.heads},
                        {"kv_heads", options.kv_heads},
                        {"head_dim", options.head_dim},
                        {"runs", runs}};
}

}  // namespace tome
