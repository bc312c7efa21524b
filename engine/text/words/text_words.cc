#include "engine/text/words/text_words.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tome {
namespace {

constexpr char32_t kZeroWidthSpace = 0x200B;

// Small letters and digits as they are, capitals as small ones, else 0.
constexpr std::array<char, 256> kAsciiLetters = [] {
  std::array<char, 256> letters = {};
  for (char c = '0'; c <= '9'; ++c) letters[c] = c;
  for (char c = 'a'; c <= 'z'; ++c) letters[c] = letters[c - 'a' + 'A'] = c;
  return letters;
}();

bool IsAscii(char byte) { return static_cast<unsigned char>(byte) < 0x80; }
bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

const UnicodeCharacter& CharacterAt(std::string_view text, std::size_t begin) {
  std::size_t end;
  return CharacterOf(DecodeUtf8(text, begin, &end));
}

// Of UTF-16; half of a pair is what it is.
char32_t CodeAt(std::u16string_view text, std::size_t at) {
  const char32_t lead = text[at];
  if (lead < 0xD800 || lead > 0xDBFF || at + 1 == text.size()) return lead;
  return 0x10000 + ((lead - 0xD800) << 10) + (char32_t{text[at + 1]} - 0xDC00);
}
std::size_t SizeOf(char32_t code) { return code > 0xFFFF ? 2 : 1; }

WritingScript ScriptOf(std::u16string_view letters) {
  for (std::size_t i = 0; i < letters.size();) {
    const char32_t code = CodeAt(letters, i);
    if (const WritingScript script = CharacterOf(code).script; script != WritingScript::kOther) return script;
    i += SizeOf(code);
  }
  return WritingScript::kOther;
}

bool IsLetterLike(CharacterKind kind) { return kind == CharacterKind::kPart || kind == CharacterKind::kDictionary; }

bool HasAccents(WritingScript script) {
  return script == WritingScript::kLatin || script == WritingScript::kGreek || script == WritingScript::kCyrillic ||
         script == WritingScript::kHebrew || script == WritingScript::kArabic;
}

// AM that was written as its two parts.
bool ComposesToAm(char16_t last, char16_t next) {
  return (last == 0x0E4D && next == 0x0E32) || (last == 0x0ECD && next == 0x0EB2);
}

// --- Words that a hyphen divides at the end of a line ---

// The text before which a hyphen and the end of a line stand at `text`'s beginning; empty where they do not.
std::string_view AfterLineEndHyphen(std::string_view text) {
  std::size_t at = 0;
  for (const std::string_view hyphen : {std::string_view("-"), std::string_view("\xC2\xAD"),  // soft
                                        std::string_view("\xE2\x80\x90")}) {                  // U+2010
    if (text.starts_with(hyphen)) at = hyphen.size();
  }
  if (at == 0) return {};
  const auto skip_spaces = [&] {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t' || text[at] == '\f')) ++at;
  };
  skip_spaces();
  if (at < text.size() && text[at] == '\r') ++at;
  if (at == text.size() || text[at] != '\n') return {};
  ++at;
  skip_spaces();
  return text.substr(at);
}

bool IsLetter(const UnicodeCharacter& character) { return character.script != WritingScript::kOther; }

// Whether the words are one that was divided. A capital after a small letter begins another word.
bool AreDivided(std::string_view text, const TextWord& first, const TextWord& second) {
  const std::string_view rest = AfterLineEndHyphen(text.substr(first.end));
  if (rest.empty() || static_cast<std::size_t>(rest.data() - text.data()) != second.begin) return false;
  std::size_t last = first.end - 1;
  while (last > first.begin && IsContinuation(text[last])) --last;
  const UnicodeCharacter &before = CharacterAt(text, last), &after = CharacterAt(text, second.begin);
  const bool letters = (IsLetter(before) || before.kind == CharacterKind::kMark) && IsLetter(after);
  return letters && first.script == second.script && (!after.capital || before.capital);
}

}  // namespace

const TextWords& WordFinder::Find(std::string_view text) {
  text_ = text;
  found_.Clear();
  for (std::size_t at = 0; at < text.size();) {
    const bool ascii = IsAscii(text[at]);
    if (ascii && path_ == Path::kFast && run_.letters.empty()) {
      const std::size_t end = FindAscii(at);
      if (end > at) {
        at = end;
        continue;
      }
    }
    at = TakeCharacter(at);
  }
  EndRun();
  JoinDivided();
  return found_;
}

// An ASCII word that begins here, or one separator. Gives where it ends; `begin` where other characters may belong to
// it.
std::size_t WordFinder::FindAscii(std::size_t begin) {
  const auto letter_at = [this](std::size_t at) { return kAsciiLetters[static_cast<unsigned char>(text_[at])]; };
  std::size_t end = begin;
  bool digits = true;
  for (char letter; end < text_.size() && (letter = letter_at(end)) != 0; ++end) digits &= letter <= '9';
  const std::size_t size = end - begin, next = std::max(end, begin + 1);
  if (next < text_.size() && !IsAscii(text_[next])) return begin;
  if (size == 0) return next;
  const std::size_t first = found_.letters.size();
  found_.letters.resize(first + size);
  for (std::size_t i = 0; i < size; ++i) found_.letters[first + i] = letter_at(begin + i);
  found_.words.push_back({.begin = begin,
                          .end = end,
                          .script = digits ? WritingScript::kOther : WritingScript::kLatin,
                          .folded = first,
                          .folded_size = size,
                          .bare = first,
                          .bare_size = size});
  return end;
}

std::size_t WordFinder::TakeCharacter(std::size_t begin) {
  Placed at{.begin = begin};
  at.code = DecodeUtf8(text_, begin, &at.end);
  const UnicodeCharacter& character = CharacterOf(at.code);
  std::size_t next = at.end;
  characters_.assign(1, at.code);
  while (next < text_.size() && !IsAscii(text_[next])) {
    std::size_t end;
    const char32_t code = DecodeUtf8(text_, next, &end);
    const UnicodeCharacter& joined = CharacterOf(code);
    if (joined.begins || (code == kZeroWidthSpace && character.spaces_words)) break;
    if (IsLetterLike(joined.kind) && !IsLetterLike(character.kind)) break;  // a syllable's end without its beginning
    characters_.push_back(code);
    next = end;
    if (joined.kind != CharacterKind::kIgnored) at.end = end;
  }
  if (characters_.size() == 1 && character.folded.IsWhole()) {
    Take(character, character.folded.View(), at);
  } else {
    Take(character, FoldCharacters(characters_), at);
  }
  return next;
}

void WordFinder::Take(const UnicodeCharacter& character, std::u16string_view folded, const Placed& at) {
  switch (character.kind) {
    case CharacterKind::kSeparator:
      EndRun();
      break;
    case CharacterKind::kQuote:
      TakeQuote(at.end);
      break;
    case CharacterKind::kIgnored:
      if (at.code == kZeroWidthSpace && run_.last_spaces_words) EndRun();
      break;
    case CharacterKind::kMark:
      if (!run_.letters.empty()) AppendToRun(character, folded, at);
      break;
    case CharacterKind::kAlone:
      EndRun();
      AppendToRun(character, folded, at);
      EndRun();
      break;
    case CharacterKind::kPart:
    case CharacterKind::kDictionary:
      AppendToRun(character, folded, at);
      break;
  }
}

void WordFinder::TakeQuote(std::size_t end) {
  const bool within = run_.last_script == WritingScript::kHebrew && end < text_.size() &&
                      CharacterAt(text_, end).script == WritingScript::kHebrew;
  if (!within) EndRun();
}

void WordFinder::AppendToRun(const UnicodeCharacter& character, std::u16string_view folded, const Placed& at) {
  for (const char16_t unit : folded) {
    if (!run_.letters.empty() && ComposesToAm(run_.letters.back(), unit)) {
      run_.letters.back() = static_cast<char16_t>(unit + 1);
      run_.ends.back() = at.end;
      continue;
    }
    run_.letters.push_back(unit);
    run_.begins.push_back(at.begin);
    run_.ends.push_back(at.end);
  }
  // A sign may show letters of several words.
  run_.dictionary |= character.kind == CharacterKind::kDictionary || character.kind == CharacterKind::kAlone;
  run_.accents |= character.has_accents || (characters_.size() > 1 && HasAccents(character.script)) ||
                  (character.kind == CharacterKind::kMark && HasAccents(run_.last_script));
  if (character.kind == CharacterKind::kMark) return;
  run_.last_script = character.script;
  run_.last_spaces_words = character.spaces_words;
}

void WordFinder::EndRun() {
  if (run_.letters.empty()) return;
  if (run_.dictionary || path_ == Path::kGeneral) {
    std::size_t first = 0;
    for (const std::int32_t end : breaks_.Find(run_.letters)) {
      AddWord(first, static_cast<std::size_t>(end));
      first = static_cast<std::size_t>(end);
    }
  } else {
    AddWord(0, run_.letters.size());
  }
  run_.letters.clear();
  run_.begins.clear();
  run_.ends.clear();
  run_.dictionary = run_.accents = run_.last_spaces_words = false;
  run_.last_script = WritingScript::kOther;
}

void WordFinder::AddWord(std::size_t first, std::size_t end) {
  const WritingScript script = ScriptOf(std::u16string_view(run_.letters).substr(first, end - first));
  Add(first, end, script);
  if (run_.dictionary) AddPartsOf(first, end);
}

void WordFinder::AddPartsOf(std::size_t first, std::size_t end) {
  std::size_t before = first;
  bool follows_syllable = false;
  for (std::size_t at = first; at < end;) {
    const char32_t code = CodeAt(run_.letters, at);
    const std::size_t next = at + SizeOf(code);
    const WritingScript script = CharacterOf(code).script;
    const bool whole = at == first && next == end;
    if (script == WritingScript::kHan && !whole) Add(at, next, script);
    const bool syllable = script == WritingScript::kHangul;
    if (syllable && follows_syllable && (before > first || next < end)) Add(before, next, script);
    follows_syllable = syllable;
    before = at;
    at = next;
  }
}

void WordFinder::Add(std::size_t first, std::size_t end, WritingScript script) {
  const std::u16string_view letters = std::u16string_view(run_.letters).substr(first, end - first);
  TextWord word{.begin = run_.begins[first], .end = run_.ends[end - 1], .script = script};
  word.folded = word.bare = found_.letters.size();
  AppendUtf8(letters, &found_.letters);
  word.folded_size = word.bare_size = found_.letters.size() - word.folded;
  if (run_.accents) {
    if (const std::u16string bare = WithoutAccents(letters); bare != letters && !bare.empty()) {
      word.bare = found_.letters.size();
      AppendUtf8(bare, &found_.letters);
      word.bare_size = found_.letters.size() - word.bare;
    }
  }
  found_.words.push_back(word);
}

// The words first .. last as one.
TextWord WordFinder::Joined(std::size_t first, std::size_t last) {
  const std::vector<TextWord>& words = found_.words;
  std::string folded, bare;
  for (std::size_t i = first; i <= last; ++i) {
    folded += found_.Folded(words[i]);
    bare += found_.WithoutAccents(words[i]);
  }
  TextWord whole = words[first];
  whole.end = words[last].end;
  whole.folded = whole.bare = found_.letters.size();
  found_.letters += folded;
  if (folded != bare) {
    whole.bare = found_.letters.size();
    found_.letters += bare;
  }
  whole.folded_size = folded.size();
  whole.bare_size = bare.size();
  return whole;
}

void WordFinder::JoinDivided() {
  std::vector<TextWord>& words = found_.words;
  std::vector<TextWord> all;  // with those that were joined, once there is one
  std::size_t copied = 0;
  for (std::size_t first = 0; first + 1 < words.size(); ++first) {
    std::size_t last = first;
    while (last + 1 < words.size() && AreDivided(text_, words[last], words[last + 1])) ++last;
    if (last == first) continue;
    all.insert(all.end(), words.begin() + static_cast<std::ptrdiff_t>(copied),
               words.begin() + static_cast<std::ptrdiff_t>(first));
    all.push_back(Joined(first, last));
    copied = first;
    first = last;
  }
  if (all.empty()) return;
  all.insert(all.end(), words.begin() + static_cast<std::ptrdiff_t>(copied), words.end());
  words = std::move(all);
}

std::string FoldWords(std::string_view text) {
  WordFinder finder;
  const TextWords& words = finder.Find(text);
  std::string folded;
  std::size_t end = 0;
  for (const TextWord& word : words.words) {
    if (word.begin < end) continue;  // within the one before it
    folded += words.Folded(word);
    end = word.end;
  }
  return folded;
}

}  // namespace tome
