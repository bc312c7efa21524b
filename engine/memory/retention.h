// What the region memory keeps when it is full: a score for each token, given when it leaves the window, and from these
// the choice of what leaves for good. Tokens are only ever selected, never averaged.
#ifndef TOME_ENGINE_MEMORY_RETENTION_H_
#define TOME_ENGINE_MEMORY_RETENTION_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/memory/archive.h"
#include "engine/memory/key_value_block.h"
#include "engine/memory/memory_options.h"

namespace tome {

// How often tokens, and pairs of neighbours, stood in what was read. Pairs are counted by hash, so that the tables do
// not grow. A function of the archive.
class TokenCounts {
 public:
  explicit TokenCounts(std::int64_t vocab_size) : tokens_(vocab_size), pairs_(kPairs) {}
  void Add(const ArchiveBlock& block);

  std::int64_t total() const { return total_; }
  std::int64_t vocab_size() const { return static_cast<std::int64_t>(tokens_.size()); }
  std::uint32_t token(TokenId id) const { return tokens_[static_cast<std::size_t>(id)]; }
  std::uint32_t pair(TokenId first, TokenId second) const { return pairs_[Slot(first, second)]; }
  std::size_t bytes() const { return Bytes(vocab_size()); }
  static std::size_t Bytes(std::int64_t vocab_size) { return (vocab_size + kPairs) * sizeof(std::uint32_t); }

 private:
  static constexpr std::size_t kPairs = 1 << 16;
  static std::size_t Slot(TokenId first, TokenId second);

  std::vector<std::uint32_t> tokens_, pairs_;
  std::int64_t total_ = 0;
};

// Whether a score is of counts.
bool NeedsCounts(RetentionScore score);

struct LeavingTokens {
  const KeyValueBlock& block;
  absl::Span<const TokenId> ids;
  std::int64_t first_token = 0;     // of all that was read
  const TokenCounts* counts;        // null unless NeedsCounts
  absl::Span<const float> queries;  // pooled, [L, KV, D]; empty before the first
};

// One for each token; higher is kept longer.
//   value norm   mean over layers and heads of the value's length
//   surprise     -log of the token's share of all tokens read
//   novelty      -log of the share of the pair that it makes with the token before
//   expected     mean over layers and heads of query . key / sqrt(D), for the pooled queries of the newest segment
//   random       of the token's number: the control
//   selections   0: regions are kept by how often they are chosen, see RegionMemory
std::vector<float> ScoreTokens(RetentionScore score, const LeavingTokens& tokens);

// A region's score: the best mean of 16 neighbouring tokens, of all when there are fewer.
float ScoreRegion(absl::Span<const float> tokens);

// The `count` best tokens, ascending; the later of equals.
std::vector<std::int64_t> BestTokens(absl::Span<const float> scores, std::size_t count);

}  // namespace tome

#endif  // TOME_ENGINE_MEMORY_RETENTION_H_
