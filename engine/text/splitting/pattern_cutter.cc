#include "engine/text/splitting/pattern_cutter.h"

#include <algorithm>
#include <string>

#include "engine/base/status.h"
#include "engine/text/tokenizer.h"

namespace tome {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// What `tokenizers` takes for a digit: a number of Unicode 17, where its regular expressions know Unicode 16.
#define TOME_DIGITS R"(\p{N}\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6})"

// GPT-2's pattern with digits cut out first: a digit ends the text before it, so white space in front of one is kept
// whole as it is at the end of a text.
constexpr std::string_view kSmolLmPattern =
    "[" TOME_DIGITS R"(]|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L})" TOME_DIGITS R"(]+|\s+(?![^\s)" TOME_DIGITS
    R"(])|\s+)";

constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

std::string_view PatternSource(const TokenizerData& data) {
  switch (data.pre_tokenizer) {
    case PreTokenizer::kGpt2:
      return kGpt2Pattern;
    case PreTokenizer::kSmolLm:
      return kSmolLmPattern;
    case PreTokenizer::kLlama3:
      return kLlama3Pattern;
    case PreTokenizer::kPattern:
      break;
  }
  return data.split_pattern;
}

bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

}  // namespace

absl::StatusOr<WordPatterns> WordPatterns::Create(const TokenizerData& data) {
  WordPatterns patterns;
  TOME_ASSIGN_OR_RETURN(const std::string words, TranslateOnigurumaPattern(PatternSource(data)));
  TOME_ASSIGN_OR_RETURN(patterns.words, Regex::Compile(words));
  if (data.pre_tokenizer == PreTokenizer::kPattern && data.individual_digits) {
    TOME_ASSIGN_OR_RETURN(const std::string digits, TranslateOnigurumaPattern("[" TOME_DIGITS "]"));
    TOME_ASSIGN_OR_RETURN(patterns.isolated, Regex::Compile(digits));
  }
  return patterns;
}

PatternCutter::PatternCutter(const WordPatterns& patterns) : words_(patterns.words) {
  if (patterns.isolated != nullptr) isolated_.emplace(patterns.isolated);
}

PatternCutter::Segment PatternCutter::FindSegment(std::string_view text, std::size_t start, bool is_end) {
  if (!isolated_) return {text.size(), 0, is_end};
  if (next_isolated_ && next_isolated_->end >= start) return *next_isolated_;
  const RegexSearch::Result found = isolated_->Find(text, std::max(start, searched_), !is_end);
  if (found.outcome == RegexSearch::Outcome::kMatch) {
    next_isolated_ = {found.begin, found.end - found.begin, true};
    return *next_isolated_;
  }
  searched_ = found.begin;
  return {found.begin, 0, is_end};
}

std::size_t PatternCutter::WordLength(std::string_view text, std::size_t start, bool is_end) {
  const Segment segment = FindSegment(text, start, is_end);
  if (segment.isolated > 0 && segment.end == start) return segment.isolated;

  std::size_t limit = segment.end;
  const bool is_cut = limit - start > kMaxWordBytes;
  if (is_cut) {
    limit = start + kMaxWordBytes;
    while (IsContinuation(text[limit])) --limit;
  }
  const bool more_follows = is_cut || !segment.is_certain;
  const RegexSearch::Result word = words_.Find(text.substr(0, limit), start, more_follows);
  if (word.outcome == RegexSearch::Outcome::kMatch) {
    // What the expression does not cover is a word too.
    return word.begin > start ? word.begin - start : word.end - start;
  }
  return is_cut || !more_follows ? limit - start : 0;
}

void PatternCutter::Begin(std::size_t start) {
  searched_ = start;
  next_isolated_.reset();
}

void PatternCutter::DropFront(std::size_t size) {
  searched_ -= std::min(searched_, size);
  if (!next_isolated_) return;
  if (next_isolated_->end < size) {
    next_isolated_.reset();
  } else {
    next_isolated_->end -= size;
  }
}

}  // namespace tome
