// The words of a text, folded, and where they stand.
//
// Words are those of Unicode's text segmentation (UAX 29), which looks them up in dictionaries where a script puts no
// spaces between them (Thai, Lao, Khmer, Burmese; Han and kana). Apart from that a word is a run of letters, marks and
// digits: apostrophes, points and low lines divide ("l'homme" is two words, and so are "3.14" and "some_name"), so that
// what stands within a larger word is found by itself. What shows nothing within a word is no part of it, superscripts
// are words of their own, and a quote between Hebrew letters, as in abbreviations, divides nothing.
//
// Further words are found within words, so that they match however the text around them is divided:
//   - each character of a Han word, for dictionaries cut a compound in one text and leave it whole in another;
//   - each two neighbouring syllables of a Hangul word, whose particles are written with it;
//   - both parts of a word that a hyphen divides at the end of a line are joined: "exam-", "ple" are "example" as well.
#ifndef TOME_ENGINE_TEXT_WORDS_TEXT_WORDS_H_
#define TOME_ENGINE_TEXT_WORDS_TEXT_WORDS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/words/unicode_characters.h"

namespace tome {

struct TextWord {
  std::size_t begin = 0, end = 0;                // in the text, in bytes
  WritingScript script = WritingScript::kOther;  // of its first letter that is of one
  std::size_t folded = 0, folded_size = 0;       // see TextWords::Folded
  std::size_t bare = 0, bare_size = 0;
};

// Ordered by where they begin.
struct TextWords {
  std::vector<TextWord> words;
  std::string letters;

  // UTF-8; see unicode_characters.h.
  std::string_view Folded(const TextWord& word) const {
    return std::string_view(letters).substr(word.folded, word.folded_size);
  }
  std::string_view WithoutAccents(const TextWord& word) const {
    return std::string_view(letters).substr(word.bare, word.bare_size);
  }
  void Clear() {
    words.clear();
    letters.clear();
  }
};

// Holds working memory. Not thread-safe.
class WordFinder {
 public:
  enum class Path {
    kFast,
    kGeneral,  // ASCII goes the way of all characters, and every run of letters through ICU: the same, slowly
  };
  explicit WordFinder(Path path = Path::kFast) : path_(path) {}

  // The words of `text`, until the next call. Any bytes: ill-formed ones separate words.
  const TextWords& Find(std::string_view text);

 private:
  // Letters side by side that no separator divides, folded; where the character is that each unit came from.
  struct Run {
    std::u16string letters;
    std::vector<std::size_t> begins, ends;
    bool dictionary = false, accents = false;
    WritingScript last_script = WritingScript::kOther;
    bool last_spaces_words = false;
  };
  // A character at a place of the text.
  struct Placed {
    char32_t code = 0;
    std::size_t begin = 0, end = 0;
  };

  std::size_t FindAscii(std::size_t begin);
  // Takes a character and those that belong to it. Gives where the next one begins.
  std::size_t TakeCharacter(std::size_t begin);
  void Take(const UnicodeCharacter& character, std::u16string_view folded, const Placed& at);
  void TakeQuote(std::size_t end);
  void AppendToRun(const UnicodeCharacter& character, std::u16string_view folded, const Placed& at);
  void EndRun();
  void AddWord(std::size_t first, std::size_t end);
  void AddPartsOf(std::size_t first, std::size_t end);
  void Add(std::size_t first, std::size_t end, WritingScript script);
  TextWord Joined(std::size_t first, std::size_t last);
  void JoinDivided();

  const Path path_;
  std::string_view text_;
  TextWords found_;
  Run run_;
  std::u32string characters_;
  WordBreaks breaks_;
};

// The letters of all words of `text`, folded, without what is between them.
std::string FoldWords(std::string_view text);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_WORDS_TEXT_WORDS_H_
