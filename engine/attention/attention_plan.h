// How a head pattern is computed without a mask: as a sum of dense attentions over evenly spaced queries and keys, each
// either full or causal, which are joined by their log-sum-exps (arXiv 2205.14135, section 3.1). So every pattern runs
// on kernels for dense attention, and nothing masked is computed but the upper halves of causal blocks.
#ifndef TOME_ENGINE_ATTENTION_ATTENTION_PLAN_H_
#define TOME_ENGINE_ATTENTION_ATTENTION_PLAN_H_

#include <cstdint>
#include <vector>

#include "engine/attention/pattern.h"

namespace tome {

// Evenly spaced rows, once for each element of a batch: row first + element * batch_step + i * step, 0 <= i < count.
struct RowRange {
  std::int64_t first = 0, step = 1, count = 0, batch_step = 0;

  friend bool operator==(const RowRange&, const RowRange&) = default;
};

struct AttentionPiece {
  enum class Kind {
    kFull,      // all queries see all keys
    kCausal,    // as many keys as queries; query i sees keys 0 .. i
    kReversed,  // as many keys as queries; query i sees keys i .. count - 1
  };
  Kind kind = Kind::kFull;
  RowRange queries, keys;
  std::int64_t batch = 1;
  // Of all pieces that a query is in the first one does not join: it writes what the others are joined with.
  bool joins = false;

  std::int64_t VisiblePairs() const;
};

// The rows that one call computes: queries first_query .. first_query + queries - 1 of a sequence, over the sequence's
// keys first_key .. first_query + queries - 1, behind `prefix` other keys that every query sees.
struct AttentionSpan {
  std::int64_t first_query = 0;
  std::int64_t queries = 0;
  std::int64_t first_key = 0;  // at most first_query
  std::int64_t prefix = 0;
};

// Query rows count from first_query; key rows are those of [prefix | keys]. Every query is in at least one piece.
// Pieces of the same shape at even distances are one batch.
std::vector<AttentionPiece> PlanAttention(const HeadPattern& pattern, const AttentionSpan& span);

}  // namespace tome

#endif  // TOME_ENGINE_ATTENTION_ATTENTION_PLAN_H_
