#include "engine/text/words/unicode_characters.h"

#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/uset.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>
#include <unicode/utrans.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <iterator>
#include <mutex>

namespace tome {
namespace {

constexpr char32_t kReplacement = 0xFFFD, kTatweel = 0x0640;
constexpr char16_t kCombiningDiaeresis = 0x0308, kCombiningBreve = 0x0306, kCyrillicIe = 0x0435;
// Apostrophes and quotes as they stand within words, letters among them: all of them look the same.
constexpr std::array<char32_t, 13> kQuotes = {0x22,   0x27,   0x02BB, 0x02BC, 0x055A, 0x05F3, 0x05F4,
                                              0x2018, 0x2019, 0x201B, 0x201C, 0x201D, 0xFF07};

template <typename Code>
void Append(UChar32 code, std::basic_string<Code>* text) {
  if (code > 0xFFFF) text->push_back(static_cast<Code>(U16_LEAD(code)));
  text->push_back(static_cast<Code>(code > 0xFFFF ? U16_TRAIL(code) : code));
}

UChar32 Next(std::u16string_view text, std::size_t* at) {
  UChar32 code;
  auto i = static_cast<std::int32_t>(*at);
  U16_NEXT(text.data(), i, static_cast<std::int32_t>(text.size()), code);
  *at = static_cast<std::size_t>(i);
  return code;
}

// --- Normalisation ---

// Null only where ICU's data is missing; then nothing is folded.
const UNormalizer2* CaseFolding() {
  static const UNormalizer2* const folding = [] {
    UErrorCode error = U_ZERO_ERROR;
    const UNormalizer2* all = unorm2_getNFKCCasefoldInstance(&error);
    USet* but_am = uset_openEmpty();
    uset_add(but_am, 0x0E33);
    uset_add(but_am, 0x0EB3);
    uset_complement(but_am);
    uset_freeze(but_am);  // lives as long as the process
    return static_cast<const UNormalizer2*>(unorm2_openFiltered(all, but_am, &error));
  }();
  return folding;
}

const UNormalizer2* Decomposition() {
  UErrorCode error = U_ZERO_ERROR;
  return unorm2_getNFDInstance(&error);
}

std::u16string Normalize(const UNormalizer2* normalizer, std::u16string_view text) {
  if (normalizer == nullptr || text.empty()) return std::u16string(text);
  const auto size = static_cast<std::int32_t>(text.size());
  std::u16string result(text.size() * 2 + 24, u'\0');
  for (int round = 0; round < 2; ++round) {
    UErrorCode error = U_ZERO_ERROR;
    const std::int32_t needed = unorm2_normalize(normalizer, text.data(), size, result.data(),
                                                 static_cast<std::int32_t>(result.size()), &error);
    result.resize(static_cast<std::size_t>(needed));
    if (error != U_BUFFER_OVERFLOW_ERROR) return result;
  }
  return std::u16string(text);
}

// Letters that are written as another one: a Persian keyboard's and an Arabic one's, and alef maksura, which stands for
// the final yeh in Egypt.
UChar32 SameShape(UChar32 code) {
  switch (code) {
    case 0x06CC:  // Farsi yeh
    case 0x0649:  // alef maksura
      return 0x064A;
    case 0x06A9:  // keheh
      return 0x0643;
    default:
      return code;
  }
}

bool IsWordCategory(UChar32 code) {
  return (U_GET_GC_MASK(code) & (U_GC_L_MASK | U_GC_M_MASK | U_GC_ND_MASK | U_GC_NL_MASK)) != 0;
}

// Folded by ICU to what stands in words.
std::u16string Fold(std::u16string_view text) {
  const std::u16string all = Normalize(CaseFolding(), text);
  std::u16string folded;
  for (std::size_t i = 0; i < all.size();) {
    const UChar32 code = Next(all, &i);
    const int digit = u_charDigitValue(code);
    if (u_charType(code) == U_DECIMAL_DIGIT_NUMBER && digit >= 0) {
      Append('0' + digit, &folded);
    } else if (IsWordCategory(code) || all.size() == (code > 0xFFFF ? 2u : 1u)) {
      Append(SameShape(code), &folded);
    }
  }
  return folded;
}

// --- Accents ---

WritingScript ScriptOf(UChar32 code) {
  UErrorCode error = U_ZERO_ERROR;
  switch (uscript_getScript(code, &error)) {
    case USCRIPT_LATIN:
      return WritingScript::kLatin;
    case USCRIPT_GREEK:
      return WritingScript::kGreek;
    case USCRIPT_CYRILLIC:
      return WritingScript::kCyrillic;
    case USCRIPT_ARMENIAN:
      return WritingScript::kArmenian;
    case USCRIPT_HEBREW:
      return WritingScript::kHebrew;
    case USCRIPT_ARABIC:
      return WritingScript::kArabic;
    case USCRIPT_DEVANAGARI:
      return WritingScript::kDevanagari;
    case USCRIPT_TAMIL:
      return WritingScript::kTamil;
    case USCRIPT_HAN:
      return WritingScript::kHan;
    case USCRIPT_HANGUL:
      return WritingScript::kHangul;
    default:
      return WritingScript::kOther;
  }
}

bool IsAccent(WritingScript script, UChar32 base, UChar32 mark) {
  switch (script) {
    case WritingScript::kLatin:
    case WritingScript::kGreek:
    case WritingScript::kHebrew:
    case WritingScript::kArabic:
      return true;
    case WritingScript::kCyrillic:
      return mark == kCombiningDiaeresis ? base == kCyrillicIe : mark != kCombiningBreve;
    default:
      return false;
  }
}

// A Latin letter without stroke, hook or the like, by CLDR's Latin-ASCII; others as they are.
std::u16string WithoutStrokes(std::u16string_view letter) {
  static const UTransliterator* const to_ascii = [] {
    UErrorCode error = U_ZERO_ERROR;
    return utrans_openU(u"Latin-ASCII", -1, UTRANS_FORWARD, nullptr, 0, nullptr, &error);
  }();
  std::u16string text(letter);
  if (to_ascii == nullptr) return text;
  auto size = static_cast<std::int32_t>(text.size()), limit = size;
  text.resize(16);
  UErrorCode error = U_ZERO_ERROR;
  utrans_transUChars(to_ascii, text.data(), &size, 16, 0, &limit, &error);
  if (U_FAILURE(error)) return std::u16string(letter);
  text.resize(static_cast<std::size_t>(size));
  const bool letters = std::all_of(text.begin(), text.end(), [](char16_t unit) { return unit >= 'a' && unit <= 'z'; });
  return letters && !text.empty() ? text : std::u16string(letter);
}

std::u16string RemoveAccents(std::u16string_view folded) {
  const std::u16string decomposed = Normalize(Decomposition(), folded);
  std::u16string bare;
  WritingScript script = WritingScript::kOther;
  UChar32 base = 0;
  for (std::size_t i = 0; i < decomposed.size();) {
    const std::size_t begin = i;
    const UChar32 code = Next(decomposed, &i);
    if (u_charType(code) == U_NON_SPACING_MARK) {
      if (!IsAccent(script, base, code)) Append(code, &bare);
      continue;
    }
    base = code;
    script = ScriptOf(code);
    const std::u16string_view letter = std::u16string_view(decomposed).substr(begin, i - begin);
    bare += code >= 0x80 && script == WritingScript::kLatin ? WithoutStrokes(letter) : std::u16string(letter);
  }
  // Marks that stay are composed again, as folding composed them.
  return Normalize(CaseFolding(), bare);
}

// --- Kinds ---

// Hangul among them: ICU divides it from letters and digits beside it.
bool IsDictionaryScript(UChar32 code) {
  UErrorCode error = U_ZERO_ERROR;
  const UScriptCode script = uscript_getScript(code, &error);
  return script == USCRIPT_HAN || script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA || script == USCRIPT_HANGUL;
}

bool IsInRunsOfLetters(int word_break) {
  return word_break == U_WB_ALETTER || word_break == U_WB_HEBREW_LETTER || word_break == U_WB_NUMERIC;
}

bool SpacesWords(UChar32 code) { return u_getIntPropertyValue(code, UCHAR_LINE_BREAK) == U_LB_COMPLEX_CONTEXT; }

// Of a symbol or a number that is no letter: by what it shows.
CharacterKind KindOfSymbol(UChar32 code, int word_break) {
  std::u16string text;
  Append(code, &text);
  const std::u16string shown = Normalize(CaseFolding(), text);
  bool shows_letters = !shown.empty();
  for (std::size_t i = 0; i < shown.size();) shows_letters &= IsWordCategory(Next(shown, &i));
  const int decomposition = u_getIntPropertyValue(code, UCHAR_DECOMPOSITION_TYPE);
  if (shows_letters) {
    const bool joins = decomposition == U_DT_SUB || word_break == U_WB_ALETTER;
    return joins ? CharacterKind::kPart : CharacterKind::kAlone;
  }
  // Numbers of their own: Ethiopic and Tamil ones, not fractions.
  const bool number = u_charType(code) == U_OTHER_NUMBER && decomposition == U_DT_NONE;
  return number ? CharacterKind::kAlone : CharacterKind::kSeparator;
}

CharacterKind KindOfLetter(UChar32 code, int word_break) {
  if (u_getIntPropertyValue(code, UCHAR_DECOMPOSITION_TYPE) == U_DT_SUPER) return CharacterKind::kAlone;
  if (!IsInRunsOfLetters(word_break) || IsDictionaryScript(code)) return CharacterKind::kDictionary;
  return CharacterKind::kPart;
}

CharacterKind KindOf(UChar32 code) {
  const std::uint32_t category = U_GET_GC_MASK(code);
  if (std::find(kQuotes.begin(), kQuotes.end(), static_cast<char32_t>(code)) != kQuotes.end()) {
    return CharacterKind::kQuote;
  }
  const bool ignored = u_hasBinaryProperty(code, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) || code == kTatweel ||
                       (category & (U_GC_CF_MASK | U_GC_ME_MASK)) != 0;
  if (ignored) return CharacterKind::kIgnored;
  if ((category & U_GC_M_MASK) != 0) return CharacterKind::kMark;
  const int word_break = u_getIntPropertyValue(code, UCHAR_WORD_BREAK);
  if ((category & (U_GC_L_MASK | U_GC_ND_MASK | U_GC_NL_MASK)) != 0) return KindOfLetter(code, word_break);
  // Signs that stand over a letter of a word, as Armenian has them, and letters of tones.
  const bool within = (category & (U_GC_PO_MASK | U_GC_SK_MASK)) != 0 && word_break == U_WB_ALETTER;
  if (within) return CharacterKind::kIgnored;
  if ((category & (U_GC_SO_MASK | U_GC_NO_MASK)) != 0) return KindOfSymbol(code, word_break);
  return CharacterKind::kSeparator;
}

UnicodeCharacter::Letters ToLetters(std::u16string_view text) {
  UnicodeCharacter::Letters letters;
  letters.size = static_cast<std::uint8_t>(std::min(text.size(), UnicodeCharacter::kMaxFolded + 1));
  if (letters.IsWhole()) std::copy(text.begin(), text.end(), letters.units);
  return letters;
}

UnicodeCharacter Describe(UChar32 code) {
  UnicodeCharacter character;
  std::u16string text;
  Append(code, &text);
  std::u16string folded = Fold(text);
  character.kind = KindOf(code);
  character.script = ScriptOf(code);
  character.begins = CaseFolding() == nullptr || unorm2_hasBoundaryBefore(CaseFolding(), code);
  character.capital = (U_GET_GC_MASK(code) & (U_GC_LU_MASK | U_GC_LT_MASK)) != 0;
  character.spaces_words = SpacesWords(code);
  if (character.kind == CharacterKind::kSeparator || character.kind == CharacterKind::kIgnored) folded.clear();
  const std::u16string bare = RemoveAccents(folded);
  character.has_accents = bare != folded;
  character.folded = ToLetters(folded);
  character.bare = ToLetters(bare);
  return character;
}

// --- The table, made page by page as it is used ---

constexpr std::size_t kPageSize = 256, kNumPages = 0x110000 / kPageSize;
using Page = std::array<UnicodeCharacter, kPageSize>;

const Page& MakePage(std::size_t index, std::atomic<const Page*>* slot) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (const Page* made = slot->load(std::memory_order_relaxed); made != nullptr) return *made;
  auto* page = new Page;  // lives as long as the process
  for (std::size_t i = 0; i < kPageSize; ++i) (*page)[i] = Describe(static_cast<UChar32>(index * kPageSize + i));
  slot->store(page, std::memory_order_release);
  return *page;
}

}  // namespace

const UnicodeCharacter& CharacterOf(char32_t code) {
  static std::array<std::atomic<const Page*>, kNumPages> pages;
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) code = kReplacement;
  std::atomic<const Page*>& slot = pages[code / kPageSize];
  const Page* page = slot.load(std::memory_order_acquire);
  return (page != nullptr ? *page : MakePage(code / kPageSize, &slot))[code % kPageSize];
}

std::u16string FoldCharacters(std::u32string_view characters) {
  std::u16string text;
  for (const char32_t code : characters) Append(static_cast<UChar32>(code), &text);
  return Fold(text);
}

std::u16string WithoutAccents(std::u16string_view folded_word) {
  std::u16string bare;
  for (std::size_t i = 0; i < folded_word.size();) {
    const UnicodeCharacter& character = CharacterOf(static_cast<char32_t>(Next(folded_word, &i)));
    // Marks of their own depend on the letter before them.
    if (character.kind == CharacterKind::kMark || !character.bare.IsWhole()) return RemoveAccents(folded_word);
    bare += character.bare.View();
  }
  return bare;
}

char32_t DecodeUtf8(std::string_view text, std::size_t begin, std::size_t* end) {
  *end = begin + 1;
  const auto first = static_cast<unsigned char>(text[begin]);
  if (first < 0x80) return first;
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || begin + size > text.size()) return kReplacement;
  char32_t code = first & (0x7F >> size);
  for (std::size_t i = begin + 1; i < begin + size; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return kReplacement;
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3F);
  }
  constexpr char32_t kLeast[] = {0x80, 0x800, 0x10000};
  if (code < kLeast[size - 2] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return kReplacement;
  *end = begin + size;
  return code;
}

void AppendUtf8(std::u16string_view text, std::string* out) {
  for (std::size_t i = 0; i < text.size();) {
    UChar32 code = Next(text, &i);
    if (U_IS_SURROGATE(code)) code = kReplacement;
    std::array<std::uint8_t, U8_MAX_LENGTH> bytes = {};
    std::size_t size = 0;
    U8_APPEND_UNSAFE(bytes, size, code);
    out->append(reinterpret_cast<const char*>(bytes.data()), size);
  }
}

bool EndsSentences(char32_t code) {
  return code <= 0x10FFFF && u_hasBinaryProperty(static_cast<UChar32>(code), UCHAR_S_TERM);
}

std::string UnicodeVersion() {
  UVersionInfo icu, unicode;
  u_getVersion(icu);
  u_getUnicodeVersion(unicode);
  char icu_text[U_MAX_VERSION_STRING_LENGTH], unicode_text[U_MAX_VERSION_STRING_LENGTH];
  u_versionToString(icu, icu_text);
  u_versionToString(unicode, unicode_text);
  return std::string("ICU ") + icu_text + ", Unicode " + unicode_text;
}

// --- Breaks ---

struct WordBreaks::Iterator {
  // Of the root locale: what a machine is set to must not change where words end. Null only where ICU's data is
  // missing.
  Iterator() {
    UErrorCode error = U_ZERO_ERROR;
    breaks = ubrk_open(UBRK_WORD, "root", nullptr, 0, &error);
  }
  ~Iterator() {
    if (breaks != nullptr) ubrk_close(breaks);
  }
  UBreakIterator* breaks = nullptr;
};

WordBreaks::WordBreaks() : iterator_(std::make_unique<Iterator>()) {}
WordBreaks::~WordBreaks() = default;

const std::vector<std::int32_t>& WordBreaks::Find(std::u16string_view text) {
  ends_.clear();
  UErrorCode error = U_ZERO_ERROR;
  const auto size = static_cast<std::int32_t>(text.size());
  if (iterator_->breaks != nullptr) ubrk_setText(iterator_->breaks, text.data(), size, &error);
  if (iterator_->breaks != nullptr && U_SUCCESS(error)) {
    for (std::int32_t end = ubrk_next(iterator_->breaks); end != UBRK_DONE; end = ubrk_next(iterator_->breaks)) {
      ends_.push_back(end);
    }
  }
  if (ends_.empty() || ends_.back() != size) ends_.push_back(size);
  return ends_;
}

}  // namespace tome
