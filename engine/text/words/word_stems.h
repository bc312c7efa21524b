// The words of a text as a lexical index counts them: folded, reduced to their stem, hashed.
//
// Two words are the same when their stems are. Stems are those of Snowball's stemmer for the language of the text,
// which is found from the text itself (languages.h); a question is stemmed by the languages of the texts that it is
// compared with, so that nobody needs to know its own.
//
// Accents count, but need not be typed: a word with accents has two stems, one of it as it is written and one of it
// without accents. So a question without them finds all, and one with them finds first what is written as it is. Greek
// has one stem for both, as its stemmer has it. What is an accent, see WithoutAccents. Not the same words: simplified
// and traditional Chinese characters, hiragana and katakana, "ae" for "ä".
#ifndef TOME_ENGINE_TEXT_WORDS_WORD_STEMS_H_
#define TOME_ENGINE_TEXT_WORDS_WORD_STEMS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/words/languages.h"
#include "engine/text/words/text_words.h"

struct sb_stemmer;

namespace tome {

// A word of a text: bytes begin <= i < end.
struct WordStem {
  std::uint32_t hash = 0;  // of the stem; equal for all forms of a word
  std::size_t begin = 0;
  std::size_t end = 0;
  bool without_accents = false;  // another stem of the word before it
};

// What stems depend on, beside the text: stems of another version are to be made anew.
std::string WordStemsVersion();

// Finds words and stems them. The same text gives the same stems on every machine with the same version. Holds working
// memory, and the stemmers that were needed. Not thread-safe.
class WordStemmer {
 public:
  explicit WordStemmer(WordFinder::Path path = WordFinder::Path::kFast);
  ~WordStemmer();
  WordStemmer(const WordStemmer&) = delete;
  WordStemmer& operator=(const WordStemmer&) = delete;

  // The stems of the words of `text`, any bytes, ordered by where the words begin.
  std::vector<WordStem> Analyze(std::string_view text, const TextLanguages& languages = {});

  // The same in the languages that the text is found to be in; `before`: of the text before it.
  struct Analysis {
    TextLanguages languages;
    std::vector<WordStem> stems;
  };
  Analysis AnalyzeText(std::string_view text, const TextLanguages& before = {});

  // The stem of the first word itself, for messages and tests; "" where there is none.
  std::string Stem(std::string_view word, const TextLanguages& languages = {});

 private:
  // Stems that were made, a few thousand of them: texts repeat their words.
  struct KnownStem {
    static constexpr std::size_t kMaxWordBytes = 18;
    std::uint32_t hash = 0;
    Language language = Language::kPlain;
    std::uint8_t size = 0;  // 0: none
    char word[kMaxWordBytes] = {};
  };

  std::vector<WordStem> Stems(const TextWords& words, const TextLanguages& languages);
  std::uint32_t HashOf(std::string_view folded, Language language);
  std::string_view StemOf(std::string_view folded, Language language);

  WordFinder finder_;
  std::array<sb_stemmer*, kNumLanguages> stemmers_ = {};
  std::vector<KnownStem> known_;
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_WORDS_WORD_STEMS_H_
