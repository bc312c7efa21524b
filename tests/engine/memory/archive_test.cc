// The archive and its regions: they tile what was read, survive serialization, and damaged bytes are refused.
#include "engine/memory/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "engine/text/words/word_stems.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using testing::IsOk;

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model;
}
const Tokenizer& TinyTokenizer() { return *TinyModel()->tokenizer(); }

const char* const kText =
    "Na\xc3\xafve caf\xc3\xa9s \xe2\x80\x94 \xe6\x9d\xb1\xe4\xba\xac tower "
    "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80 and "
    "the quick brown foxes were jumping over lazy dogs. ";

// Segments of a document as the server makes them: bytes of a character belong to the token that ends it.
struct Document {
  std::vector<TokenId> tokens;
  std::vector<TokenSpan> spans;
};
Document MakeDocument(std::uint32_t ordinal, const std::string& text) {
  Document document;
  ByteOffset begin = 0;
  std::uint32_t pending = 0;
  std::string bytes;
  for (const TextToken& token : TinyTokenizer().Encode(text)) {
    bytes += TinyTokenizer().TokenBytes(token.id);
    pending += token.num_bytes;
    const bool whole =
        begin + pending == text.size() || (static_cast<unsigned char>(text[begin + pending]) & 0xC0) != 0x80;
    document.tokens.push_back(token.id);
    document.spans.push_back({.document = ordinal, .num_bytes = whole ? pending : 0, .begin = begin});
    if (!whole) continue;
    begin += pending;
    pending = 0;
  }
  EXPECT_EQ(bytes, text);
  return document;
}

void AppendDocument(const Document& document, std::size_t segment_tokens, Archive* archive) {
  const ArchiveLayout& layout = archive->layout();
  for (std::size_t first = 0; first < document.tokens.size(); first += segment_tokens) {
    const std::size_t count = std::min(segment_tokens, document.tokens.size() - first);
    const std::string codes(count * layout.code_bytes, 'c');
    archive->Append(ArchiveBlock::Make(layout, absl::MakeConstSpan(document.tokens).subspan(first, count),
                                       absl::MakeConstSpan(document.spans).subspan(first, count), codes,
                                       TinyTokenizer(), archive->last_block()));
  }
}

std::string Repeat(const std::string& text, std::size_t size) {
  std::string all;
  while (all.size() < size) all += text;
  return all;
}

TEST(Archive, RegionsTileEveryDocumentOnCharacterBoundaries) {
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    const int region_tokens = 1 + static_cast<int>(random() % 40);
    const std::size_t segment_tokens = 1 + random() % 100;
    Archive archive({.region_tokens = region_tokens, .vocab_size = round % 2 == 0 ? 400 : 70000, .code_bytes = 4});
    std::vector<std::string> texts;
    std::int64_t tokens = 0;
    for (std::uint32_t ordinal = 0; ordinal < 3; ++ordinal) {
      texts.push_back(Repeat(kText, 1 + random() % 3000));
      const Document document = MakeDocument(ordinal, texts.back());
      AppendDocument(document, segment_tokens, &archive);
      tokens += static_cast<std::int64_t>(document.tokens.size());
    }
    EXPECT_EQ(archive.num_tokens(), tokens);
    std::vector<ByteOffset> ends(3);
    std::vector<TokenId> all;
    for (std::int64_t region = 0; region < archive.num_regions(); ++region) {
      const TokenSpan span = archive.RegionSpan(region, region + 1);
      EXPECT_EQ(span.begin, ends[span.document]);
      ends[span.document] += span.num_bytes;
      const std::string& text = texts[span.document];
      EXPECT_TRUE(ends[span.document] == text.size() ||
                  (static_cast<unsigned char>(text[ends[span.document]]) & 0xC0) != 0x80);
      const std::vector<TokenId> own = archive.RegionTokens(region, region + 1);
      EXPECT_LE(own.size(), static_cast<std::size_t>(region_tokens));
      EXPECT_FALSE(own.empty());
      all.insert(all.end(), own.begin(), own.end());
      if (region > 0) {
        EXPECT_EQ(archive.AreNeighbours(region - 1, region),
                  archive.RegionSpan(region - 1, region).document == span.document);
      }
    }
    for (int i = 0; i < 3; ++i) EXPECT_EQ(ends[i], texts[i].size());
    EXPECT_EQ(static_cast<std::int64_t>(all.size()), tokens);
  }
}

TEST(Archive, TextOfARunIsItsTokensInTheDocument) {
  std::mt19937 random(4);
  for (int round = 0; round < 100; ++round) {
    const int region_tokens = 2 + static_cast<int>(random() % 20);
    Archive archive({.region_tokens = region_tokens, .vocab_size = 400, .code_bytes = 1});
    const Document document = MakeDocument(0, Repeat(kText, 1 + random() % 2000));
    AppendDocument(document, region_tokens * (1 + random() % 5) - 1, &archive);
    std::vector<int> begins = {0};  // of each region, and the end of all
    for (std::int64_t region = 0; region < archive.num_regions(); ++region) {
      begins.push_back(begins.back() + static_cast<int>(archive.RegionTokens(region, region + 1).size()));
    }
    RegionRun run;
    run.first = static_cast<std::int64_t>(random() % archive.num_regions());
    run.end = run.first + 1 + static_cast<std::int64_t>(random() % (archive.num_regions() - run.first));
    // Beyond the run at most all tokens of a neighbour but one, or without so many of its own.
    const auto shift = [&](int neighbour, int own) {
      return static_cast<int>(random() % (std::max(neighbour, 1) + own / 2)) - own / 2;
    };
    const int own = begins[run.end] - begins[run.first];
    run.before =
        shift(run.first > 0 ? begins[run.first] - begins[run.first - 1] : 0, begins[run.first + 1] - begins[run.first]);
    run.after = shift(run.end < archive.num_regions() ? begins[run.end + 1] - begins[run.end] : 0,
                      begins[run.end] - begins[run.end - 1]);
    const int first = begins[run.first] - run.before, end = begins[run.end] + run.after;
    ASSERT_EQ(archive.NumTokens(run), own + run.before + run.after);
    if (first >= end) continue;
    std::vector<TextToken> expected;
    TokenSpan span = {.document = 0, .num_bytes = 0, .begin = document.spans[first].begin};
    for (int i = first; i < end; ++i) {
      expected.push_back({document.tokens[i], document.spans[i].num_bytes});
      span.num_bytes += document.spans[i].num_bytes;
    }
    EXPECT_EQ(archive.RunTokens(run), expected);
    EXPECT_EQ(archive.RunSpan(run), span);
  }
}

TEST(Archive, CopiesKeepWhatTheyHad) {
  Archive archive({.region_tokens = 4, .vocab_size = 400});
  const Document document = MakeDocument(0, Repeat(kText, 3000));
  AppendDocument(document, 2, &archive);  // more blocks than a shelf has
  ASSERT_GT(archive.num_blocks(), 300);
  const Archive copy = archive;
  AppendDocument(MakeDocument(1, kText), 5, &archive);
  EXPECT_LT(copy.num_regions(), archive.num_regions());
  EXPECT_EQ(copy.RegionTokens(0, copy.num_regions()), document.tokens);
  EXPECT_EQ(archive.RegionSpan(copy.num_regions(), copy.num_regions() + 1).document, 1u);
}

TEST(Archive, StemsAreThoseOfTheWordsThatTouchARegion) {
  const std::string text = Repeat(kText, 2000);
  const Document document = MakeDocument(0, text);
  Archive archive({.region_tokens = 16, .vocab_size = 400});
  AppendDocument(document, document.tokens.size(), &archive);
  WordStemmer stemmer;
  const std::vector<WordStem> words = stemmer.Analyze(text);
  std::size_t byte = 0;
  for (std::int64_t region = 0; region < archive.num_regions(); ++region) {
    std::size_t size = 0;
    for (const TokenId token : archive.RegionTokens(region, region + 1))
      size += TinyTokenizer().TokenBytes(token).size();
    std::vector<std::uint32_t> expected;
    for (const WordStem& word : words) {
      if (word.begin < byte + size && word.end > byte) expected.push_back(word.hash);
    }
    const absl::Span<const std::uint32_t> found = archive.region(region).block->Stems(static_cast<int>(region));
    EXPECT_EQ(std::vector<std::uint32_t>(found.begin(), found.end()), expected) << region;
    byte += size;
  }
}

// Random words of several scripts, some divided at the ends of lines; of none of the languages that are told apart.
std::string RandomWords(std::mt19937& random, int count) {
  static const std::vector<std::vector<std::string>> alphabets = {
      {"k", "x", "q", "z", "\u00E9", "E"},        {"\u0444", "\u0449", "\u0401"}, {"\u03B8", "\u03AC", "\u03A3"},
      {"\u0915", "\u0917\u093F", "\u0924\u094D"}, {"\u05D1", "\u05D3\u05B8"},     {"\u0643", "\u0628\u064E"}};
  static const std::vector<std::string> between = {" ", ", ", "\n", "\u060C ", "\u0964 ", "-\n", ".\u00A0 "};
  std::string text, last;
  for (int i = 0; i < count; ++i) {
    const std::vector<std::string>& alphabet = alphabets[random() % alphabets.size()];
    for (std::size_t k = 3 + random() % 6; k > 0; --k) text += alphabet[random() % alphabet.size()];
    std::string next = between[random() % between.size()];
    if (next == last) next = " ";  // so that no word is divided again and again
    text += last = next;
  }
  return text;
}

// However the text is cut into segments and regions, a word is found, whole, in the region in which it ends; and in all
// that it touches of that segment.
TEST(Archive, WordsAreWholeWhereverSegmentsAndRegionsEnd) {
  std::mt19937 random(12);
  WordStemmer stemmer;
  for (int round = 0; round < 60; ++round) {
    const std::string text = RandomWords(random, 40);
    const Document document = MakeDocument(0, text);
    Archive archive({.region_tokens = 8 + static_cast<int>(random() % 30), .vocab_size = 400});
    const std::size_t segment_tokens = 60 + random() % 100;
    AppendDocument(document, segment_tokens, &archive);
    std::vector<std::size_t> token_ends;
    std::size_t bytes = 0;
    for (const TokenId token : document.tokens) token_ends.push_back(bytes += TinyTokenizer().TokenBytes(token).size());
    for (const WordStem& word : stemmer.Analyze(text)) {
      const auto token_with = [&](std::size_t byte) {
        return std::upper_bound(token_ends.begin(), token_ends.end(), byte) - token_ends.begin();
      };
      const std::int64_t first = token_with(word.begin), last = token_with(word.end - 1);
      const std::int64_t segment = last / static_cast<std::int64_t>(segment_tokens) * segment_tokens;
      for (std::int64_t token = std::max(first, segment); token <= last; ++token) {
        const ArchiveBlock& block = archive.block(token / static_cast<std::int64_t>(segment_tokens));
        const auto stems = block.Stems(static_cast<int>((token - segment) / archive.layout().region_tokens));
        EXPECT_NE(std::find(stems.begin(), stems.end(), word.hash), stems.end())
            << text.substr(word.begin, word.end - word.begin);
      }
    }
  }
}

TEST(Archive, StemsDoNotDependOnHowTheTextCame) {
  std::mt19937 random(13);
  for (int round = 0; round < 20; ++round) {
    const std::string text = RandomWords(random, 200) + Repeat(kText, 300);
    const Document whole = MakeDocument(0, text);
    std::vector<TextToken> tokens;
    const std::unique_ptr<TokenStream> stream = TinyTokenizer().NewStream();
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = 1 + random() % 50;
      stream->Append(std::string_view(text).substr(at, size), &tokens);
      at += size;
    }
    stream->Finish(&tokens);
    Document pieces;
    for (const TextToken& token : tokens) pieces.tokens.push_back(token.id);
    pieces.spans = whole.spans;
    ASSERT_EQ(pieces.tokens, whole.tokens);
    Archive first({.region_tokens = 16, .vocab_size = 400}), second = first;
    AppendDocument(whole, 64, &first);
    AppendDocument(pieces, 64, &second);
    for (std::int64_t i = 0; i < first.num_blocks(); ++i) EXPECT_EQ(first.block(i).bytes(), second.block(i).bytes());
  }
}

// What a dictionary makes of a text depends on all of it; nearly all words are found all the same.
TEST(Archive, WordsOfScriptsWithoutSpacesAreFoundAcrossSegments) {
  WordStemmer stemmer;
  const std::vector<std::vector<std::string>> scripts = {
      {"\u0E19\u0E49\u0E33", "\u0E17\u0E48\u0E27\u0E21", "\u0E40\u0E21\u0E37\u0E2D\u0E07", "\u0E2B\u0E25\u0E27\u0E07",
       "\u0E0A\u0E48\u0E32\u0E07", "\u0E17\u0E2D\u0E07", "\u0E2A\u0E21\u0E0A\u0E32\u0E22"},
      {"\u6771\u4EAC", "\u5927\u5B66", "\u56FE\u4E66\u9986", "\u82CF\u5DDE", "\u6728\u5320", "\u6E2F"}};
  std::mt19937 random(14);
  for (const std::vector<std::string>& vocabulary : scripts) {
    std::string text;
    for (int i = 0; i < 2000; ++i) text += vocabulary[random() % vocabulary.size()];
    Archive archive({.region_tokens = 32, .vocab_size = 400});
    AppendDocument(MakeDocument(0, text), 128, &archive);
    std::map<std::uint32_t, int> expected, found;
    for (const WordStem& word : stemmer.Analyze(text)) ++expected[word.hash];
    for (std::int64_t region = 0; region < archive.num_regions(); ++region) {
      const ArchivedRegion place = archive.region(region);
      for (const std::uint32_t stem : place.block->Stems(place.index)) ++found[stem];
    }
    int total = 0, missing = 0;
    for (const auto& [stem, count] : expected) {
      total += count;
      missing += std::max(0, count - found[stem]);
    }
    EXPECT_LE(missing, total / 50) << "of " << total;
  }
}

TEST(ArchiveBlock, KeepsItsLanguagesAndTheNextOneGoesOnWithThem) {
  Archive archive({.region_tokens = 16, .vocab_size = 400});
  AppendDocument(
      MakeDocument(0, "Les moulins du village sont ferm\u00E9s, et les portes aussi. Alphonse, Fontvieille."), 80,
      &archive);
  ASSERT_GE(archive.num_blocks(), 1);
  EXPECT_EQ(archive.block(0).languages().Of(WritingScript::kLatin), Language::kFrench);
  for (std::int64_t i = 1; i < archive.num_blocks(); ++i)
    EXPECT_EQ(archive.block(i).languages(), archive.block(0).languages());
  TOME_ASSERT_OK_AND_ASSIGN(const auto parsed,
                            ArchiveBlock::Parse(archive.layout(), std::string(archive.block(0).bytes())));
  EXPECT_EQ(parsed->languages(), archive.block(0).languages());
  AppendDocument(MakeDocument(1, "Moulins. Fontvieille."), 80, &archive);
  EXPECT_EQ(archive.last_block()->languages(), TextLanguages()) << "another document";
}

TEST(ArchiveBlock, LongTokensKeepTheirLengths) {
  const ArchiveLayout layout = {.region_tokens = 8, .vocab_size = 400, .code_bytes = 0};
  std::vector<TokenId> tokens;
  std::vector<TokenSpan> spans;
  ByteOffset begin = 1000;
  for (const std::uint32_t size : {1u, 254u, 255u, 256u, 0u, 70000u, 3u}) {
    tokens.push_back(65);
    spans.push_back({.document = 2, .num_bytes = size, .begin = begin});
    begin += size;
  }
  const auto block = ArchiveBlock::Make(layout, tokens, spans, "", TinyTokenizer());
  for (int i = 0; i < block->num_tokens(); ++i) EXPECT_EQ(block->Span(i, i + 1), spans[i]);
  EXPECT_EQ(block->end(), begin);
}

TEST(ArchiveBlock, ParsesWhatItWroteAndRefusesTheRest) {
  const ArchiveLayout layout = {.region_tokens = 8, .vocab_size = 400, .code_bytes = 3};
  Archive archive(layout);
  AppendDocument(MakeDocument(0, kText), 1000, &archive);
  const std::string bytes(archive.block(0).bytes());
  TOME_ASSERT_OK_AND_ASSIGN(const auto parsed, ArchiveBlock::Parse(layout, bytes));
  EXPECT_EQ(parsed->end(), archive.block(0).end());
  EXPECT_EQ(parsed->num_regions(), archive.block(0).num_regions());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ArchiveBlock::Parse(layout, bytes.substr(0, size)).ok()) << size;
  }
  std::mt19937 random(4);
  for (int round = 0; round < 5000; ++round) {
    std::string damaged = bytes;
    for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    const auto result = ArchiveBlock::Parse(layout, damaged);
    if (!result.ok()) continue;  // what passes must be safe to read
    for (int region = 0; region < (*result)->num_regions(); ++region) {
      for (const std::uint32_t stem : (*result)->Stems(region)) (void)stem;
    }
    for (int i = 0; i < (*result)->num_tokens(); ++i) {
      EXPECT_LT((*result)->token(i), layout.vocab_size);
      EXPECT_GE((*result)->Span(i, i + 1).begin, (*result)->begin());
    }
  }
}

}  // namespace
}  // namespace tome
