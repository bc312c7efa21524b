// The merging of byte-pair encoding.
#ifndef TOME_ENGINE_TEXT_TOKENIZERS_BPE_MERGER_H_
#define TOME_ENGINE_TEXT_TOKENIZERS_BPE_MERGER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "engine/base/types.h"

namespace tome {

// Merges the bytes of a word, or other tokens, into longer tokens: again and again the neighbours whose merge has the
// best rank, the leftmost first, become one. O(n log n) in the word's length. Immutable once built, then thread-safe.
class BpeMerger {
 public:
  // `byte_tokens`: of each byte; kNoToken where the vocabulary has none. Such bytes are left out of a word and counted
  // to the token before them, at its beginning to the one after them.
  static constexpr TokenId kNoToken = -1;

  explicit BpeMerger(const std::array<TokenId, 256>& byte_tokens) : byte_tokens_(byte_tokens) {}
  // Of merges that do not begin with bytes: only MergeTokens may be called.
  BpeMerger() { byte_tokens_.fill(kNoToken); }

  // Adds the next-best merge. False when the pair has one already.
  bool AddMerge(TokenId left, TokenId right, TokenId merged);

  // Adds the tokens of `word` to `out`; num_bytes is the bytes of `word` that each stands for. No token when the
  // vocabulary has none of its bytes.
  void Merge(std::string_view word, std::vector<TextToken>* out) const;

  // The same for the tokens of the parts of a word, which it overwrites.
  void MergeTokens(absl::Span<TextToken> tokens, std::vector<TextToken>* out) const;

 private:
  struct Rule {
    std::int32_t rank;
    TokenId merged;
  };
  static constexpr std::int32_t kNoRank = INT32_MAX;

  static std::uint64_t Key(TokenId left, TokenId right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
  }
  // The tokens of the single bytes, at most one for each; returns how many.
  std::size_t SplitBytes(std::string_view word, TextToken* tokens) const;
  Rule Find(TokenId left, TokenId right) const;
  void MergeFew(absl::Span<TextToken> tokens, std::vector<TextToken>* out) const;
  void MergeMany(absl::Span<const TextToken> tokens, std::vector<TextToken>* out) const;

  std::array<TokenId, 256> byte_tokens_;
  absl::flat_hash_map<std::uint64_t, Rule> rules_;
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZERS_BPE_MERGER_H_
