#include "engine/model/token_meanings.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace tome {
namespace {

constexpr std::int64_t kCommonDirections = 16;
constexpr std::int64_t kChunkRows = 4096;
// The mean and the common directions are those of about so many tokens, evenly spread.
constexpr std::int64_t kSampledRows = 65536;
constexpr int kIterations = 8;

template <typename Body>
void ForEachChunk(std::int64_t rows, Body body) {
  for (std::int64_t first = 0; first < rows; first += kChunkRows) body(first, std::min(kChunkRows, rows - first));
}

at::Tensor SampleRows(const LlamaWeights& weights) {
  const std::int64_t vocabulary = weights.config.vocab_size;
  const std::int64_t stride = std::max<std::int64_t>(1, vocabulary / kSampledRows);
  std::vector<at::Tensor> parts;
  ForEachChunk(vocabulary, [&](std::int64_t first, std::int64_t count) {
    // Weights that are no numbers make the first step fail, not the loading.
    parts.push_back(weights.embedding.Rows(first, count).slice(0, 0, count, stride).nan_to_num(0, 0, 0));
  });
  return at::cat(parts);
}

// The leading principal directions of centred rows [n, E], by orthogonal iteration from a fixed start.
at::Tensor LeadingDirections(const at::Tensor& centred, std::int64_t count) {
  const std::int64_t width = centred.size(1);
  at::Tensor basis = at::arange(width * count, at::kFloat).mul(0.7548777f).sin().view({width, count});
  for (int i = 0; i < kIterations; ++i) {
    basis = std::get<0>(at::linalg_qr(at::matmul(centred.t(), at::matmul(centred, basis))));
  }
  return basis;
}

}  // namespace

TokenMeanings::TokenMeanings(const LlamaWeights& weights) {
  const c10::InferenceMode inference;
  const std::int64_t vocabulary = weights.config.vocab_size, width = weights.config.hidden_size;
  const at::Tensor sample = SampleRows(weights);
  mean_ = sample.mean(0);
  common_ = LeadingDirections(sample - mean_, std::max<std::int64_t>(1, std::min(kCommonDirections, width / 8)));
  inverse_lengths_ = at::empty({vocabulary}, at::kFloat);
  ForEachChunk(vocabulary, [&](std::int64_t first, std::int64_t count) {
    const at::Tensor centred = weights.embedding.Rows(first, count) - mean_;
    const at::Tensor left = centred - at::matmul(at::matmul(centred, common_), common_.t());
    inverse_lengths_.narrow(0, first, count).copy_(left.norm(2, 1).clamp_min(1e-6).reciprocal());
  });
}

at::Tensor TokenMeanings::Similarities(const LlamaWeights& weights, absl::Span<const TokenId> tokens) const {
  const c10::InferenceMode inference;
  const std::int64_t vocabulary = weights.config.vocab_size;
  if (tokens.empty()) return at::empty({vocabulary, 0}, at::kFloat);
  std::vector<at::Tensor> own;
  for (const TokenId token : tokens) own.push_back(weights.embedding.Rows(token, 1));
  const at::Tensor centred = at::cat(own) - mean_;
  at::Tensor left = centred - at::matmul(at::matmul(centred, common_), common_.t());
  left = left / left.norm(2, 1, /*keepdim=*/true).clamp_min(1e-6);
  // What is left of a token has no part in the common directions, so that those of the vocabulary need no removing.
  at::Tensor similarities = at::empty({vocabulary, static_cast<std::int64_t>(tokens.size())}, at::kFloat);
  ForEachChunk(vocabulary, [&](std::int64_t first, std::int64_t count) {
    at::Tensor chunk = similarities.narrow(0, first, count);
    at::matmul_out(chunk, weights.embedding.Rows(first, count) - mean_, left.t());
    chunk.mul_(inverse_lengths_.narrow(0, first, count).unsqueeze(1));
  });
  return similarities;
}

}  // namespace tome
