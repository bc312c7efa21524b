// Any bytes: words lie within the text and in order, both ways of finding them give the same, and what a word is folded
// to is folded.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/text/words/word_stems.h"
#include "tests/fuzz/require.h"

namespace tome::testing {
namespace {

void Compare(const TextWords& words, const TextWords& others) {
  Require(words.words.size() == others.words.size(), "both ways find as many words");
  for (std::size_t i = 0; i < words.words.size(); ++i) {
    const TextWord &word = words.words[i], &other = others.words[i];
    Require(word.begin == other.begin && word.end == other.end, "both ways find the same words");
    Require(words.Folded(word) == others.Folded(other), "both ways fold alike");
    Require(words.WithoutAccents(word) == others.WithoutAccents(other), "both ways leave out the same accents");
  }
}

void Check(std::string_view text) {
  static auto* finder = new WordFinder;
  static auto* general = new WordFinder(WordFinder::Path::kGeneral);
  static auto* stemmer = new WordStemmer;
  const TextWords& words = finder->Find(text);
  std::size_t begin = 0;
  for (const TextWord& word : words.words) {
    Require(word.begin >= begin && word.begin < word.end && word.end <= text.size(), "words are in the text, in order");
    Require(!words.Folded(word).empty() && !words.WithoutAccents(word).empty(), "words have letters");
    begin = word.begin;
  }
  Compare(words, general->Find(text));
  const WordStemmer::Analysis analysis = stemmer->AnalyzeText(text);
  Require(TextLanguages::Unpack(analysis.languages.Packed()) == analysis.languages,
          "languages are packed and unpacked");
  Require(analysis.stems.size() >= words.words.size(), "every word has a stem");
}

}  // namespace
}  // namespace tome::testing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tome::testing::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
