// In which language a text is, as far as the stems of its words depend on it.
#ifndef TOME_ENGINE_TEXT_WORDS_LANGUAGES_H_
#define TOME_ENGINE_TEXT_WORDS_LANGUAGES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/text/words/language.h"
#include "engine/text/words/text_words.h"

namespace tome {

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

#endif  // TOME_ENGINE_TEXT_WORDS_LANGUAGES_H_
