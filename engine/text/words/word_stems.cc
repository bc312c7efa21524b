#include "engine/text/words/word_stems.h"

#include <libstemmer.h>

#include <algorithm>
#include <functional>

#include "engine/base/crc32c.h"

namespace tome {
namespace {

// Counts the changes of what words and stems are.
constexpr std::string_view kVersion = "1";
// Words longer than this are stemmed by their first bytes.
constexpr std::size_t kMaxStemBytes = 64;
constexpr std::size_t kKnownStems = 4096;

std::string_view FirstBytes(std::string_view word) {
  if (word.size() <= kMaxStemBytes) return word;
  std::size_t cut = kMaxStemBytes;
  while (cut > 0 && (static_cast<unsigned char>(word[cut]) & 0xC0) == 0x80) --cut;
  return word.substr(0, cut);
}

}  // namespace

std::string WordStemsVersion() { return std::string(kVersion) + ", " + UnicodeVersion(); }

WordStemmer::WordStemmer(WordFinder::Path path) : finder_(path), known_(kKnownStems) {}
WordStemmer::~WordStemmer() {
  for (sb_stemmer* stemmer : stemmers_) sb_stemmer_delete(stemmer);
}

std::string_view WordStemmer::StemOf(std::string_view folded, Language language) {
  folded = FirstBytes(folded);
  if (language == Language::kPlain) return folded;
  sb_stemmer*& stemmer = stemmers_[static_cast<std::size_t>(language)];
  if (stemmer == nullptr) stemmer = sb_stemmer_new(std::string(LanguageName(language)).c_str(), "UTF_8");
  const auto* symbols = reinterpret_cast<const sb_symbol*>(folded.data());
  const sb_symbol* stem =
      stemmer == nullptr ? nullptr : sb_stemmer_stem(stemmer, symbols, static_cast<int>(folded.size()));
  if (stem == nullptr) return folded;
  const auto size = static_cast<std::size_t>(sb_stemmer_length(stemmer));
  // Some stemmers leave nothing of a word that is all suffix.
  return size == 0 ? folded : std::string_view(reinterpret_cast<const char*>(stem), size);
}

std::uint32_t WordStemmer::HashOf(std::string_view folded, Language language) {
  if (folded.empty() || folded.size() > KnownStem::kMaxWordBytes) return Crc32c(StemOf(folded, language));
  KnownStem& known = known_[std::hash<std::string_view>()(folded) % known_.size()];
  if (known.language == language && std::string_view(known.word, known.size) == folded) return known.hash;
  known.hash = Crc32c(StemOf(folded, language));
  known.language = language;
  known.size = static_cast<std::uint8_t>(folded.size());
  std::copy(folded.begin(), folded.end(), known.word);
  return known.hash;
}

std::vector<WordStem> WordStemmer::Stems(const TextWords& words, const TextLanguages& languages) {
  std::vector<WordStem> stems;
  stems.reserve(words.words.size());
  for (const TextWord& word : words.words) {
    const Language language = languages.Of(word.script);
    const std::uint32_t hash = HashOf(words.Folded(word), language);
    stems.push_back({.hash = hash, .begin = word.begin, .end = word.end});
    if (word.bare == word.folded) continue;
    const std::uint32_t bare = HashOf(words.WithoutAccents(word), language);
    if (bare != hash) stems.push_back({.hash = bare, .begin = word.begin, .end = word.end, .without_accents = true});
  }
  return stems;
}

std::vector<WordStem> WordStemmer::Analyze(std::string_view text, const TextLanguages& languages) {
  return Stems(finder_.Find(text), languages);
}

WordStemmer::Analysis WordStemmer::AnalyzeText(std::string_view text, const TextLanguages& before) {
  const TextWords& words = finder_.Find(text);
  Analysis analysis{.languages = DetectLanguages(words, before), .stems = {}};
  analysis.stems = Stems(words, analysis.languages);
  return analysis;
}

std::string WordStemmer::Stem(std::string_view word, const TextLanguages& languages) {
  const TextWords& words = finder_.Find(word);
  if (words.words.empty()) return "";
  const TextWord& first = words.words.front();
  return std::string(StemOf(words.Folded(first), languages.Of(first.script)));
}

}  // namespace tome
