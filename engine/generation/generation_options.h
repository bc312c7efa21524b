// How an answer is generated.
#ifndef TOME_ENGINE_GENERATION_GENERATION_OPTIONS_H_
#define TOME_ENGINE_GENERATION_GENERATION_OPTIONS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/text/tokenizer.h"

namespace tome {

struct SamplingOptions {
  double temperature = 0.0;         // 0 = greedy
  int top_k = 0;                    // 0 = all
  double top_p = 1.0;               // keep the smallest set of tokens with at least this probability
  double min_p = 0.0;               // drop tokens less probable than this times the best
  double repetition_penalty = 1.0;  // divides positive, multiplies negative logits of tokens already seen
  std::uint64_t seed = 0;           // the same seed, prompt and options give the same text
};

struct GenerationOptions {
  SamplingOptions sampling;
  int max_tokens = 256;
  // Where the context has no room for max_tokens after the prompt, the answer ends when it is full (kContextFull),
  // instead of being refused.
  bool up_to_context = false;
  std::vector<std::string> stop;     // texts that end the answer and are not part of it; may span tokens
  std::vector<TokenId> stop_tokens;  // with all that end a text for the model: Tokenizer::ends
  bool log_probabilities = false;    // report the log-probability of each token
};
// INVALID_ARGUMENT names the field and the allowed range.
absl::Status ValidateGenerationOptions(const GenerationOptions& options);

enum class FinishReason { kNone, kStopToken, kStopText, kMaxTokens, kContextFull };
std::string_view FinishReasonName(FinishReason reason);  // "stop_token", ...

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_GENERATION_OPTIONS_H_
