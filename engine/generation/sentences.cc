#include "engine/generation/sentences.h"

#include <algorithm>
#include <array>
#include <numeric>
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

}  // namespace

std::vector<std::vector<TokenId>> SplitSentences(const Tokenizer& tokenizer, absl::Span<const TokenId> tokens) {
  std::string text;
  for (const TokenId token : tokens) text += tokenizer.TokenBytes(token);
  std::vector<std::vector<TokenId>> sentences;
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
    const absl::Span<const TokenId> sentence = tokens.subspan(first, cut - first);
    sentences.emplace_back(sentence.begin(), sentence.end());
    first = cut;
  }
  return sentences;
}

std::vector<RegionSentence> RegionSentences(const Archive& archive, const Tokenizer& tokenizer, std::int64_t region) {
  std::int64_t first = region, last = region;
  if (region > 0 && archive.AreNeighbours(region - 1, region)) --first;
  if (region + 1 < archive.num_regions() && archive.AreNeighbours(region, region + 1)) ++last;
  std::vector<TokenId> text;
  std::vector<std::uint32_t> lengths;
  std::size_t own_begin = 0, own_end = 0;  // of the region, in the text
  for (std::int64_t i = first; i <= last; ++i) {
    if (i == region) own_begin = text.size();
    const ArchivedRegion found = archive.region(i);
    for (int k = found.first; k < found.end; ++k) {
      text.push_back(found.block->token(k));
      lengths.push_back(found.block->Length(k));
    }
    if (i == region) own_end = text.size();
  }
  std::vector<RegionSentence> sentences;
  std::size_t begin = 0;
  TokenSpan span = archive.RegionSpan(first, last + 1);
  for (std::vector<TokenId>& sentence : SplitSentences(tokenizer, text)) {
    const std::size_t end = begin + sentence.size();
    span.num_bytes = std::accumulate(lengths.begin() + begin, lengths.begin() + end, std::uint32_t{0});
    const std::size_t from = std::max(begin, own_begin), until = std::min(end, own_end);
    if (from < until && 2 * (until - from) >= sentence.size()) sentences.push_back({std::move(sentence), span});
    span.begin += span.num_bytes;
    begin = end;
  }
  if (sentences.empty()) {
    sentences.push_back({archive.RegionTokens(region, region + 1), archive.RegionSpan(region, region + 1)});
  }
  return sentences;
}

}  // namespace tome
