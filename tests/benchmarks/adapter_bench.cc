#include "tests/benchmarks/adapter_bench.h"

#include <ATen/ATen.h>

#include <memory>

#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"
#include "tests/benchmarks/bench_support.h"
#include "tests/support/random_adapter.h"

namespace tome {
namespace {

struct Timed {
  double prefill = 0, decode = 0;  // seconds
};

Timed RunOnce(const LlamaWeights& weights, const std::vector<TokenId>& tokens, int decode_tokens) {
  const auto prompt = static_cast<std::int64_t>(tokens.size());
  SequenceCache cache(weights, MemoryState(MemoryOptions{}), prompt + decode_tokens);
  TokenAttention* attention = &cache;
  Timed timed;
  timed.prefill = Seconds([&] {
    const at::Tensor hidden = Forward(weights, tokens, cache);
    cache.Advance(prompt);
    ComputeLogits(weights, hidden.narrow(0, prompt - 1, 1));
  });
  timed.decode = Seconds([&] {
    for (int i = 0; i < decode_tokens; ++i) {
      const TokenId token = tokens[static_cast<std::size_t>(i) % tokens.size()];
      DecodeTokens(weights, {&token, 1}, {&attention, 1});
      cache.Advance(1);
    }
  });
  return timed;
}

}  // namespace

absl::StatusOr<nlohmann::json> BenchAdapters(const Model& model, const std::vector<TokenId>& text,
                                             const AdapterBenchOptions& options) {
  const LlamaModel& llama = LlamaModel::From(model);
  const auto adapter = testing::RandomAdapter(model.info().config, {.rank = options.rank, .scale = 0.01});
  TOME_ASSIGN_OR_RETURN(const auto adapted, llama.AdaptedWeights(adapter));
  std::vector<TokenId> tokens;
  for (std::int64_t i = 0; i < options.tokens; ++i) tokens.push_back(text[static_cast<std::size_t>(i) % text.size()]);
  std::vector<double> prefill, decode, prefill_costs, decode_costs;
  for (int i = 0; i <= options.repeats; ++i) {
    const Timed without = RunOnce(llama.weights(), tokens, options.decode_tokens);
    const Timed with = RunOnce(*adapted, tokens, options.decode_tokens);
    if (i == 0) continue;  // the first run warms up
    prefill.push_back(static_cast<double>(options.tokens) / without.prefill);
    decode.push_back(options.decode_tokens / without.decode);
    prefill_costs.push_back(with.prefill / without.prefill - 1);
    decode_costs.push_back(with.decode / without.decode - 1);
  }
  return nlohmann::json{{"rank", options.rank},
                        {"parameters", adapter->num_parameters()},
                        {"prefill_tokens_per_second_without", Median(prefill)},
                        {"prefill_cost", Median(prefill_costs)},
                        {"decode_tokens_per_second_without", Median(decode)},
                        {"decode_cost", Median(decode_costs)}};
}

}  // namespace tome
