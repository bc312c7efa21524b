#include "engine/text/words/word_stems.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/crc32c.h"

namespace tome {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Words(const std::string& text) {
  WordStemmer stemmer;
  std::vector<std::string> words;
  for (const WordStem& word : stemmer.Analyze(text)) {
    if (!word.without_accents) words.push_back(text.substr(word.begin, word.end - word.begin));
  }
  return words;
}

TEST(WordStems, CutsAtWhatIsNoLetterMarkOrDigit) {
  EXPECT_THAT(Words("The cat's 3rd--life, no.42!"), ElementsAre("The", "cat", "s", "3rd", "life", "no", "42"));
  EXPECT_THAT(Words("\xe2\x80\x9cNa\xc3\xafve\xe2\x80\x9d \xe2\x80\x94 caf\x65\xcc\x81\xe2\x80\xa6"),
              ElementsAre("Na\xc3\xafve", "caf\x65\xcc\x81"));
  EXPECT_THAT(Words(""), ElementsAre());
  EXPECT_THAT(Words(" \n\t.,;"), ElementsAre());
}

TEST(WordStems, ScriptsWithoutSpacesGiveWordsAndCharacters) {
  EXPECT_THAT(Words("\xe6\x9d\xb1\xe4\xba\xac tower"),
              ElementsAre("\xe6\x9d\xb1\xe4\xba\xac", "\xe6\x9d\xb1", "\xe4\xba\xac", "tower"));
  EXPECT_THAT(Words("ab\xe6\x9d\xb1z"), ElementsAre("ab", "\xe6\x9d\xb1", "z"));
}

TEST(WordStems, FormsOfAWordAreEqual) {
  WordStemmer stemmer;
  const std::vector<std::vector<std::string>> same = {{"connect", "Connected", "CONNECTING", "connections"},
                                                      {"river", "Rivers"},
                                                      {"\xc3\x89tude", "\xc3\xa9tude"},
                                                      {"\xd0\x9c\xd0\x98\xd0\xa0", "\xd0\xbc\xd0\xb8\xd1\x80"},
                                                      {"\xce\xa9\xce\x9c", "\xcf\x89\xce\xbc"}};
  for (const auto& forms : same) {
    for (const std::string& form : forms) EXPECT_EQ(stemmer.Stem(form), stemmer.Stem(forms.front())) << form;
  }
  EXPECT_NE(stemmer.Stem("river"), stemmer.Stem("revere"));
}

TextLanguages In(WritingScript script, Language language) {
  TextLanguages languages;
  languages.Set(script, language);
  return languages;
}

std::set<std::uint32_t> HashesOf(const std::string& text, const TextLanguages& languages) {
  WordStemmer stemmer;
  std::set<std::uint32_t> hashes;
  for (const WordStem& word : stemmer.Analyze(text, languages)) hashes.insert(word.hash);
  return hashes;
}

bool Meet(const std::set<std::uint32_t>& first, const std::set<std::uint32_t>& second) {
  return std::any_of(first.begin(), first.end(), [&](std::uint32_t hash) { return second.contains(hash); });
}

TEST(WordStems, EachLanguageHasItsOwnForms) {
  constexpr WritingScript kLatin = WritingScript::kLatin;
  const struct {
    TextLanguages languages;
    std::vector<std::string> forms;
  } cases[] = {
      {In(kLatin, Language::kFrench), {"\u00E9lever", "\u00E9lev\u00E9s", "\u00C9LEV\u00C9ES", "e\u0301leve"}},
      {In(kLatin, Language::kGerman), {"M\u00FCtze", "M\u00FCtzen", "M\u00DCTZEN"}},
      {In(kLatin, Language::kSpanish), {"comunicaci\u00F3n", "comunicaciones"}},
      {In(kLatin, Language::kItalian), {"libro", "libri"}},
      {In(kLatin, Language::kTurkish), {"kitap", "kitaplar\u0131", "K\u0130TAPLARI"}},
      {In(kLatin, Language::kFinnish), {"talo", "talossa", "taloista"}},
      {In(kLatin, Language::kHungarian), {"h\u00E1z", "h\u00E1zban"}},
      {In(kLatin, Language::kSwedish), {"b\u00E5tar", "b\u00E5tarna"}},
      {In(WritingScript::kCyrillic, Language::kRussian),
       {"\u043C\u0435\u043B\u044C\u043D\u0438\u0446\u0430", "\u041C\u0415\u041B\u042C\u041D\u0418\u0426\u042B"}},
      {In(WritingScript::kCyrillic, Language::kSerbian),
       {"\u043A\u045A\u0438\u0433\u0430", "\u043A\u045A\u0438\u0433\u0435"}},
      {TextLanguages(),
       {"\u03B8\u03AC\u03BB\u03B1\u03C3\u03C3\u03B1", "\u03B8\u03AC\u03BB\u03B1\u03C3\u03C3\u03B5\u03C2",
        "\u0398\u0391\u039B\u0391\u03A3\u03A3\u0391"}},
      {TextLanguages(), {"\u0627\u0644\u0643\u062A\u0627\u0628", "\u0643\u062A\u0627\u0628"}},
      {TextLanguages(), {"\u0BAE\u0BB0\u0B99\u0BCD\u0B95\u0BB3\u0BCD", "\u0BAE\u0BB0\u0B99\u0BCD\u0B95\u0BB3\u0BC8"}},
  };
  for (const auto& test : cases) {
    for (const std::string& form : test.forms) {
      EXPECT_TRUE(Meet(HashesOf(form, test.languages), HashesOf(test.forms.front(), test.languages)))
          << form << " and " << test.forms.front();
    }
  }
}

// Whatever the language, a question without accents finds the word that has them, and the other way round.
TEST(WordStems, AccentsNeedNotBeTyped) {
  const std::pair<std::string, std::string> pairs[] = {{"\u00E9t\u00E9s", "etes"},
                                                       {"ingl\u00E9s", "ingles"},
                                                       {"\u0130stanbul", "istanbul"},
                                                       {"\u0131\u015F\u0131k", "isik"},
                                                       {"vi\u1EC7t", "viet"},
                                                       {"\u0141\u00F3d\u017A", "lodz"},
                                                       {"comunicaci\u00F3n", "comunicacion"},
                                                       {"h\u00E1zakban", "hazakban"},
                                                       {"m\u00E3os", "maos"}};
  for (std::size_t language = 0; language < kNumLanguages; ++language) {
    const TextLanguages languages = In(WritingScript::kLatin, static_cast<Language>(language));
    for (const auto& [with, without] : pairs) {
      EXPECT_TRUE(Meet(HashesOf(with, languages), HashesOf(without, languages)))
          << with << " in " << LanguageName(static_cast<Language>(language));
    }
  }
}

TEST(WordStems, KnownStemsAreThoseOfTheStemmers) {
  std::mt19937 random(3);
  WordStemmer one;
  for (int round = 0; round < 20000; ++round) {
    std::string word;
    for (std::size_t i = 1 + random() % 24; i > 0; --i) word.push_back("aeinrst"[random() % 7]);
    const auto language = static_cast<Language>(random() % kNumLanguages);
    const TextLanguages languages = In(WritingScript::kLatin, language);
    const std::vector<WordStem> stems = one.Analyze(word, languages);
    ASSERT_EQ(stems.size(), 1u);
    EXPECT_EQ(stems[0].hash, Crc32c(one.Stem(word, languages))) << word << " in " << LanguageName(language);
  }
}

TEST(WordStems, AnyBytesGiveWordsInOrder) {
  WordStemmer stemmer;
  std::mt19937 random(2);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 300, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 3 == 0 ? random() : 'a' + random() % 4);
    std::size_t begin = 0;
    for (const WordStem& word : stemmer.Analyze(bytes)) {
      EXPECT_GE(word.begin, begin);
      EXPECT_GT(word.end, word.begin);
      EXPECT_LE(word.end, bytes.size());
      begin = word.begin;
    }
  }
  EXPECT_EQ(stemmer.Analyze(std::string(1 << 20, 'a')).size(), 1u);
}

}  // namespace
}  // namespace tome
