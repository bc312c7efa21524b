// From logits to the next token.
#ifndef TOME_ENGINE_GENERATION_SAMPLER_H_
#define TOME_ENGINE_GENERATION_SAMPLER_H_

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "absl/types/span.h"
#include "engine/generation/generation_options.h"
#include "engine/generation/step_result.h"

namespace tome {

// Draws tokens with a random stream of its own: the same options and the same logits give the same tokens, on every
// machine. Not thread-safe.
class Sampler {
 public:
  // `seen`: tokens that the repetition penalty counts as said.
  Sampler(const SamplingOptions& options, absl::Span<const TokenId> seen);

  // The next token for `logits` [V], finite numbers. Order: repetition penalty, temperature, top-k, top-p, min-p.
  // Greedy (temperature 0) takes the best after the penalty, the lowest id among equals. Its log-probability is that of
  // the logits as given. The token is counted as said.
  GeneratedToken Next(absl::Span<const float> logits);

 private:
  struct Candidate {
    TokenId id;
    float logit;
    double probability;
  };

  std::vector<float> Penalize(absl::Span<const float> logits) const;
  TokenId Draw(absl::Span<const float> logits);
  std::vector<Candidate> Candidates(absl::Span<const float> logits) const;
  double NextUniform();  // 0 <= u < 1

  SamplingOptions options_;
  std::unordered_set<TokenId> seen_;
  std::uint64_t random_state_;
};

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_SAMPLER_H_
