// Keys of the retrieval heads to codes of a few bytes, and questions' queries to what is multiplied with codes.
//
// Shapes: L layers, KV key-value heads, D head dimension, n tokens, R code dimensions of a head.
// A query q meets a key k with score q . k / sqrt(D). With the code c of k this is approximately
//   sum_r (basis_r . q) step_r / sqrt(D) * c_r + q . mean / sqrt(D),
// whose last term is the same for all keys, so that a softmax over keys does not need it.
#ifndef TOME_ENGINE_MEMORY_ROUTING_CODEC_H_
#define TOME_ENGINE_MEMORY_ROUTING_CODEC_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model/profiles/model_profile.h"

namespace tome {

// The codes of `keys` [L, KV, n, D], un-rotated: [n, profile.code_bytes()], the heads one after another. Two 4-bit
// codes share a byte, the first in its low half. Throws what torch throws.
std::string EncodeKeys(const ModelProfile& profile, const at::Tensor& keys);

// The codes of one head of `num_tokens` tokens as int8 [n, R].
void UnpackCodes(const ModelProfile& profile, std::size_t head, const std::uint8_t* codes, std::int64_t num_tokens,
                 std::int8_t* out);

// A question's queries at one retrieval head, for all its tokens and query heads: [Q, R] fp32.
struct HeadQueries {
  std::vector<float> values;
  int num_queries = 0;
};
// `queries` [Q, D], un-rotated, on any device.
HeadQueries ProjectQueries(const RetrievalHead& head, const at::Tensor& queries);

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_ROUTING_CODEC_H_
