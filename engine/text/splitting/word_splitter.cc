#include "engine/text/splitting/word_splitter.h"

#include "engine/text/splitting/character_classes.h"

namespace tome {
namespace {

bool HasSingleWords(const WordRules& rules) {
  const AddedTokens& added = rules.added;
  return (added.exact != nullptr && added.exact->has_single_word()) ||
         (added.normalized != nullptr && added.normalized->has_single_word());
}

bool PrependsToSegments(const WordRules& rules) {
  const auto* characters = std::get_if<CharacterRules>(&rules.stretches);
  return characters != nullptr && characters->spaces.normalizer_prepends;
}

}  // namespace

WordSplitter::WordSplitter(const WordRules& rules) : WordSplitter(rules, WordContext{}) {}

WordSplitter::WordSplitter(const WordRules& rules, const WordContext& context)
    : rules_(&rules),
      exact_(rules.added.exact),
      normalized_(rules.added.normalized),
      in_text_((context.flags & kInText) != 0),
      in_segment_((context.flags & kInSegment) != 0),
      in_stretch_((context.flags & kInStretch) != 0),
      after_word_((context.flags & kAfterWord) != 0) {
  if (const auto* patterns = std::get_if<WordPatterns>(&rules.stretches)) patterns_.emplace(*patterns);
  if (in_text_ || context.passed > 0) exact_.GoOn(after_word_, context.passed);
  if (in_segment_ || context.passed_normalized > 0) normalized_.GoOn(after_word_, context.passed_normalized);
}

WordContext WordSplitter::context() const {
  const bool single_words = HasSingleWords(*rules_), stretches = !patterns_;
  WordContext context = {.passed = static_cast<std::uint16_t>(exact_.passed()),
                         .passed_normalized = static_cast<std::uint16_t>(normalized_.passed())};
  if (in_text_ && (stretches || single_words)) context.flags |= kInText;
  if (in_segment_ && (stretches || single_words)) context.flags |= kInSegment;
  if (in_stretch_ && stretches) context.flags |= kInStretch;
  if (after_word_) context.flags |= kAfterWord;
  return context;
}

bool WordSplitter::IsContext(const WordRules& rules, const WordContext& context) {
  const bool single_words = HasSingleWords(rules);
  const bool stretches = std::holds_alternative<CharacterRules>(rules.stretches);
  std::uint8_t possible = stretches || single_words ? kInText | kInSegment : 0;
  if (stretches) possible |= kInStretch;
  if (single_words) possible |= kAfterWord;
  const bool in_text = (context.flags & kInText) != 0;
  const bool in_order = in_text && ((context.flags & kInStretch) == 0 || (context.flags & kInSegment) != 0);
  const bool can_pass = (context.passed == 0 || rules.added.exact != nullptr) &&
                        (context.passed_normalized == 0 || rules.added.normalized != nullptr);
  return (context.flags & ~possible) == 0 && (context.flags == 0 || in_order) && can_pass &&
         context.passed <= kMaxAddedTokenBytes && context.passed_normalized <= kMaxAddedTokenBytes;
}

std::optional<Word> WordSplitter::Next(std::string_view text, std::size_t start, bool is_end) {
  const AddedTokenScanner::Stretch segment = exact_.Find(text, start, is_end);
  if (segment.end == start) {
    return segment.match ? std::optional(Take(*segment.match, start, /*is_exact=*/true)) : std::nullopt;
  }
  const std::string_view in_segment = text.substr(0, segment.end);
  const bool prepends = !in_segment_ && PrependsToSegments(*rules_);
  if (!in_segment_ && !begun_) normalized_.Begin(start, prepends);
  begun_ = true;
  const AddedTokenScanner::Stretch stretch = normalized_.Find(in_segment, start, segment.is_certain);
  if (stretch.end > start) return NextOfStretch(in_segment.substr(0, stretch.end), start, stretch.is_certain);
  if (!stretch.match) return std::nullopt;
  if (!prepends || stretch.match->takes_prefix) return Take(*stretch.match, start, /*is_exact=*/false);
  in_text_ = in_segment_ = true;
  return Word{.length = 0, .prefix = true};
}

Word WordSplitter::Take(const AddedTokenScanner::Match& match, std::size_t start, bool is_exact) {
  in_text_ = true;
  in_segment_ = !is_exact;
  begun_ = in_segment_;
  in_stretch_ = false;
  if (patterns_) patterns_->Begin(match.end);
  return {.length = match.end - start, .token = match.id};
}

std::optional<Word> WordSplitter::NextOfStretch(std::string_view text, std::size_t start, bool is_end) {
  Word word;
  if (patterns_) {
    word.length = patterns_->WordLength(text, start, is_end);
    if (word.length == 0) return std::nullopt;
  } else {
    const auto& rules = std::get<CharacterRules>(rules_->stretches);
    const bool at_begin = !in_stretch_;
    const bool prefix =
        at_begin && PutsPrefix(rules.spaces, {.at_text = !in_text_, .at_added = !in_segment_}, text.substr(start));
    const std::optional<StretchPart> part = NextPart(rules, text, start, is_end, at_begin, prefix);
    if (!part) return std::nullopt;
    word = {.length = part->length, .prefix = part->prefix, .whole = part->whole};
  }
  in_text_ = in_segment_ = in_stretch_ = true;
  return word;
}

void WordSplitter::DropFront(std::string_view text, std::size_t size) {
  if (size == 0) return;
  if (HasSingleWords(*rules_)) after_word_ = EndsWithWord(text.substr(0, size));
  exact_.DropFront(text, size);
  normalized_.DropFront(text, size);
  if (patterns_) patterns_->DropFront(size);
}

}  // namespace tome
