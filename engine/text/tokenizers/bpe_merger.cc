#include "engine/text/tokenizers/bpe_merger.h"

#include <algorithm>
#include <queue>
#include <tuple>

namespace tome {
namespace {

// Up to this many tokens the plain search of the best pair is faster than a queue.
constexpr std::size_t kFewTokens = 48;

}  // namespace

bool BpeMerger::AddMerge(TokenId left, TokenId right, TokenId merged) {
  const Rule rule = {static_cast<std::int32_t>(rules_.size()), merged};
  return rules_.emplace(Key(left, right), rule).second;
}

BpeMerger::Rule BpeMerger::Find(TokenId left, TokenId right) const {
  const auto found = rules_.find(Key(left, right));
  return found == rules_.end() ? Rule{kNoRank, 0} : found->second;
}

std::size_t BpeMerger::SplitBytes(std::string_view word, TextToken* tokens) const {
  std::size_t size = 0;
  std::uint32_t left_out = 0;
  for (const char byte : word) {
    const TokenId id = byte_tokens_[static_cast<unsigned char>(byte)];
    if (id != kNoToken) {
      tokens[size++] = {id, 1 + left_out};
      left_out = 0;
    } else if (size > 0) {
      ++tokens[size - 1].num_bytes;
    } else {
      ++left_out;
    }
  }
  return size;
}

void BpeMerger::Merge(std::string_view word, std::vector<TextToken>* out) const {
  if (word.size() <= kFewTokens) {
    TextToken tokens[kFewTokens];
    return MergeFew(absl::MakeSpan(tokens, SplitBytes(word, tokens)), out);
  }
  std::vector<TextToken> tokens(word.size());
  tokens.resize(SplitBytes(word, tokens.data()));
  MergeTokens(absl::MakeSpan(tokens), out);
}

void BpeMerger::MergeTokens(absl::Span<TextToken> tokens, std::vector<TextToken>* out) const {
  if (tokens.size() <= kFewTokens) return MergeFew(tokens, out);
  MergeMany(tokens, out);
}

void BpeMerger::MergeFew(absl::Span<TextToken> tokens, std::vector<TextToken>* out) const {
  Rule rules[kFewTokens];  // of tokens[i] and tokens[i + 1]
  std::size_t size = tokens.size();
  for (std::size_t i = 0; i + 1 < size; ++i) rules[i] = Find(tokens[i].id, tokens[i + 1].id);

  while (size > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < size; ++i) {
      if (rules[i].rank < rules[best].rank) best = i;
    }
    if (rules[best].rank == kNoRank) break;
    tokens[best] = {rules[best].merged, tokens[best].num_bytes + tokens[best + 1].num_bytes};
    std::copy(tokens.begin() + best + 2, tokens.begin() + size, tokens.begin() + best + 1);
    if (best + 2 < size) std::copy(rules + best + 2, rules + size - 1, rules + best + 1);
    --size;
    if (best > 0) rules[best - 1] = Find(tokens[best - 1].id, tokens[best].id);
    if (best + 1 < size) rules[best] = Find(tokens[best].id, tokens[best + 1].id);
  }
  out->insert(out->end(), tokens.begin(), tokens.begin() + size);
}

void BpeMerger::MergeMany(absl::Span<const TextToken> tokens, std::vector<TextToken>* out) const {
  // A doubly linked list in an array. A merged token lives at its left part's index.
  struct Symbol {
    TextToken token;
    std::int32_t previous, next;
    bool is_gone;
  };
  struct Candidate {
    std::int32_t rank;
    std::int32_t left;
    TokenId left_id, right_id, merged;
    bool operator>(const Candidate& other) const { return std::tie(rank, left) > std::tie(other.rank, other.left); }
  };
  const auto size = static_cast<std::int32_t>(tokens.size());
  std::vector<Symbol> symbols(size);
  for (std::int32_t i = 0; i < size; ++i) symbols[i] = {tokens[i], i - 1, i + 1, false};
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto consider = [&](std::int32_t left) {
    if (left < 0 || symbols[left].next >= size) return;
    const TokenId left_id = symbols[left].token.id, right_id = symbols[symbols[left].next].token.id;
    const Rule rule = Find(left_id, right_id);
    if (rule.rank != kNoRank) queue.push({rule.rank, left, left_id, right_id, rule.merged});
  };
  for (std::int32_t i = 0; i + 1 < size; ++i) consider(i);

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[best.left];
    // One of the two was merged with another neighbour meanwhile.
    if (left.is_gone || left.token.id != best.left_id || left.next >= size ||
        symbols[left.next].token.id != best.right_id) {
      continue;
    }
    Symbol& right = symbols[left.next];
    left.token = {best.merged, left.token.num_bytes + right.token.num_bytes};
    right.is_gone = true;
    left.next = right.next;
    if (right.next < size) symbols[right.next].previous = best.left;
    consider(left.previous);
    consider(best.left);
  }
  for (std::int32_t i = 0; i < size; i = symbols[i].next) out->push_back(symbols[i].token);
}

}  // namespace tome
