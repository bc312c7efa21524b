// Texts cut to a length in tokens, as a tokenizer or a server counts them.
#ifndef TOME_ENGINE_EVALUATION_QUESTIONS_CUT_TEXT_H_
#define TOME_ENGINE_EVALUATION_QUESTIONS_CUT_TEXT_H_

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/evaluation/questions/needles.h"
#include "engine/text/tokenizer.h"

namespace tome {

// How many bytes each token of a text stands for.
using TokenBytes = std::function<absl::StatusOr<std::vector<std::uint32_t>>(std::string_view)>;
// By a tokenizer, which must outlive it.
TokenBytes TokenBytesOf(const Tokenizer& tokenizer);

// The longest beginning of `text` with at most `tokens` tokens, cut between two tokens and characters.
absl::StatusOr<std::string_view> CutToTokens(const TokenBytes& token_bytes, std::string_view text, std::int64_t tokens);

// The beginning of `text` that makes `tokens` tokens with the needles to be hidden in it. INVALID_ARGUMENT when the
// text is shorter.
absl::StatusOr<std::string_view> CutBesideNeedles(const TokenBytes& token_bytes, std::string_view text,
                                                  std::int64_t tokens, const std::vector<Needle>& needles);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_QUESTIONS_CUT_TEXT_H_
