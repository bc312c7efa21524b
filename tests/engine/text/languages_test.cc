#include "engine/text/words/languages.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/engine/text/language_sentences_data.h"

namespace tome {
namespace {

TextLanguages Detect(const std::string& text, const TextLanguages& before = {}) {
  WordFinder finder;
  return DetectLanguages(finder.Find(text), before);
}

TEST(Languages, AreFoundFromAFewSentences) {
  for (const LanguageSentence& test : kLanguageSentences) {
    EXPECT_EQ(LanguageName(Detect(std::string(test.text)).Of(test.script)), LanguageName(test.language)) << test.text;
  }
}

TEST(Languages, StayWhatTheyWereWhereTheTextSaysNothing) {
  TextLanguages french;
  french.Set(WritingScript::kLatin, Language::kFrench);
  for (const char* text : {"", "1844 1887", "Skerryvore; Fontvieille", "int main() { return x + y; }"}) {
    EXPECT_EQ(Detect(text, french), french) << text;
    EXPECT_EQ(Detect(text), TextLanguages()) << text;
  }
  EXPECT_EQ(Detect("the history of the town and of its people", french).Of(WritingScript::kLatin), Language::kEnglish);
  EXPECT_EQ(Detect("Mr. de la Cruz met Leo van den Berg in Los Angeles; they spoke of the sea", {}), TextLanguages());
}

TEST(Languages, PackAndUnpack) {
  for (std::size_t i = 0; i < kNumLanguages; ++i) {
    for (const WritingScript script : {WritingScript::kLatin, WritingScript::kCyrillic, WritingScript::kArabic,
                                       WritingScript::kDevanagari, WritingScript::kHebrew}) {
      TextLanguages languages;
      languages.Set(script, static_cast<Language>(i));
      EXPECT_EQ(languages.Of(script), static_cast<Language>(i));
      EXPECT_EQ(TextLanguages::Unpack(languages.Packed()), languages);
    }
  }
  EXPECT_FALSE(TextLanguages::Unpack(kNumLanguages));
  EXPECT_FALSE(TextLanguages::Unpack(~0u));
  EXPECT_FALSE(TextLanguages::Unpack(1u << 31));
  TextLanguages languages;
  languages.Set(WritingScript::kGreek, Language::kEnglish);
  EXPECT_EQ(languages, TextLanguages()) << "Greek has one language";
  EXPECT_EQ(languages.Of(WritingScript::kGreek), Language::kGreek);
}

}  // namespace
}  // namespace tome
