// Attention patterns: which keys each query head may see. arXiv 2312.07305 (SCCA fixed and flow, SDA, LongMixed), arXiv
// 2309.12307 (S2, LongLoRA), sliding and dilated windows.
//
// Every pattern is defined by one function, HeadPattern::Visible: the keys that a query sees are always an arithmetic
// progression. Masks, pictures, costs and the fast kernels' plans all come from it, or are tested against it.
//
// Positions are indices in the whole sequence. With chunk width w, chunk c = [c w, (c + 1) w), g = floor(w / 2) and
// query i of head h:
//   dense            all keys up to i
//   sliding(W)       the last W keys, i among them
//   dilated(W,d)     the last W keys of those with j = i (mod d)
//   s2               first half of the heads: own chunk; second half: own chunk of the grid that is shifted by g, whose
//                    first chunk is [0, g)
//   scca-fixed       first half of the heads: own chunk; second half: keys rolled by g, [c w - g, (c + 1) w - g)
//   scca-flow        heads in m groups (the first H % m have one head more); group k: keys rolled by k w, chunk c - k;
//                    own chunk where c < k
//   sda(n)           all keys with j = h (mod n)
//   longmixed        sda(2) for a quarter of the heads, sda(4) for half, scca-fixed for the last quarter
// and always: keys after i are not seen, keys that would be rolled in from the sequence's end are not either, and a
// query that would see nothing sees its own key. The first half of the heads is the larger one of an odd number.
#ifndef TOME_ENGINE_ATTENTION_PATTERN_H_
#define TOME_ENGINE_ATTENTION_PATTERN_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tome {

// Keys first, first + step, ..., last. Never empty.
struct KeyRange {
  std::int64_t first = 0, last = 0, step = 1;

  std::int64_t size() const { return (last - first) / step + 1; }
  bool Contains(std::int64_t key) const { return key >= first && key <= last && (key - first) % step == 0; }
  friend bool operator==(const KeyRange&, const KeyRange&) = default;
};

// What one query head sees, with all widths known.
struct HeadPattern {
  enum class Kind {
    kAll,
    kWindow,   // the last `window` keys with j = i (mod step)
    kResidue,  // keys with j = residue (mod step)
    kChunk,    // chunks of `width` on a grid that begins at `grid`; keys rolled by `roll`
  };
  Kind kind = Kind::kAll;
  std::int64_t window = 0, step = 1, residue = 0, width = 0, grid = 0, roll = 0;

  // The keys >= first_key that query `query` sees, 0 <= first_key <= query. A query that sees none of these sees
  // itself.
  KeyRange Visible(std::int64_t query, std::int64_t first_key = 0) const;
  // No query from `query` on sees a key before this one.
  std::int64_t OldestKey(std::int64_t query) const;

  friend bool operator==(const HeadPattern&, const HeadPattern&) = default;
};

// The half-open chunk of kChunk that holds a position.
struct Chunk {
  std::int64_t first = 0, end = 0;
};
Chunk ChunkAt(const HeadPattern& pattern, std::int64_t position);

// A pattern for all heads of a layer: one item, or several that share the heads out. An immutable value.
class AttentionPattern {
 public:
  // Dense.
  AttentionPattern() = default;

  // "scca-flow(m=8)", "sliding(1024)", "scca-fixed(w=512):3,sda2:3,sda4:3". Items: dense, sliding(W), dilated(W,d), s2,
  // scca-fixed, scca-flow, sda(n) or sda2, sda4, ..., longmixed; each but the only one ends in ":heads". Chunked ones
  // take m=chunks (default 4) or w=width; scca-flow takes both, then m is the number of its head groups.
  // INVALID_ARGUMENT says what is allowed.
  static absl::StatusOr<AttentionPattern> Parse(std::string_view text);
  // Parses to the same pattern.
  std::string ToString() const;

  // The pattern of each of `num_heads` heads over a sequence of `length` >= 1 tokens: chunk widths are
  // ceil(length / m), and scca-flow(w=..) has ceil(length / w) groups. INVALID_ARGUMENT when the heads of the items are
  // not that many, or groups are more than heads.
  absl::StatusOr<std::vector<HeadPattern>> ForHeads(std::int64_t num_heads, std::int64_t length) const;
  // The same for a sequence whose length is not known. INVALID_ARGUMENT when a width depends on it.
  absl::StatusOr<std::vector<HeadPattern>> ForHeads(std::int64_t num_heads) const;

  bool dense() const { return items_.size() == 1 && items_[0].kind == Item::Kind::kDense; }

  friend bool operator==(const AttentionPattern&, const AttentionPattern&) = default;

 private:
  struct Item {
    enum class Kind { kDense, kSliding, kDilated, kS2, kSccaFixed, kSccaFlow, kSda, kLongMixed };
    Kind kind = Kind::kDense;
    std::int64_t first = 0, second = 0;  // W and d; n
    std::int64_t chunks = 0, width = 0;  // 0: not given
    std::int64_t heads = 0;              // 0: all

    // Takes m=chunks and w=width.
    bool chunked() const {
      return kind == Kind::kS2 || kind == Kind::kSccaFixed || kind == Kind::kSccaFlow || kind == Kind::kLongMixed;
    }
    friend bool operator==(const Item&, const Item&) = default;
  };

  static absl::StatusOr<Item> ParseItem(std::string_view text);
  static absl::Status ParseArguments(std::string_view text, std::string_view arguments, Item* item);
  static std::string ToString(const Item& item);
  // length 0: not known.
  static absl::Status AddHeads(const Item& item, std::int64_t heads, std::int64_t length,
                               std::vector<HeadPattern>* all);
  absl::StatusOr<std::vector<HeadPattern>> Resolve(std::int64_t num_heads, std::int64_t length) const;

  std::vector<Item> items_ = {Item{}};
};

// Pairs of query and key that each head sees, of a sequence of `length` tokens. Each costs 2 D multiply-adds.
std::int64_t VisiblePairs(const HeadPattern& pattern, std::int64_t length);

}  // namespace tome

#endif  // TOME_ENGINE_ATTENTION_PATTERN_H_
