#include "engine/text/word_stems.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace tome {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Words(const std::string& text) {
  WordStemmer stemmer;
  std::vector<std::string> words;
  for (const WordStem& word : stemmer.Analyze(text)) words.push_back(text.substr(word.begin, word.end - word.begin));
  return words;
}

TEST(WordStems, CutsAtWhatIsNoLetterMarkOrDigit) {
  EXPECT_THAT(Words("The cat's 3rd--life, no.42!"), ElementsAre("The", "cat", "s", "3rd", "life", "no", "42"));
  EXPECT_THAT(Words("\xe2\x80\x9cNa\xc3\xafve\xe2\x80\x9d \xe2\x80\x94 caf\x65\xcc\x81\xe2\x80\xa6"),
              ElementsAre("Na\xc3\xafve", "caf\x65\xcc\x81"));
  EXPECT_THAT(Words(""), ElementsAre());
  EXPECT_THAT(Words(" \n\t.,;"), ElementsAre());
}

TEST(WordStems, ScriptsWithoutSpacesGiveCharacters) {
  EXPECT_THAT(Words("\xe6\x9d\xb1\xe4\xba\xac tower"), ElementsAre("\xe6\x9d\xb1", "\xe4\xba\xac", "tower"));
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

TEST(WordStems, FoldingKeepsLengthsAndOtherBytes) {
  EXPECT_EQ(FoldCase("ABC xyz 123"), "abc xyz 123");
  EXPECT_EQ(FoldCase("\xff\xc3\x80\x80Z"), "\xff\xc3\xa0\x80z");
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const std::string folded = FoldCase(bytes);
    EXPECT_EQ(folded.size(), bytes.size());
    EXPECT_EQ(FoldCase(folded), folded);
  }
}

TEST(WordStems, AnyBytesGiveWordsInOrder) {
  WordStemmer stemmer;
  std::mt19937 random(2);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 300, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 3 == 0 ? random() : 'a' + random() % 4);
    std::size_t end = 0;
    for (const WordStem& word : stemmer.Analyze(bytes)) {
      EXPECT_GE(word.begin, end);
      EXPECT_GT(word.end, word.begin);
      end = word.end;
    }
    EXPECT_LE(end, bytes.size());
  }
  EXPECT_EQ(stemmer.Analyze(std::string(1 << 20, 'a')).size(), 1u);
}

}  // namespace
}  // namespace tome
