#include "engine/attention/attention_plan.h"

#include <algorithm>

namespace tome {
namespace {

// Windows are cut into blocks of at most so many queries: large enough for matrix products, small enough for caches.
constexpr std::int64_t kBlockQueries = 256;

// Positions first, first + step, ..., of the sequence.
struct Positions {
  std::int64_t first = 0, step = 1, count = 0;

  std::int64_t at(std::int64_t index) const { return first + index * step; }
  Positions From(std::int64_t index) const { return {at(index), step, count - index}; }
  Positions Slice(std::int64_t index, std::int64_t size) const { return {at(index), step, size}; }
};

// The positions of a span's queries that are = residue (mod step).
Positions OfResidue(const AttentionSpan& span, std::int64_t residue, std::int64_t step) {
  const std::int64_t first = span.first_query + ((residue - span.first_query) % step + step) % step;
  const std::int64_t end = span.first_query + span.queries;
  return {first, step, first < end ? (end - first + step - 1) / step : 0};
}

class Planner {
 public:
  explicit Planner(const AttentionSpan& span) : span_(span) {}

  // All queries see all of the keys.
  void Full(const Positions& queries, const Positions& keys, bool joins) {
    Add(AttentionPiece::Kind::kFull, queries, keys, joins);
  }

  void OwnKey(const Positions& queries) {
    for (std::int64_t i = 0; i < queries.count; ++i) {
      Full({queries.at(i), 1, 1}, {queries.at(i), 1, 1}, /*joins=*/false);
    }
  }

  // Query i sees keys from `first` to last + i * step, step apart; `first` and `last` are on the same grid. Queries
  // that see none see their own.
  void UpTo(Positions queries, std::int64_t first, std::int64_t last) {
    if (queries.count == 0) return;
    if (last < first) {
      const std::int64_t blind = std::min(queries.count, (first - last + queries.step - 1) / queries.step);
      OwnKey(queries.Slice(0, blind));
      last += blind * queries.step;
      queries = queries.From(blind);
      if (queries.count == 0) return;
    }
    Add(AttentionPiece::Kind::kCausal, queries, {last, queries.step, queries.count}, /*joins=*/false);
    if (last > first) Full(queries, {first, queries.step, (last - first) / queries.step}, /*joins=*/true);
  }

  // Query i sees the `window` keys that end with its own, step apart, and none before `first_key`.
  void Sliding(const Positions& queries, std::int64_t window) {
    const std::int64_t step = queries.step;
    // The first key that is at hand, on the queries' grid, and the first query whose window begins there or later.
    const std::int64_t ahead = queries.first - span_.first_key, first = queries.first - ahead / step * step;
    const std::int64_t whole = std::clamp<std::int64_t>((first - queries.first) / step + window - 1, 0, queries.count);
    UpTo(queries.Slice(0, whole), first, queries.first);
    const std::int64_t block = std::min(window, kBlockQueries);
    for (std::int64_t i = whole; i < queries.count; i += block) {
      SlidingBlock(queries.Slice(i, std::min(block, queries.count - i)), window);
    }
  }

  std::vector<AttentionPiece> Take() && {
    // The first piece of each query before those that are joined with it.
    std::stable_sort(pieces_.begin(), pieces_.end(),
                     [](const AttentionPiece& a, const AttentionPiece& b) { return a.joins < b.joins; });
    return std::move(pieces_);
  }

 private:
  // At most `window` queries whose windows are whole.
  void SlidingBlock(const Positions& queries, std::int64_t window) {
    const std::int64_t count = queries.count, step = queries.step;
    Add(AttentionPiece::Kind::kCausal, queries, queries, /*joins=*/false);
    // What all see, then what the first sees, the second all but one of, and the last none of.
    if (window > count) Full(queries, {queries.first - (window - count) * step, step, window - count}, /*joins=*/true);
    if (count > 1) {
      Add(AttentionPiece::Kind::kReversed, queries.Slice(0, count - 1),
          {queries.first - (window - 1) * step, step, count - 1}, /*joins=*/true);
    }
  }

  void Add(AttentionPiece::Kind kind, const Positions& queries, const Positions& keys, bool joins) {
    AttentionPiece piece{
        .kind = kind,
        .queries = {.first = queries.first - span_.first_query, .step = queries.step, .count = queries.count},
        .keys = {.first = keys.first - span_.first_key + span_.prefix, .step = keys.step, .count = keys.count},
        .joins = joins};
    if (!Extends(piece)) pieces_.push_back(piece);
  }

  // Whether the piece goes on with a batch that one of the newest pieces began. If so it is added to it.
  bool Extends(const AttentionPiece& piece) {
    constexpr std::size_t kNewest = 4;
    for (std::size_t back = 1; back <= std::min(kNewest, pieces_.size()); ++back) {
      AttentionPiece& last = pieces_[pieces_.size() - back];
      if (last.kind != piece.kind || last.joins != piece.joins || last.queries.step != piece.queries.step ||
          last.queries.count != piece.queries.count || last.keys.step != piece.keys.step ||
          last.keys.count != piece.keys.count) {
        continue;
      }
      const std::int64_t queries = piece.queries.first - last.queries.first, keys = piece.keys.first - last.keys.first;
      if (last.batch == 1) {
        if (queries <= 0 || keys < 0) continue;
        last.queries.batch_step = queries;
        last.keys.batch_step = keys;
      } else if (queries != last.batch * last.queries.batch_step || keys != last.batch * last.keys.batch_step) {
        continue;
      }
      ++last.batch;
      return true;
    }
    return false;
  }

  const AttentionSpan span_;
  std::vector<AttentionPiece> pieces_;
};

void PlanResidue(const HeadPattern& pattern, const AttentionSpan& span, Planner* planner) {
  const std::int64_t step = pattern.step;
  // The first key at hand of the residue.
  const std::int64_t first = span.first_key + ((pattern.residue - span.first_key) % step + step) % step;
  for (std::int64_t residue = 0; residue < step; ++residue) {
    const Positions queries = OfResidue(span, residue, step);
    if (queries.count == 0) continue;
    const std::int64_t behind = ((residue - pattern.residue) % step + step) % step;
    planner->UpTo(queries, first, queries.first - behind);
  }
}

void PlanChunks(const HeadPattern& pattern, const AttentionSpan& span, Planner* planner) {
  const std::int64_t end = span.first_query + span.queries;
  for (std::int64_t query = span.first_query; query < end;) {
    const Chunk chunk = ChunkAt(pattern, query);
    const std::int64_t stop = std::min(end, chunk.end);
    const bool own = chunk.end <= pattern.roll;
    const std::int64_t first = std::max(span.first_key, own ? chunk.first : chunk.first - pattern.roll);
    // Keys before key_end; queries before it see up to their own, the others all.
    const std::int64_t key_end = own ? chunk.end : chunk.end - pattern.roll;
    const std::int64_t split = std::clamp(key_end, query, stop);
    planner->UpTo({query, 1, split - query}, first, query);
    const Positions others{split, 1, stop - split};
    if (others.count > 0 && key_end > first) {
      planner->Full(others, {first, 1, key_end - first}, /*joins=*/false);
    } else {
      planner->OwnKey(others);
    }
    query = stop;
  }
}

}  // namespace

std::int64_t AttentionPiece::VisiblePairs() const {
  return batch * (kind == Kind::kFull ? queries.count * keys.count : queries.count * (queries.count + 1) / 2);
}

std::vector<AttentionPiece> PlanAttention(const HeadPattern& pattern, const AttentionSpan& span) {
  Planner planner(span);
  const Positions all{span.first_query, 1, span.queries};
  switch (pattern.kind) {
    case HeadPattern::Kind::kAll:
      planner.UpTo(all, span.first_key, span.first_query);
      break;
    case HeadPattern::Kind::kWindow:
      for (std::int64_t residue = 0; residue < pattern.step; ++residue) {
        const Positions queries = OfResidue(span, residue, pattern.step);
        if (queries.count > 0) planner.Sliding(queries, pattern.window);
      }
      break;
    case HeadPattern::Kind::kResidue:
      PlanResidue(pattern, span, &planner);
      break;
    case HeadPattern::Kind::kChunk:
      PlanChunks(pattern, span, &planner);
      break;
  }
  std::vector<AttentionPiece> pieces = std::move(planner).Take();
  if (span.prefix > 0) {
    pieces.push_back({.kind = AttentionPiece::Kind::kFull,
                      .queries = {.count = span.queries},
                      .keys = {.count = span.prefix},
                      .joins = true});
  }
  return pieces;
}

}  // namespace tome
