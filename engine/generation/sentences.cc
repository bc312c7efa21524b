#include "engine/generation/sentences.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "engine/text/words/unicode_characters.h"

namespace tome {
namespace {

// Ends of sentences with what follows apart: within words and numbers they are something else.
constexpr std::array<std::string_view, 6> kMarks = {".", "!", "?", ":", ";", "\u061F"};
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

// Of the other scripts, which end a sentence whatever follows.
bool IsFullMark(char32_t code) {
  constexpr char32_t kArabicQuestionMark = 0x061F, kFullWidthColon = 0xFF1A, kFullWidthSemicolon = 0xFF1B;
  if (code < 0x80 || code == kArabicQuestionMark) return false;
  return EndsSentences(code) || code == kFullWidthColon || code == kFullWidthSemicolon;
}

bool StartsWithFullMark(std::string_view text) {
  std::size_t end;
  return !text.empty() && IsFullMark(DecodeUtf8(text, 0, &end));
}

bool DropFullMark(std::string_view* text) {
  if (text->empty()) return false;
  std::size_t begin = text->size() - 1, end;
  while (begin > 0 && (static_cast<unsigned char>((*text)[begin]) & 0xC0) == 0x80) --begin;
  if (!IsFullMark(DecodeUtf8(*text, begin, &end)) || end != text->size()) return false;
  text->remove_suffix(text->size() - begin);
  return true;
}

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Whether a sentence ends between `before` and `after`.
bool EndsSentence(std::string_view before, std::string_view after) {
  if (StartsWithAny(kMarks, after) || StartsWithFullMark(after) || StartsWithAny(kClosing, after)) return false;
  int lines = 0;
  bool apart = after.empty() || IsSpace(after.front());
  for (; !before.empty() && IsSpace(before.back()); before.remove_suffix(1)) {
    apart = true;
    if (before.back() == '\n') ++lines;
  }
  if (lines > 1) return !after.starts_with('\n');
  while (DropSuffix(kClosing, &before)) continue;
  return DropFullMark(&before) || (apart && DropSuffix(kMarks, &before));
}

// How well a text may be cut between `before` and `after`.
int RankOfCut(std::string_view before, std::string_view after) {
  if (EndsSentence(before, after)) return 3;
  if (before.ends_with('\n')) return 2;
  return !before.empty() && !after.empty() && (IsSpace(before.back()) || IsSpace(after.front())) ? 1 : 0;
}

// How many tokens after the end of a region its text ends; negative: before. 0 at the end of a document.
int EndOfText(const Archive& archive, const Tokenizer& tokenizer, std::int64_t region) {
  if (region < 0 || region + 1 >= archive.num_regions() || !archive.AreNeighbours(region, region + 1)) return 0;
  const std::vector<TokenId> tokens = archive.RegionTokens(region, region + 2);
  const int own = archive.region(region).end - archive.region(region).first;
  const int reach = (std::min(own, static_cast<int>(tokens.size()) - own) - 1) / 2;
  std::string text;
  std::vector<std::size_t> ends;  // of each token, in the text
  for (const TokenId token : tokens) ends.push_back((text += tokenizer.TokenBytes(token)).size());
  int best = 0, best_rank = -1;
  for (int distance = 0; distance <= reach && best_rank < 3; ++distance) {
    for (const int cut : {own + distance, own - distance}) {
      const std::string_view all = text;
      const int rank = RankOfCut(all.substr(0, ends[cut - 1]), all.substr(ends[cut - 1]));
      if (rank <= best_rank) continue;
      best_rank = rank;
      best = cut - own;
    }
  }
  return best;
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

RegionRun InSentences(const Archive& archive, const Tokenizer& tokenizer, std::int64_t region) {
  return {.first = region,
          .end = region + 1,
          .before = -EndOfText(archive, tokenizer, region - 1),
          .after = EndOfText(archive, tokenizer, region)};
}

std::vector<RegionSentence> RegionSentences(const Archive& archive, const Tokenizer& tokenizer, std::int64_t region) {
  const RegionRun run = InSentences(archive, tokenizer, region);
  const std::vector<TextToken> text = archive.RunTokens(run);
  std::vector<TokenId> tokens;
  for (const TextToken& token : text) tokens.push_back(token.id);
  TokenSpan span = archive.RunSpan(run);
  std::vector<RegionSentence> sentences;
  auto next = text.begin();
  for (std::vector<TokenId>& sentence : SplitSentences(tokenizer, tokens)) {
    const auto end = next + static_cast<std::ptrdiff_t>(sentence.size());
    span.num_bytes = 0;
    for (; next != end; ++next) span.num_bytes += next->num_bytes;
    sentences.push_back({std::move(sentence), span});
    span.begin += span.num_bytes;
  }
  return sentences;
}

}  // namespace tome
