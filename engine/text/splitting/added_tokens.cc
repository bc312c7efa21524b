#include "engine/text/splitting/added_tokens.h"

#include <algorithm>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/text/splitting/character_classes.h"
#include "engine/text/splitting/piece_text.h"
#include "engine/text/tokenizer.h"

namespace tome {
namespace {

// As the normalizer of `spaces` writes it.
std::string Normalize(std::string_view text, const SpaceRules& spaces) {
  std::string normalized;
  if (spaces.normalizer_prepends) normalized = kSpaceSymbol;
  for (const char byte : text) {
    if (byte == ' ' && spaces.normalizer_replaces) {
      normalized += kSpaceSymbol;
    } else {
      normalized += byte;
    }
  }
  return normalized;
}

std::shared_ptr<const AddedTokenSet> MakeSet(std::vector<AddedTokenSet::Token> tokens, bool spaces_are_symbols) {
  const bool finds = std::any_of(tokens.begin(), tokens.end(), [](const auto& token) { return !token.special; });
  if (!finds) return nullptr;
  return std::make_shared<const AddedTokenSet>(std::move(tokens), spaces_are_symbols);
}

// Where a token takes the white space after it, `tokenizers` looks for others within that space, and then has the same
// text twice.
absl::Status RefuseOverlaps(const std::string& source, const std::vector<AddedTokenSet::Token>& tokens) {
  const auto takes = [](const auto& token) { return !token.special && token.rstrip; };
  const auto begins = [](const auto& token) { return LeadingSpaceBytes(token.text) > 0; };
  const auto taking = std::find_if(tokens.begin(), tokens.end(), takes);
  const auto beginning = std::find_if(tokens.begin(), tokens.end(), begins);
  if (taking == tokens.end() || beginning == tokens.end()) return absl::OkStatus();
  return InvalidArgument(
      "{}: added tokens: {} takes the white space after it (rstrip), with which {} begins: the two cannot be had "
      "together; make one of them special:true or drop rstrip",
      source, Quote(taking->text), Quote(beginning->text));
}

absl::Status CheckToken(const TokenizerData& data, const AddedToken& added) {
  if (added.id < 0 || static_cast<std::size_t>(added.id) >= data.pieces.size()) {
    return InvalidArgument("{}: added token: expected an id from 0 to {}, found {}", data.source,
                           data.pieces.size() - 1, added.id);
  }
  const TokenizerPiece& piece = data.pieces[added.id];
  if (!IsValidUtf8(piece.text)) {
    return InvalidArgument("{}: tokenizer piece {}: a user-defined piece must be valid UTF-8", data.source, added.id);
  }
  if (piece.text.size() > kMaxAddedTokenBytes) {
    return InvalidArgument("{}: added token {}: expected at most {} bytes, found {}", data.source, Quote(piece.text),
                           kMaxAddedTokenBytes, piece.text.size());
  }
  return absl::OkStatus();
}

// Those that `data` does not describe are found as they stand.
std::vector<AddedToken> AllAdded(const TokenizerData& data) {
  std::vector<AddedToken> all = data.added;
  std::vector<bool> known(data.pieces.size());
  for (const AddedToken& added : all) {
    if (added.id >= 0 && static_cast<std::size_t>(added.id) < known.size()) known[added.id] = true;
  }
  for (std::size_t id = 0; id < data.pieces.size(); ++id) {
    if (known[id] || data.pieces[id].type != PieceType::kUserDefined) continue;
    all.push_back({.id = static_cast<TokenId>(id), .in_model = true});
  }
  return all;
}

}  // namespace

AddedTokenSet::AddedTokenSet(std::vector<Token> tokens, bool spaces_are_symbols)
    : tokens_(std::move(tokens)), spaces_are_symbols_(spaces_are_symbols) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    Insert(i);
    if (tokens_[i].special) continue;
    has_lstrip_ = has_lstrip_ || tokens_[i].lstrip;
    has_single_word_ = has_single_word_ || tokens_[i].single_word;
  }
  if (spaces_are_symbols_ && first_bytes_[static_cast<unsigned char>(kSpaceSymbol.front())]) first_bytes_.set(' ');
}

std::uint32_t AddedTokenSet::Child(std::uint32_t node, unsigned char byte) const {
  const auto found = children_.find(std::uint64_t{node} << 8 | byte);
  return found == children_.end() ? kNone : found->second;
}

void AddedTokenSet::Insert(std::size_t index) {
  std::uint32_t node = 0;
  for (const char c : tokens_[index].text) {
    const auto byte = static_cast<unsigned char>(c);
    std::uint32_t child = Child(node, byte);
    if (child == kNone) {
      child = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
      nodes_[node].has_children = true;
      children_.emplace(std::uint64_t{node} << 8 | byte, child);
      if (node == 0) first_bytes_.set(byte);
    }
    node = child;
  }
  if (nodes_[node].token < 0) nodes_[node].token = static_cast<std::int32_t>(index);
}

AddedTokenSet::Found AddedTokenSet::At(std::string_view text, std::size_t begin, bool prefix) const {
  Found found;
  std::uint32_t node = 0;
  const auto walk = [&](std::string_view bytes) {
    for (const char byte : bytes) {
      node = Child(node, static_cast<unsigned char>(byte));
      if (node == kNone) return false;
    }
    return true;
  };
  if (prefix && !walk(kSpaceSymbol)) return found;
  for (std::size_t at = begin;; ++at) {
    if (nodes_[node].token >= 0) found.token = nodes_[node].token, found.end = at;
    if (at == text.size()) {
      found.is_certain = !nodes_[node].has_children;
      return found;
    }
    const bool is_symbol = spaces_are_symbols_ && text[at] == ' ';
    if (!walk(is_symbol ? kSpaceSymbol : text.substr(at, 1))) return found;
  }
}

absl::StatusOr<AddedTokens> AddedTokens::Create(const TokenizerData& data) {
  const SpaceRules spaces = data.kind == TokenizerKind::kCharacterBpe ? data.spaces : SpaceRules();
  std::vector<AddedTokenSet::Token> exact, normalized;
  for (const AddedToken& added : AllAdded(data)) {
    TOME_RETURN_IF_ERROR(CheckToken(data, added));
    const TokenizerPiece& piece = data.pieces[added.id];
    (added.normalized ? normalized : exact)
        .push_back({.text = added.normalized ? Normalize(piece.text, spaces) : piece.text,
                    .id = added.id,
                    .special = piece.type != PieceType::kUserDefined,
                    .lstrip = added.lstrip,
                    .rstrip = added.rstrip,
                    .single_word = added.single_word});
  }
  TOME_RETURN_IF_ERROR(RefuseOverlaps(data.source, exact));
  TOME_RETURN_IF_ERROR(RefuseOverlaps(data.source, normalized));
  return AddedTokens{.exact = MakeSet(std::move(exact), /*spaces_are_symbols=*/false),
                     .normalized = MakeSet(std::move(normalized), spaces.normalizer_replaces)};
}

void AddedTokenScanner::Begin(std::size_t start, bool prefix) {
  scanned_ = floor_ = start;
  begin_ = start;
  prefix_ = prefix && set_ != nullptr;
  next_.reset();
  plain_.reset();
  passed_.clear();
}

void AddedTokenScanner::GoOn(bool after_word, std::size_t passed) {
  Begin(0, /*prefix=*/false);
  begin_.reset();
  after_word_ = after_word;
  if (passed == 0 || set_ == nullptr) return;
  passed_.push_back({-1, passed});
  scanned_ = passed;
}

std::size_t AddedTokenScanner::passed() const {
  return !passed_.empty() && passed_.front().begin < 0 ? passed_.front().end : 0;
}

AddedTokenScanner::Stretch AddedTokenScanner::Find(std::string_view text, std::size_t start, bool is_end) {
  if (set_ == nullptr) return {text.size(), is_end, std::nullopt};
  if (next_ && start <= next_->begin) return {next_->begin, true, next_};
  next_.reset();
  if (plain_ && plain_size_ == text.size() && plain_->is_certain == is_end) return *plain_;
  while (scanned_ < text.size() || prefix_) {
    if (!prefix_ && !set_->MayBeginWith(text[scanned_])) {
      ++scanned_;
      continue;
    }
    const AddedTokenSet::Found found = set_->At(text, scanned_, prefix_);
    bool needs_more = !found.is_certain && !is_end;
    std::optional<Match> match;
    if (found.token && !needs_more) {
      match = Accept(text, set_->token(*found.token), found.end, is_end, &needs_more);
    }
    if (needs_more) return PlainUpTo(text, scanned_, is_end);
    if (found.token && !match) passed_.push_back({static_cast<std::ptrdiff_t>(scanned_), found.end});
    if (found.token || !prefix_) scanned_ = found.token ? found.end : scanned_ + 1;
    prefix_ = false;
    if (!match) continue;
    floor_ = match->end;
    next_ = match;
    return {match->begin, true, match};
  }
  return PlainUpTo(text, text.size(), is_end);
}

std::optional<AddedTokenScanner::Match> AddedTokenScanner::Accept(std::string_view text,
                                                                  const AddedTokenSet::Token& token, std::size_t end,
                                                                  bool is_end, bool* needs_more) const {
  if (token.special) return std::nullopt;
  if (token.single_word) {
    if (!prefix_ && FollowsWord(text, scanned_)) return std::nullopt;
    *needs_more = end == text.size() && !is_end;
    if (BeginsWithWord(text.substr(end))) return std::nullopt;
  }
  Match match{token.id, scanned_, end, prefix_};
  if (token.lstrip) match.begin = SpaceBefore(text, scanned_);
  if (token.rstrip) {
    const std::size_t space = SpaceAfter(text, end);
    match.end += space;
    *needs_more = *needs_more || (match.end == text.size() && space < kMaxWordBytes && !is_end);
  }
  return match;
}

// What stands before `end` is plain, but for white space that a token may still take.
AddedTokenScanner::Stretch AddedTokenScanner::PlainUpTo(std::string_view text, std::size_t end, bool is_end) {
  plain_ = Stretch{is_end || !set_->has_lstrip() ? end : SpaceBefore(text, end), is_end, std::nullopt};
  plain_size_ = text.size();
  return *plain_;
}

bool AddedTokenScanner::FollowsWord(std::string_view text, std::size_t at) const {
  if (begin_ && at == *begin_) return false;
  return at == 0 ? after_word_ : EndsWithWord(text.substr(0, at));
}

// Where the white space begins that stands before `at`. Spaces that the normalizer replaces are none.
std::size_t AddedTokenScanner::SpaceBefore(std::string_view text, std::size_t at) const {
  const std::string_view before = text.substr(0, at).substr(floor_);
  std::size_t space = TrailingSpaceBytes(before, kMaxWordBytes);
  if (set_->spaces_are_symbols()) {
    const std::size_t symbol = before.substr(before.size() - space).rfind(' ');
    if (symbol != std::string_view::npos) space -= symbol + 1;
  }
  return at - space;
}

// How much of it stands at `at`.
std::size_t AddedTokenScanner::SpaceAfter(std::string_view text, std::size_t at) const {
  const std::size_t space = LeadingSpaceBytes(text.substr(at), kMaxWordBytes);
  return set_->spaces_are_symbols() ? std::min(space, text.substr(at).find(' ')) : space;
}

void AddedTokenScanner::DropFront(std::string_view text, std::size_t size) {
  if (set_ == nullptr || size == 0) return;
  if (set_->has_single_word()) after_word_ = EndsWithWord(text.substr(0, size));
  scanned_ -= std::min(scanned_, size);
  floor_ -= std::min(floor_, size);
  if (begin_ && *begin_ < size) {
    begin_.reset();
  } else if (begin_) {
    *begin_ -= size;
  }
  plain_.reset();
  while (!passed_.empty() && passed_.front().end <= size) passed_.pop_front();
  for (Passed& passed : passed_) {
    passed.begin -= static_cast<std::ptrdiff_t>(size);
    passed.end -= size;
  }
  if (next_ && next_->end <= size) next_.reset();
  if (!next_) return;
  next_->begin -= std::min(next_->begin, size);
  next_->end -= size;
}

}  // namespace tome
