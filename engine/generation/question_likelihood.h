// How likely texts make a question, and what that tells of which of them it was asked.
#ifndef TOME_ENGINE_GENERATION_QUESTION_LIKELIHOOD_H_
#define TOME_ENGINE_GENERATION_QUESTION_LIKELIHOOD_H_

#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "engine/model/weights.h"
#include "engine/text/tokenizer.h"

namespace tome {

// A question as a search reads it: after an empty line.
std::vector<TokenId> EncodeQuestion(const Tokenizer& tokenizer, std::string_view question);

// For each text the natural logarithms of the probabilities of the question's T tokens after it, [texts][T]. Each text
// is read on its own. Throws what torch throws.
std::vector<std::vector<double>> QuestionLogProbabilities(const LlamaWeights& weights,
                                                          absl::Span<const std::vector<TokenId>> texts,
                                                          absl::Span<const TokenId> question);

// For each text by how many nats a token of it is likelier after the question than without, in the mean: what the
// question says of the text, where QuestionLogProbabilities is what the text says of the question. `texts` and
// `question` have tokens.
std::vector<double> GainsFromQuestion(const LlamaWeights& weights, absl::Span<const std::vector<TokenId>> texts,
                                      absl::Span<const TokenId> question);

// Whether a question is so much likelier after one text than after the median one that it is told there.
bool OneStandsOut(std::vector<double> likelihoods);

// How much more of the question each text tells than the others, in nats: the sum over the question's tokens of their
// log-probability after it less the median after all texts, in proportion to the roots of `token_weights` (see
// TokenWeights). A token that a text makes unlikelier costs a nat at most: a right text is told by the words that
// it makes likelier, and its other words make some unlikelier than they are after texts that say little.
// `log_probabilities`: [texts][T], as above.
std::vector<double> GainsOverMedian(absl::Span<const std::vector<double>> log_probabilities,
                                    absl::Span<const float> token_weights);

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_QUESTION_LIKELIHOOD_H_
