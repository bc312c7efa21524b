// Words of all scripts are found by their stems, however they are spelled.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/memory/archive.h"
#include "engine/memory/routing.h"
#include "tests/support/engine_models.h"
#include "tests/support/script_samples.h"

namespace tome {
namespace {

using testing::ScriptSample;
using testing::ScriptSamples;

struct Book {
  Archive archive;
  std::vector<ByteOffset> begins;  // of each entry, and the end of the last one
};

// A document of these entries, as segments of 512 tokens.
Book ReadEntries(const Tokenizer& tokenizer, const std::vector<std::string>& entries) {
  Book book{.archive = Archive({.region_tokens = 64, .vocab_size = tokenizer.vocab_size()}), .begins = {0}};
  std::string text;
  for (const std::string& entry : entries) book.begins.push_back((text += entry + "\n").size());
  std::vector<TokenId> tokens;
  std::vector<TokenSpan> spans;
  ByteOffset begin = 0;
  const auto end_segment = [&] {
    if (tokens.empty()) return;
    book.archive.Append(
        ArchiveBlock::Make(book.archive.layout(), tokens, spans, "", tokenizer, book.archive.last_block()));
    tokens.clear();
    spans.clear();
  };
  for (const TextToken& token : tokenizer.Encode(text)) {
    tokens.push_back(token.id);
    spans.push_back({.document = 0, .num_bytes = token.num_bytes, .begin = begin});
    begin += token.num_bytes;
    if (tokens.size() == 512) end_segment();
  }
  end_segment();
  return book;
}

// Whether the best region by stems is one of the entry.
bool FindsFirst(const Book& book, std::size_t entry, const std::string& question) {
  const std::vector<std::int64_t> best = BestRegions(ScoreByStems(book.archive, question), 1);
  if (best.empty()) return false;
  const TokenSpan span = book.archive.RegionSpan(best[0], best[0] + 1);
  return span.begin < book.begins[entry + 1] && span.begin + span.num_bytes > book.begins[entry];
}

std::vector<std::string> Entries() {
  std::vector<std::string> entries;
  for (const ScriptSample& sample : ScriptSamples()) entries.push_back(sample.entry);
  return entries;
}

void ExpectAllAreFound(const Tokenizer& tokenizer) {
  const Book book = ReadEntries(tokenizer, Entries());
  for (std::size_t i = 0; i < ScriptSamples().size(); ++i) {
    const ScriptSample& sample = ScriptSamples()[i];
    EXPECT_TRUE(FindsFirst(book, i, sample.question)) << sample.name;
    EXPECT_TRUE(FindsFirst(book, i, sample.word)) << sample.name << ": " << sample.word;
  }
}

TEST(FindingWords, EveryScriptsEntryIsFoundFirst) { ExpectAllAreFound(*testing::LoadTinyModel()->tokenizer()); }

TEST(FindingWords, EveryScriptsEntryIsFoundFirstAsSmolLm2Reads) {
  TOME_SKIP_WITHOUT(testing::SmolLm2Path());
  const auto model = Model::Load({.path = testing::SmolLm2Path(), .num_threads = 2});
  ASSERT_TRUE(model.ok());
  ExpectAllAreFound(*(*model)->tokenizer());
}

// Each entry is written as programs write it, and asked about as people type; and the other way round.
TEST(FindingWords, SpellingsThatLookTheSameFindEachOther) {
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {"o\uFB03ce of the\n\uFB01rst warden", "first office"},
      {"a \uFB02at roof", "flat"},
      {"the di\uFB00erence of e\uFB03ciency", "difference efficiency"},
      {"cafe\u0301 na\u00EFve", "caf\u00E9"},
      {"re\u0301sume\u0301 of the clerk", "resume"},
      {"a mag\u00ADni\u00ADfi\u00ADcent palace", "magnificent"},
      {"zero\u200Bwidth spaces", "zerowidth"},
      {"\uFEFFheading with a mark", "heading"},
      {"\uFF34\uFF4F\uFF4B\uFF59\uFF4F tower", "tokyo"},
      {"a hyphen-\nated manuscript", "hyphenated"},
      {"the lamp\u00AD\nlighter of Soho", "lamplighter"},
      {"DIE STRASSE", "Stra\u00DFe"},
      {"\u0130ZM\u0130R L\u0130MANI", "izmir liman\u0131"},
      {"H\u00C0 N\u1ED8I", "h\u00E0 n\u1ED9i"},
      {"Ha\u0300 Tie\u0302\u0301n xa", "ha tien"},
      {"\u0386\u03BD\u03B8\u03C1\u03C9\u03C0\u03BF\u03C2", "\u0391\u039D\u0398\u03A1\u03A9\u03A0\u039F\u03A3"},
      {"\u0532\u0531\u0550\u0535\u0552 \u0541\u0535\u0536", "\u0562\u0561\u0580\u0587"},
      {"\u0627\u0644\u0652\u0645\u064E\u062F\u0650\u064A\u0646\u064E\u0629",
       "\u0627\u0644\u0645\u062F\u064A\u0646\u0629"},
      {"\u05E9\u05C1\u05B8\u05DC\u05D5\u05B9\u05DD", "\u05E9\u05DC\u05D5\u05DD"},
      {"\uFF76\uFF9E\uFF97\uFF7D", "\u30AC\u30E9\u30B9"},
  };
  const auto tokenizer = testing::LoadTinyModel()->tokenizer();
  std::vector<std::string> written, typed;
  for (const auto& [entry, question] : pairs) {
    written.push_back("entry " + entry + " ends.");
    typed.push_back("entry " + question + " ends.");
  }
  const Book as_written = ReadEntries(*tokenizer, written), as_typed = ReadEntries(*tokenizer, typed);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    EXPECT_TRUE(FindsFirst(as_written, i, pairs[i].second)) << pairs[i].second << " in " << pairs[i].first;
    EXPECT_TRUE(FindsFirst(as_typed, i, pairs[i].first)) << pairs[i].first << " in " << pairs[i].second;
  }
}

// What is written with the same accents comes before what is written with others.
TEST(FindingWords, AccentsThatAreTypedCount) {
  const auto tokenizer = testing::LoadTinyModel()->tokenizer();
  const std::string rest =
      " en mai, sous la pluie, devant les portes fermées, pendant que les autres attendaient au loin.";
  std::vector<std::string> entries;
  for (const char* word : {"c\u00F4te", "cot\u00E9", "cote", "c\u00F4t\u00E9"}) entries.push_back(word + rest);
  const Book book = ReadEntries(*tokenizer, entries);
  EXPECT_TRUE(FindsFirst(book, 0, "C\u00D4TE"));
  EXPECT_TRUE(FindsFirst(book, 1, "cot\u00E9"));
  EXPECT_TRUE(FindsFirst(book, 0, "co\u0302te\u0301")) << "a form of the first one";
  EXPECT_GE(BestRegions(ScoreByStems(book.archive, "cote"), 10).size(), 4u);
}

// A question is stemmed as each of the texts is.
TEST(FindingWords, EveryTextIsComparedInItsOwnLanguage) {
  const auto tokenizer = testing::LoadTinyModel()->tokenizer();
  const std::string english =
      "The rivers of the county were measured by the surveyors, and all of them had been found to be "
      "deeper than it was said in the books of the parish. ";
  const std::string french =
      "Les rivi\u00E8res du pays \u00E9taient mesur\u00E9es par les arpenteurs, et toutes \u00E9taient plus profondes "
      "que "
      "ce qui est dit dans les livres de la paroisse. ";
  std::vector<std::string> entries;
  for (int i = 0; i < 8; ++i) entries.push_back(english);
  for (int i = 0; i < 8; ++i) entries.push_back(french);
  const Book book = ReadEntries(*tokenizer, entries);
  EXPECT_NE(book.archive.block(0).languages(), book.archive.last_block()->languages());
  const auto is_french = [&](std::int64_t region) {
    const TokenSpan span = book.archive.RegionSpan(region, region + 1);
    return span.begin + span.num_bytes > book.begins[8];
  };
  for (const char* word : {"county", "measuring", "surveyor"}) {
    const std::vector<std::int64_t> best = BestRegions(ScoreByStems(book.archive, word), 1);
    ASSERT_FALSE(best.empty()) << word;
    EXPECT_FALSE(is_french(best[0])) << word;
  }
  for (const char* word : {"profond", "arpenteur", "mesurer", "rivi\u00E8re", "riviere"}) {
    const std::vector<std::int64_t> best = BestRegions(ScoreByStems(book.archive, word), 1);
    ASSERT_FALSE(best.empty()) << word;
    EXPECT_TRUE(is_french(best[0])) << word;
  }
}

}  // namespace
}  // namespace tome
