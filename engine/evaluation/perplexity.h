// Perplexity of a text by sliding windows, as the papers on long contexts measure it: each token is scored once, by a
// pass over a window of N tokens of which only the last `stride` ones count (all but the first of the first window), so
// with N - stride or more tokens before it. A stride of N leaves out the first token of each window. Attention patterns
// and position encodings are those of the window.
#ifndef TOME_ENGINE_EVALUATION_PERPLEXITY_H_
#define TOME_ENGINE_EVALUATION_PERPLEXITY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/attention/pattern.h"
#include "engine/engine.h"
#include "engine/evaluation/questions/reading.h"

namespace tome {

// In what the products with weights are computed.
enum class WeightFormat {
  kAsLoaded,  // as the model was loaded: fp32 or bf16, 4-bit blocks of the checkpoint as the numbers they stand for
  kPacked,    // the checkpoint's own 4-bit or 8-bit blocks, expanded for each product and not kept otherwise
  kInt4,      // rounded to 4 bits: 16 even steps between the least and the largest of each 64 weights of a row
};

struct PerplexityOptions {
  std::int64_t context = 0;  // N
  std::int64_t stride = 256;
  std::int64_t from = 1;  // first token that is scored; windows that end before it are left out
  AttentionPattern attention;
  std::string encoding;  // as WithPositionEncoding; "" is the checkpoint's own
};

struct WindowLoss {
  std::int64_t first_token = 0;  // that is scored
  std::int64_t scored = 0;
  double nats = 0;
};

struct PerplexityResult {
  PerplexityOptions options;
  std::vector<WindowLoss> windows;
  std::int64_t scored = 0, bytes = 0, words = 0;  // of the tokens that are scored; words are parts between white space
  double nats = 0, seconds = 0;
  std::int64_t longest_context = 0;          // that the model, with the encoding, was made for
  std::int64_t attention_multiply_adds = 0;  // of one whole window, over all layers

  double NatsPerToken() const { return scored == 0 ? 0 : nats / static_cast<double>(scored); }
  bool BeyondTrained() const { return options.context > longest_context; }
};

// A text and its tokens, after BOS where the model expects it.
struct TokenizedText {
  std::string text;
  EncodedDocument encoded;
};
// `max_tokens` of it; 0: all.
TokenizedText TokenizeText(const Tokenizer& tokenizer, std::string text, std::int64_t max_tokens);

// `progress` is called with the number of tokens that are done. INVALID_ARGUMENT: a stride of 0 or above the
// context, a text shorter than one window or without a token to score, a pattern or an encoding that does not fit the
// model. Throws what torch throws.
absl::StatusOr<PerplexityResult> MeasurePerplexity(const Model& model, const TokenizedText& text,
                                                   const PerplexityOptions& options,
                                                   const std::function<void(std::int64_t)>& progress = nullptr);

// The same model with weights in another format; the matrices of its layers, embedding and output aside.
// FAILED_PRECONDITION: packed, where the checkpoint or the device has none such.
absl::StatusOr<std::shared_ptr<const Model>> WithWeights(const std::shared_ptr<const Model>& model,
                                                         WeightFormat format);

// Perplexity over what is scored, by position in the text.
std::string PlotByPosition(const std::vector<PerplexityResult>& results);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_PERPLEXITY_H_
