// The words of a text as a lexical index counts them: folded to lower case, reduced to their stem, hashed.
#ifndef TOME_ENGINE_TEXT_WORD_STEMS_H_
#define TOME_ENGINE_TEXT_WORD_STEMS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct sb_stemmer;

namespace tome {

// A word of a text: bytes begin <= i < end.
struct WordStem {
  std::uint32_t hash = 0;  // of the folded stem; equal for all forms of a word
  std::size_t begin = 0;
  std::size_t end = 0;
};

// `text` with the capital letters of Latin, Greek and Cyrillic made small. Other bytes, also ill-formed ones, are
// copied; no character changes its length.
std::string FoldCase(std::string_view text);

// Cuts and stems. A word is a run of letters, marks and digits; of scripts that are written without spaces each
// character is one. Stems are those of Snowball's English stemmer, which leaves other scripts alone. The same text
// gives the same stems on every machine. Not thread-safe.
class WordStemmer {
 public:
  WordStemmer();
  ~WordStemmer();
  WordStemmer(const WordStemmer&) = delete;
  WordStemmer& operator=(const WordStemmer&) = delete;

  // The words of `text`, in order. Ill-formed bytes separate words.
  std::vector<WordStem> Analyze(std::string_view text);

  // The stem itself, folded, for messages and tests.
  std::string Stem(std::string_view word);

 private:
  sb_stemmer* stemmer_;
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_WORD_STEMS_H_
