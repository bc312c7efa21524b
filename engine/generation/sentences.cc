#include "engine/generation/sentences.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace tome {
namespace {

// Ends of sentences: with what follows apart, in scripts that put spaces between words; and those that end one anyway.
constexpr std::array<std::string_view, 6> kMarks = {".", "!", "?", ":", ";", "\u061F"};
constexpr std::array<std::string_view, 6> kFullMarks = {"\u3002", "\uFF01", "\uFF1F", "\uFF1A", "\uFF1B", "\u0964"};
constexpr std::array<std::string_view, 8> kClosing = {"\"", "'", ")", "]", "\u2019", "\u201D", "\u00BB", "\u300D"};

template <std::size_t kSize>
bool DropSuffix(const std::array<std::string_view, kSize>& suffixes, std::string_view* text) {
  for (const std::string_view suffix : suffixes) {
    if (!text->ends_with(suffix)) continue;
    text->remove_suffix(suffix.size());
    return true;
  }
  return false;
}

template <std::size_t kSize>
bool StartsWithAny(const std::array<std::string_view, kSize>& prefixes, std::string_view text) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return text.starts_with(prefix); });
}

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Whether a sentence ends between `before` and `after`.
bool EndsSentence(std::string_view before, std::string_view after) {
  if (StartsWithAny(kMarks, after) || StartsWithAny(kFullMarks, after) || StartsWithAny(kClosing, after)) return false;
  int lines = 0;
  bool apart = after.empty() || IsSpace(after.front());
  for (; !before.empty() && IsSpace(before.back()); before.remove_suffix(1)) {
    apart = true;
    if (before.back() == '\n') ++lines;
  }
  if (lines > 1) return !after.starts_with('\n');
  while (DropSuffix(kClosing, &before)) continue;
  return DropSuffix(kFullMarks, &before) || (apart && DropSuffix(kMarks, &before));
}

using Range = std::pair<std::size_t, std::size_t>;  // first, end

std::vector<Range> SentenceRanges(const Tokenizer& tokenizer, absl::Span<const TokenId> tokens) {
  std::string text;
  for (const TokenId token : tokens) text += tokenizer.TokenBytes(token);
  std::vector<Range> ranges;
  std::size_t first = 0, line_end = 0, byte = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    byte += tokenizer.TokenBytes(tokens[i]).size();
    const std::string_view before = std::string_view(text).substr(0, byte), after = std::string_view(text).substr(byte);
    const bool ended = EndsSentence(before, after);
    if (ended || before.ends_with('\n')) line_end = i + 1;
    const std::size_t length = i + 1 - first;
    std::size_t cut = 0;
    if (i + 1 == tokens.size() || (ended && length >= kMinSentenceTokens)) cut = i + 1;
    if (cut == 0 && length == kMaxSentenceTokens) cut = line_end > first ? line_end : i + 1;
    if (cut == 0) continue;
    ranges.emplace_back(first, cut);
    first = cut;
  }
  return ranges;
}

std::vector<TokenId> Part(absl::Span<const TokenId> text, const Range& range) {
  return {text.begin() + static_cast<std::ptrdiff_t>(range.first),
          text.begin() + static_cast<std::ptrdiff_t>(range.second)};
}

}  // namespace

std::vector<std::vector<TokenId>> SplitSentences(const Tokenizer& tokenizer, absl::Span<const TokenId> text) {
  std::vector<std::vector<TokenId>> sentences;
  for (const Range& range : SentenceRanges(tokenizer, text)) sentences.push_back(Part(text, range));
  return sentences;
}

std::vector<std::vector<TokenId>> RegionSentences(const Archive& archive, const Tokenizer& tokenizer,
                                                  std::int64_t region) {
  std::int64_t first = region, end = region + 1;
  if (first > 0 && archive.AreNeighbours(first - 1, first)) --first;
  if (end < archive.num_regions() && archive.AreNeighbours(end - 1, end)) ++end;
  const std::vector<TokenId> text = archive.RegionTokens(first, end);
  const std::size_t own_begin = archive.RegionTokens(first, region).size();
  const std::size_t own_end = text.size() - archive.RegionTokens(region + 1, end).size();
  std::vector<std::vector<TokenId>> sentences;
  for (const Range& range : SentenceRanges(tokenizer, text)) {
    const std::size_t begin = std::max(range.first, own_begin), until = std::min(range.second, own_end);
    if (begin < until && 2 * (until - begin) >= range.second - range.first) sentences.push_back(Part(text, range));
  }
  if (sentences.empty()) sentences.push_back(Part(text, {own_begin, own_end}));
  return sentences;
}

}  // namespace tome
