// Words against Unicode: every script's punctuation, every spelling that looks the same, and ICU itself as the slow
// twin.
#include "engine/text/words/text_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unicode/ubrk.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/support/script_samples.h"

namespace tome {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Folded(std::string_view text) {
  static WordFinder finder;
  const TextWords& words = finder.Find(text);
  std::vector<std::string> folded;
  for (const TextWord& word : words.words) folded.emplace_back(words.Folded(word));
  return folded;
}

std::vector<std::string> Bare(std::string_view text) {
  WordFinder finder;
  const TextWords& words = finder.Find(text);
  std::vector<std::string> bare;
  for (const TextWord& word : words.words) bare.emplace_back(words.WithoutAccents(word));
  return bare;
}

std::string Utf8(char32_t code) {
  std::string text;
  if (code > 0xFFFF) {
    const char16_t pair[] = {static_cast<char16_t>(0xD7C0 + (code >> 10)),
                             static_cast<char16_t>(0xDC00 + (code & 0x3FF))};
    AppendUtf8({pair, 2}, &text);
  } else {
    const char16_t unit = static_cast<char16_t>(code);
    AppendUtf8({&unit, 1}, &text);
  }
  return text;
}

// A description of everything that is found, to compare.
std::string Describe(const TextWords& words) {
  std::string all;
  for (const TextWord& word : words.words) {
    all += std::to_string(word.begin) + "-" + std::to_string(word.end) + " " + std::string(words.Folded(word)) + " " +
           std::string(words.WithoutAccents(word)) + " " + std::to_string(static_cast<int>(word.script)) + "\n";
  }
  return all;
}

// --- What is a word ---

TEST(TextWords, RunsOfLettersMarksAndDigits) {
  EXPECT_THAT(Folded("The cat's 3rd--life, no.42!"), ElementsAre("the", "cat", "s", "3rd", "life", "no", "42"));
  EXPECT_THAT(Folded("l\u2019homme l'homme some_name 3.14 1,000"),
              ElementsAre("l", "homme", "l", "homme", "some", "name", "3", "14", "1", "000"));
  EXPECT_THAT(Folded(""), IsEmpty());
  EXPECT_THAT(Folded(" \n\t.,;\u3002\uFEFF\u200B"), IsEmpty());
}

// The punctuation, symbols, spaces and controls of all scripts, glued to a word of each: it is found as the bare word.
TEST(TextWords, AnythingGluedToAWordLeavesItTheBareWord) {
  constexpr std::uint32_t kGlued = U_GC_P_MASK | U_GC_Z_MASK | U_GC_SC_MASK | U_GC_SM_MASK | U_GC_SK_MASK |
                                   U_GC_CC_MASK | U_GC_CF_MASK | U_GC_SO_MASK;
  std::map<std::string, std::string> words;
  for (const testing::ScriptSample& sample : testing::ScriptSamples()) {
    ASSERT_FALSE(Folded(sample.word).empty()) << sample.name;
    words[sample.word] = Folded(sample.word).front();
  }
  int glued = 0;
  for (char32_t code = 0; code < 0x20000; ++code) {
    if ((U_GET_GC_MASK(static_cast<UChar32>(code)) & kGlued) == 0) continue;
    const CharacterKind kind = CharacterOf(code).kind;
    if (kind == CharacterKind::kPart) continue;  // letters in circles
    const std::string mark = Utf8(code);
    ++glued;
    for (const auto& [word, folded] : words) {
      EXPECT_THAT(Folded(mark + word), Contains(folded)) << static_cast<std::uint32_t>(code);
      EXPECT_THAT(Folded(word + mark), Contains(folded)) << static_cast<std::uint32_t>(code);
      if (kind == CharacterKind::kIgnored) continue;
      // But for Hebrew's quotes.
      if (kind == CharacterKind::kQuote && CharacterOf(0x5D0).script == WritingScript::kHebrew && word[0] == '\xD7')
        continue;
      EXPECT_THAT(Folded(word + mark + word), Contains(folded)) << static_cast<std::uint32_t>(code);
    }
  }
  EXPECT_GT(glued, 3000);
}

TEST(TextWords, StopsOfAllScriptsEndWords) {
  EXPECT_THAT(Folded("\u0643\u062A\u0627\u0628\u060C\u0642\u0644\u0645\u061B"),
              ElementsAre("\u0643\u062A\u0627\u0628", "\u0642\u0644\u0645"));  // Arabic comma, semicolon
  EXPECT_THAT(Folded("\u0905\u092C\u0964\u0905\u092C\u0965"), ElementsAre("\u0905\u092C", "\u0905\u092C"));  // dandas
  EXPECT_THAT(Folded("\u05D0\u05D1\u05BE\u05D2\u05D3\u05C3"),
              ElementsAre("\u05D0\u05D1", "\u05D2\u05D3"));  // maqaf, sof pasuq
  EXPECT_THAT(Folded("\u0561\u0562\u0589\u0561\u0562\u055D"), ElementsAre("\u0561\u0562", "\u0561\u0562"));  // Armenian
  EXPECT_THAT(Folded("\u1201\u1202\u1362\u1201\u1361\u1202"),
              ElementsAre("\u1201\u1202", "\u1201", "\u1202"));                        // Ethiopic
  EXPECT_THAT(Folded("\u0F56\u0F7C\u0F51\u0F0B\u0F66\u0F90\u0F51\u0F0D").size(), 2u);  // Tibetan
  EXPECT_THAT(Folded("\u05E6\u05D4\"\u05DC \u05E6\u05D4\u05F4\u05DC \u05E6\u05D4\u201D\u05DC"),
              ElementsAre("\u05E6\u05D4\u05DC", "\u05E6\u05D4\u05DC", "\u05E6\u05D4\u05DC"))
      << "a quote within a Hebrew abbreviation is none";
  EXPECT_THAT(Folded("\u053B\u0576\u0579\u057A\u0565\u055E\u057D"), ElementsAre("\u056B\u0576\u0579\u057A\u0565\u057D"))
      << "Armenian writes its question mark over a vowel";
}

// --- What looks the same is the same ---

TEST(TextWords, SpellingsThatLookTheSameAreTheSame) {
  const std::vector<std::vector<std::string>> same = {
      {"office", "o\uFB03ce", "OFFICE", "\uFF4F\uFF46\uFF46\uFF49\uFF43\uFF45", "of\u00ADfice", "of\u200Bfice",
       "of\u2060fice", "\uFEFFoffice"},
      {"flat", "\uFB02at"},
      {"first", "\uFB01rst", "\uFB01r\uFB06"},
      {"caf\u00E9", "cafe\u0301", "CAF\u00C9", "CAFE\u0301"},
      {"stra\u00DFe", "STRASSE", "STRA\u1E9EE", "strasse"},
      {"\u03B8\u03AC\u03BB\u03B1\u03C3\u03C3\u03B1", "\u0398\u0386\u039B\u0391\u03A3\u03A3\u0391",
       "\u03B8\u03B1\u0301\u03BB\u03B1\u03C3\u03C3\u03B1"},
      {"\u03C3\u03BF\u03C6\u03CC\u03C2", "\u03A3\u039F\u03A6\u038C\u03A3"},
      {"vi\u1EC7t", "VI\u1EC6T", "vi\u0065\u0323\u0302t", "vi\u1EB9\u0302t"},
      {"\u0561\u0580\u0587", "\u0531\u0550\u0535\u0552", "\u0561\u0580\u0565\u0582"},
      {"\u30AB\u30FC\u30C9", "\uFF76\uFF70\uFF84\uFF9E", "\u30AB\u30FC\u30C8\u3099"},
      {"\uAC01", "\u1100\u1161\u11A8"},
      {"\u0646\u0627\u0645\u0647", "\u0646\u0640\u0640\u0627\u0645\u0647", "\uFEE7\uFE8E\uFEE3\uFEEA"},
      {"\u0643\u064A", "\u06A9\u06CC"},
      {"2023", "\u0662\u0660\u0662\u0663", "\uFF12\uFF10\uFF12\uFF13", "\u0968\u0966\u0968\u0969"},
      {"h2o", "H\u2082O"},
      {"\u0E19\u0E49\u0E33", "\u0E19\u0E49\u0E4D\u0E32"},
      {"kg", "\u338F"},
      {"iv", "\u2163"},
  };
  for (const auto& spellings : same) {
    for (const std::string& spelling : spellings) EXPECT_EQ(Folded(spelling), Folded(spellings.front())) << spelling;
  }
  EXPECT_THAT(Folded("m\u00B2 Tome\u2122 word\u00B9"), ElementsAre("m", "2", "tome", "tm", "word", "1"))
      << "what stands above the line is no part of the word";
  EXPECT_THAT(Folded("\u00BD cup"), ElementsAre("cup"));
}

TEST(TextWords, AccentsAreLeftOutWhereTheyAreNoLetters) {
  EXPECT_THAT(Bare("caf\u00E9 \u0130stanbul ISPARTA \u0131s\u0131 \u0141\u00F3d\u017A \u0110\u00E0 N\u1EB5ng "
                   "\u00D8resund \u00C6gir"),
              ElementsAre("cafe", "istanbul", "isparta", "isi", "lodz", "da", "nang", "oresund", "aegir"));
  EXPECT_THAT(Bare("\u03AC\u03BD\u03B8\u03C1\u03C9\u03C0\u03BF\u03C2"),
              ElementsAre("\u03B1\u03BD\u03B8\u03C1\u03C9\u03C0\u03BF\u03C3"));
  EXPECT_THAT(Bare("\u0451\u043B\u043A\u0430 \u0439\u043E\u0434 \u0437\u0430\u0301\u043C\u043E\u043A"),
              ElementsAre("\u0435\u043B\u043A\u0430", "\u0439\u043E\u0434", "\u0437\u0430\u043C\u043E\u043A"));
  EXPECT_THAT(Bare("\u05E9\u05C1\u05B8\u05DC\u05D5\u05B9\u05DD"), ElementsAre("\u05E9\u05DC\u05D5\u05DD"));
  EXPECT_THAT(Bare("\u0645\u064F\u062D\u064E\u0645\u0651\u064E\u062F \u0623\u062D\u0645\u062F"),
              ElementsAre("\u0645\u062D\u0645\u062F", "\u0627\u062D\u0645\u062F"));
  EXPECT_THAT(Bare("\u0939\u093F\u0928\u094D\u0926\u0940"), ElementsAre("\u0939\u093F\u0928\u094D\u0926\u0940"));
  EXPECT_THAT(Bare("\u304C"), ElementsAre("\u304C"));
}

// A word's accents by ICU's rules at once are those of its characters one by one.
TEST(TextWords, AccentsOfCharactersAreThoseOfWords) {
  for (char32_t code = 0x80; code < 0x3000; ++code) {
    const UnicodeCharacter& character = CharacterOf(code);
    if (!character.folded.IsWhole() || character.kind != CharacterKind::kPart) continue;
    const std::u16string word = u"a" + std::u16string(character.folded.View()) + u"b";
    EXPECT_EQ(WithoutAccents(word), u"a" + std::u16string(character.bare.View()) + u"b")
        << static_cast<std::uint32_t>(code);
    // A mark, which does not compose, takes the way of whole words.
    EXPECT_EQ(WithoutAccents(word + u"\u0330"), u"a" + std::u16string(character.bare.View()) + u"b")
        << static_cast<std::uint32_t>(code);
  }
}

// --- Words within words ---

TEST(TextWords, LineEndsDivideAndJoin) {
  EXPECT_THAT(Folded("an exam-\nple"), ElementsAre("an", "example", "exam", "ple"));
  EXPECT_THAT(Folded("exam- \r\n  ple"), ElementsAre("example", "exam", "ple"));
  EXPECT_THAT(Folded("exam\u00AD\nple"), ElementsAre("example", "exam", "ple"));
  EXPECT_THAT(Folded("exam\u2010\nple"), ElementsAre("example", "exam", "ple"));
  EXPECT_THAT(Folded("exam-\n\fple"), ElementsAre("example", "exam", "ple")) << "at the end of a page";
  EXPECT_THAT(Folded("EXAM-\nPLE"), ElementsAre("example", "exam", "ple"));
  EXPECT_THAT(Folded("in-\nter-\nnal"), ElementsAre("internal", "in", "ter", "nal"));
  EXPECT_THAT(Folded("\u043F\u0440\u0438-\n\u043C\u0435\u0440"), Contains("\u043F\u0440\u0438\u043C\u0435\u0440"));
  EXPECT_THAT(Bare("\u00E9l\u00E9-\nphant"), Contains("elephant"));
  for (const char* apart : {"exam-\n\nple", "exam -\nple", "exam-ple", "Rhine-\nDanube", "page 3-\n4", "a-\n- b"}) {
    for (const std::string& word : Folded(apart)) EXPECT_LE(word.size(), 6u) << apart;
  }
}

TEST(TextWords, ScriptsWithoutSpacesAreLookedUp) {
  EXPECT_THAT(Folded("\u6771\u4EAC tower"), ElementsAre("\u6771\u4EAC", "\u6771", "\u4EAC", "tower"));
  EXPECT_THAT(Folded("ab\u6771z"), ElementsAre("ab", "\u6771", "z"));
  EXPECT_THAT(Folded("\u0E19\u0E49\u0E33\u0E17\u0E48\u0E27\u0E21"),
              ElementsAre("\u0E19\u0E49\u0E33", "\u0E17\u0E48\u0E27\u0E21"));
  EXPECT_THAT(Folded("\u0E19\u0E49\u0E33\u200B\u0E17\u0E48\u0E27\u0E21").size(), 2u) << "a space without width";
  EXPECT_THAT(Folded("\uC11C\uC6B8\uC5D0\uC11C"),
              ElementsAre("\uC11C\uC6B8\uC5D0\uC11C", "\uC11C\uC6B8", "\uC6B8\uC5D0", "\uC5D0\uC11C"));
  EXPECT_THAT(Folded("\uC11C\uC6B8"), ElementsAre("\uC11C\uC6B8"));
}

// --- Twins ---

// Random texts of letters, marks, digits, punctuation and what cannot be seen, of many scripts.
std::string RandomText(std::mt19937& random, bool ascii) {
  static const std::vector<std::u32string> pools = {U"abcdeXYZ",
                                                    U"0123",
                                                    U" \n\t",
                                                    U".,;:'-_\"()",
                                                    U"-\n",
                                                    U"\u00E9\u00DF\u0130\u0131\u00D1\uFB01\uFF21",
                                                    U"\u0301\u0308\u0323",
                                                    U"\u00AD\u200B\u200D\uFEFF",
                                                    U"\u0430\u0439\u0401",
                                                    U"\u03B1\u03AC\u03A3\u03C2",
                                                    U"\u05D0\u05D1\u05B8\u05F4",
                                                    U"\u0627\u0644\u064E\u0640\u060C",
                                                    U"\u0915\u093F\u094D\u0964",
                                                    U"\u0E01\u0E33\u0E34\u0E19",
                                                    U"\u6771\u4EAC\u3042\u30AB\u30FC\u3002",
                                                    U"\uAC00\u1100\u1161",
                                                    U"\u0561\u055E\u0589",
                                                    U"\u00B2\u2082\u00BD\u2460",
                                                    U"\U0001F600\U00010400\U00020000"};
  std::string text;
  const std::size_t pools_used = ascii ? 5 : pools.size();
  for (int run = 0; run < 12; ++run) {
    const std::u32string& pool = pools[random() % pools_used];
    for (std::size_t i = random() % 5; i > 0; --i) text += Utf8(pool[random() % pool.size()]);
    if (!ascii && random() % 30 == 0) text.push_back(static_cast<char>(random()));
  }
  return text;
}

TEST(TextWords, FastPathEqualsIcusWay) {
  std::mt19937 random(7);
  WordFinder fast, general(WordFinder::Path::kGeneral);
  for (int round = 0; round < 30000; ++round) {
    const std::string text = RandomText(random, round % 2 == 0);
    ASSERT_EQ(Describe(fast.Find(text)), Describe(general.Find(text))) << text;
  }
  for (int round = 0; round < 20000; ++round) {
    std::string text(random() % 40, '\0');
    for (char& byte : text) byte = static_cast<char>(random() % 128);
    ASSERT_EQ(Describe(fast.Find(text)), Describe(general.Find(text))) << text;
  }
}

// No word crosses a boundary that ICU finds in the text as it is, where spaces and letters are all there is.
TEST(TextWords, WordsAreThoseOfUax29) {
  std::mt19937 random(8);
  WordFinder finder;
  UErrorCode error = U_ZERO_ERROR;
  UBreakIterator* breaks = ubrk_open(UBRK_WORD, "root", nullptr, 0, &error);
  for (int round = 0; round < 5000; ++round) {
    std::u16string text;
    std::string bytes;
    std::vector<std::size_t> offsets;  // in `bytes`, of each unit
    static constexpr std::u16string_view kLetters =
        u"ab9 "
        u"\u00E9\u0430\u0439\u03AC\u05D0\u0627\u0644\u0915\u093F\u0E01\u0E32\u6771\u3042\u30AB\uAC00\u0561\u1201\u10D0 "
        u".,\u060C\u0964\u3002";
    for (int i = 0; i < 20; ++i) {
      const char16_t unit = kLetters[random() % kLetters.size()];
      if (unit == u'\u093F' && (text.empty() || text.back() != u'\u0915')) continue;
      offsets.push_back(bytes.size());
      text.push_back(unit);
      AppendUtf8({&unit, 1}, &bytes);
    }
    offsets.push_back(bytes.size());
    std::vector<std::size_t> boundaries;
    ubrk_setText(breaks, text.data(), static_cast<std::int32_t>(text.size()), &error);
    for (std::int32_t at = ubrk_first(breaks); at != UBRK_DONE; at = ubrk_next(breaks))
      boundaries.push_back(offsets[at]);
    for (const TextWord& word : finder.Find(bytes).words) {
      for (const std::size_t boundary : boundaries) {
        ASSERT_TRUE(boundary <= word.begin || boundary >= word.end) << bytes << " at " << boundary;
      }
    }
  }
  ubrk_close(breaks);
}

TEST(TextWords, AnyBytesGiveWordsInOrder) {
  std::mt19937 random(9);
  WordFinder finder;
  for (int round = 0; round < 5000; ++round) {
    std::string bytes(random() % 200, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 3 == 0 ? random() : 'a' + random() % 4);
    std::size_t begin = 0;
    for (const TextWord& word : finder.Find(bytes).words) {
      EXPECT_GE(word.begin, begin);
      EXPECT_GT(word.end, word.begin);
      EXPECT_LE(word.end, bytes.size());
      EXPECT_GT(word.folded_size, 0u);
      begin = word.begin;
    }
  }
  // As many letters as one likes are one word, and as many hyphens.
  EXPECT_EQ(finder.Find(std::string(1 << 20, 'a')).words.size(), 1u);
  std::string divided;
  for (int i = 0; i < 100'000; ++i) divided += "a-\nb c-\nD ";
  EXPECT_EQ(finder.Find(divided).words.size(), 500'000u);
}

// Words that stand at a place of a text are the same in any text with spaces around that place.
TEST(TextWords, WordsDoNotDependOnWhatIsBeyondSpaces) {
  std::mt19937 random(10);
  WordFinder finder;
  for (int round = 0; round < 5000; ++round) {
    const std::string first = RandomText(random, false), second = RandomText(random, false);
    std::vector<std::string> apart = Folded(first), rest = Folded(second);
    apart.insert(apart.end(), rest.begin(), rest.end());
    ASSERT_EQ(Folded(first + " ; " + second), apart) << first << "|" << second;
  }
}

TEST(TextWords, FoldedWordsAreFolded) {
  std::mt19937 random(11);
  for (int round = 0; round < 5000; ++round) {
    for (const std::string& word : Folded(RandomText(random, false))) EXPECT_EQ(FoldWords(word), word);
  }
  EXPECT_EQ(FoldWords("ABC xyz 123"), "abcxyz123");
  EXPECT_EQ(FoldWords("\xff\xc3\x80\x80Z"), "\xc3\xa0z");
}

}  // namespace
}  // namespace tome
