// What Unicode's tables (ICU) say of a character as a part of a word: where it stands, and how it is folded.
//
// Folding is NFKC_Casefold: compatibility forms (ligatures, full-width and circled letters) become the letters that
// they show, capitals small, composed and combining accents the same, and what has no shape of its own (soft hyphens,
// zero-width spaces and joiners, byte order marks) nothing. Beyond that decimal digits of all scripts are the ASCII
// ones, and Arabic letters that look the same at the end of a word are one. Thai and Lao AM stay whole, for
// dictionaries write them so.
#ifndef TOME_ENGINE_TEXT_WORDS_UNICODE_CHARACTERS_H_
#define TOME_ENGINE_TEXT_WORDS_UNICODE_CHARACTERS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tome {

enum class CharacterKind : std::uint8_t {
  kSeparator,
  kPart,        // of a word: letters and decimal digits of scripts that put spaces between words
  kDictionary,  // the same of scripts that do not, and of Hangul: where words end is looked up
  kMark,        // belongs to the letter before it
  kIgnored,     // stands within words and changes none
  kAlone,       // a word of its own: superscript letters and digits, numbers in circles
  kQuote,       // an apostrophe or a quote: separates, but for Hebrew, whose abbreviations are written with them
};

// Of those whose words are treated differently.
enum class WritingScript : std::uint8_t {
  kOther,
  kLatin,
  kGreek,
  kCyrillic,
  kArmenian,
  kHebrew,
  kArabic,
  kDevanagari,
  kTamil,
  kHan,
  kHangul,
};

struct UnicodeCharacter {
  static constexpr std::size_t kMaxFolded = 4;
  // Of a few units; `size` is beyond them where there are more.
  struct Letters {
    std::uint8_t size = 0;
    char16_t units[kMaxFolded] = {};

    bool IsWhole() const { return size <= kMaxFolded; }
    std::u16string_view View() const { return {units, size}; }
  };

  CharacterKind kind = CharacterKind::kSeparator;
  WritingScript script = WritingScript::kOther;
  bool begins = true;         // nothing before it changes how it is folded
  bool capital = false;       // an upper- or title-case letter
  bool has_accents = false;   // `bare` is not `folded`
  bool spaces_words = false;  // U+200B beside it ends a word
  Letters folded, bare;       // when it stands alone; see FoldCharacters, WithoutAccents
};

// Of any number; what is no character is a separator. Thread-safe.
const UnicodeCharacter& CharacterOf(char32_t code);

// Folds characters that belong together: the first one and those after it that do not `begin`. Thread-safe.
std::u16string FoldCharacters(std::u32string_view characters);

// A folded word without its accents: the marks of Latin, Greek, Hebrew and Arabic letters, and those of Cyrillic ones
// that make no other letter (so not of short i), and Latin letters with strokes and ligatures as ASCII has them.
// Vowel signs of Indic scripts and kana's voicing are no accents. Thread-safe.
std::u16string WithoutAccents(std::u16string_view folded_word);

// The character at text[begin], begin < text.size(), and where it ends. A byte of no well-formed one is U+FFFD.
char32_t DecodeUtf8(std::string_view text, std::size_t begin, std::size_t* end);

// Well-formed UTF-8; what is no character becomes U+FFFD.
void AppendUtf8(std::u16string_view text, std::string* out);

// Whether it is a full stop, question mark or the like, of any script (Unicode's Sentence_Terminal).
bool EndsSentences(char32_t code);

// "ICU 72.1, Unicode 15.0": whose tables and dictionaries these are.
std::string UnicodeVersion();

// Finds where words end in texts without spaces, by ICU's rules (UAX 29) and dictionaries. Not thread-safe.
class WordBreaks {
 public:
  WordBreaks();
  ~WordBreaks();
  WordBreaks(const WordBreaks&) = delete;
  WordBreaks& operator=(const WordBreaks&) = delete;

  // Where the pieces of `text` end, ascending, the last at its end. The next call overwrites them.
  const std::vector<std::int32_t>& Find(std::u16string_view text);

 private:
  struct Iterator;
  std::unique_ptr<Iterator> iterator_;
  std::vector<std::int32_t> ends_;
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_WORDS_UNICODE_CHARACTERS_H_
