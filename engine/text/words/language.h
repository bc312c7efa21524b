// The languages whose words are stemmed.
#ifndef TOME_ENGINE_TEXT_WORDS_LANGUAGE_H_
#define TOME_ENGINE_TEXT_WORDS_LANGUAGE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tome {

// Those for which Snowball has a stemmer. The numbers are stored.
enum class Language : std::uint8_t {
  kPlain = 0,  // none of them: words are their own stems
  kArabic = 1,
  kArmenian = 2,
  kBasque = 3,
  kCatalan = 4,
  kDanish = 5,
  kDutch = 6,
  kEnglish = 7,
  kFinnish = 8,
  kFrench = 9,
  kGerman = 10,
  kGreek = 11,
  kHindi = 12,
  kHungarian = 13,
  kIndonesian = 14,
  kIrish = 15,
  kItalian = 16,
  kLithuanian = 17,
  kNepali = 18,
  kNorwegian = 19,
  kPortuguese = 20,
  kRomanian = 21,
  kRussian = 22,
  kSerbian = 23,
  kSpanish = 24,
  kSwedish = 25,
  kTamil = 26,
  kTurkish = 27,
  kYiddish = 28,
};
inline constexpr std::size_t kNumLanguages = 29;
// As Snowball names it: "english"; "" for kPlain.
std::string_view LanguageName(Language language);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_WORDS_LANGUAGE_H_
