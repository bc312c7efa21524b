// In which language a text is, as far as the stems of its words depend on it.
#ifndef TOME_ENGINE_TEXT_LANGUAGES_H_
#define TOME_ENGINE_TEXT_LANGUAGES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/text/text_words.h"

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

// The language of the words of each script in a text.
class TextLanguages {
 public:
  // Where nothing is known: English, Russian, Arabic, Hindi, and no stems for Hebrew.
  TextLanguages();

  // Scripts of one language have that one.
  Language Of(WritingScript script) const;
  // Without effect for scripts that have no choice.
  void Set(WritingScript script, Language language);

  // As stored; nullopt for a number that Packed does not give.
  std::uint32_t Packed() const;
  static std::optional<TextLanguages> Unpack(std::uint32_t packed);

  friend bool operator==(const TextLanguages&, const TextLanguages&) = default;

 private:
  std::array<Language, 5> languages_;
};

// The languages of a text, by the words of it that hardly any text of a language is without. A script keeps that of
// `before`, the text before it, until another language has more of them. Thread-safe.
TextLanguages DetectLanguages(const TextWords& words, const TextLanguages& before = {});

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_LANGUAGES_H_
