// Where added tokens stand in a text, as Hugging Face's `tokenizers` find them: at each place the longest, each with
// the white space that it takes. Special tokens are found and passed over: they stay text, and so does what is within
// them.
#ifndef TOME_ENGINE_TEXT_SPLITTING_ADDED_TOKENS_H_
#define TOME_ENGINE_TEXT_SPLITTING_ADDED_TOKENS_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/base/types.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// Longer ones would make the search slow.
inline constexpr std::size_t kMaxAddedTokenBytes = 1024;

// Tokens that are looked for in the same text. Immutable once built, then thread-safe.
class AddedTokenSet {
 public:
  struct Token {
    std::string text;  // what is looked for
    TokenId id = 0;
    bool special = false, lstrip = false, rstrip = false, single_word = false;
  };

  // `spaces_are_symbols`: the text is taken as if U+2581 stood in place of each space.
  AddedTokenSet(std::vector<Token> tokens, bool spaces_are_symbols);

  bool has_lstrip() const { return has_lstrip_; }
  bool has_single_word() const { return has_single_word_; }
  bool spaces_are_symbols() const { return spaces_are_symbols_; }
  const Token& token(std::size_t index) const { return tokens_[index]; }
  // Whether a token may begin with this byte of a text.
  bool MayBeginWith(char byte) const { return first_bytes_[static_cast<unsigned char>(byte)]; }

  struct Found {
    std::optional<std::size_t> token;  // index of the longest one that stands there
    std::size_t end = 0;
    bool is_certain = true;  // false: what follows the text may make a longer one
  };
  // What stands at `begin` of `text`; with `prefix`, where U+2581 stands before it that is not in the text.
  Found At(std::string_view text, std::size_t begin, bool prefix) const;

 private:
  static constexpr std::uint32_t kNone = 0;  // the root is nobody's child

  std::uint32_t Child(std::uint32_t node, unsigned char byte) const;
  void Insert(std::size_t index);

  struct Node {
    std::int32_t token = -1;
    bool has_children = false;
  };
  std::vector<Token> tokens_;
  std::vector<Node> nodes_ = std::vector<Node>(1);
  absl::flat_hash_map<std::uint64_t, std::uint32_t> children_;
  std::bitset<256> first_bytes_;
  bool spaces_are_symbols_, has_lstrip_ = false, has_single_word_ = false;
};

// The sets of a tokenizer; null where there is nothing to find.
struct AddedTokens {
  std::shared_ptr<const AddedTokenSet> exact;       // looked for in the text
  std::shared_ptr<const AddedTokenSet> normalized;  // then in each stretch between those, as it is normalized

  // Of the pieces of `data` that are user-defined, and its `added`. INVALID_ARGUMENT names the source and the piece
  // that cannot be looked for.
  static absl::StatusOr<AddedTokens> Create(const TokenizerData& data);
};

// Finds the tokens of a set one after another in a text that grows at its end and is dropped at its front. A copy is
// independent. Not thread-safe. Of white space a token takes about kMaxWordBytes on either side at most.
class AddedTokenScanner {
 public:
  // Null: there are no tokens.
  explicit AddedTokenScanner(std::shared_ptr<const AddedTokenSet> set) : set_(std::move(set)) {}

  struct Match {
    TokenId id = 0;
    std::size_t begin = 0, end = 0;
    bool takes_prefix = false;  // U+2581 before the text is part of it
  };
  // Up to `end` the text is plain. There a token begins, or the text ends, or, where it is not certain, what follows
  // will tell.
  struct Stretch {
    std::size_t end = 0;
    bool is_certain = false;
    std::optional<Match> match;
  };

  // A text begins at offset `start`; with `prefix`, U+2581 stands before it that is not in the text.
  void Begin(std::size_t start, bool prefix);
  // The text goes on at its offset 0; `after_word`: what was before it ends with a character of a word; `passed`: as
  // passed() was there.
  void GoOn(bool after_word, std::size_t passed);
  // Bytes from offset 0 on that belong to a token which begins before and stays text: no other one is found there.
  std::size_t passed() const;

  // The stretch from `start` on, where the last one or the last match ended. The text is not empty there.
  Stretch Find(std::string_view text, std::size_t start, bool is_end);

  // The caller drops the first `size` bytes of `text`.
  void DropFront(std::string_view text, std::size_t size);

 private:
  // The match of `token` that stands from scanned_ to `end`; nullopt when it stays text. `needs_more`: only what
  // follows can tell.
  std::optional<Match> Accept(std::string_view text, const AddedTokenSet::Token& token, std::size_t end, bool is_end,
                              bool* needs_more) const;
  Stretch PlainUpTo(std::string_view text, std::size_t end, bool is_end);
  bool FollowsWord(std::string_view text, std::size_t at) const;
  std::size_t SpaceBefore(std::string_view text, std::size_t at) const;
  std::size_t SpaceAfter(std::string_view text, std::size_t at) const;

  std::shared_ptr<const AddedTokenSet> set_;
  std::size_t scanned_ = 0;               // no token begins between the last match and here
  std::size_t floor_ = 0;                 // where the last match ended
  std::optional<std::size_t> begin_ = 0;  // where the text begins; none: before offset 0
  bool prefix_ = false;                   // U+2581 stands at begin_, and no match was looked for there yet
  bool after_word_ = false;               // before offset 0 is a character of a word
  std::optional<Match> next_;
  // Tokens that were found and stay text, from the one on that ends after offset 0.
  struct Passed {
    std::ptrdiff_t begin = 0;
    std::size_t end = 0;
  };
  std::deque<Passed> passed_;
  // The last stretch without a match, and the size of the text in which it was found.
  std::optional<Stretch> plain_;
  std::size_t plain_size_ = 0;
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_SPLITTING_ADDED_TOKENS_H_
