#include "engine/text/text_pipeline.h"

#include <functional>
#include <random>

#include "engine/base/utf8.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/tiny_server_model.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using tome::testing::IsOk;
using tome::testing::kTokenlessBytes;
using tome::testing::SomeText;
using tome::testing::StatusIs;
using tome::testing::TinyServerModel;
using tome::testing::TokenlessServerModel;

const std::shared_ptr<const Tokenizer>& TinyTokenizer() { return TinyServerModel()->tokenizer(); }

// The tokens of a session's documents, BOS first.
std::vector<TokenId> Tokens(const std::vector<std::string>& documents) {
  std::vector<TokenId> tokens;
  for (const std::string& document : documents) {
    for (const TextToken& token : TinyTokenizer()->Encode(document)) {
      if (tokens.empty() && TinyTokenizer()->add_bos()) tokens.push_back(*TinyTokenizer()->bos());
      tokens.push_back(token.id);
    }
  }
  return tokens;
}

std::vector<TokenId> Join(const std::deque<Segment>& segments) {
  std::vector<TokenId> tokens;
  for (const Segment& segment : segments) tokens.insert(tokens.end(), segment.tokens.begin(), segment.tokens.end());
  return tokens;
}

// Each document's spans follow one another without a hole, and segments end where their last span does.
void ExpectTiling(const std::deque<Segment>& segments, const std::vector<std::string>& documents) {
  std::vector<ByteOffset> ends(documents.size());
  for (const Segment& segment : segments) {
    ASSERT_EQ(segment.tokens.size(), segment.spans.size());
    for (const TokenSpan& span : segment.spans) {
      ASSERT_EQ(span.begin, ends.at(span.document));
      ends[span.document] += span.num_bytes;
    }
    EXPECT_EQ(segment.end, ends[segment.document]);
  }
  for (std::size_t i = 0; i < documents.size(); ++i) EXPECT_EQ(ends[i], documents[i].size());
}

TEST(TextPipelineTest, AnyCutOfTheBytesGivesTheSegmentsOfTheWholeText) {
  const std::vector<std::string> documents = {SomeText(3000, 1), "", SomeText(7, 2), SomeText(1500, 3)};
  std::deque<Segment> expected;
  TextPipeline whole(TinyTokenizer(), 32);
  for (const std::string& document : documents) {
    whole.Append(document, &expected);
    whole.FinishDocument(&expected);
  }
  EXPECT_EQ(Join(expected), Tokens(documents));
  ExpectTiling(expected, documents);
  for (std::size_t i = 0; i + 1 < expected.size(); ++i) {
    if (expected[i].document == expected[i + 1].document) {
      EXPECT_EQ(expected[i].tokens.size(), 32u);
    }
  }
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    std::deque<Segment> segments;
    TextPipeline pipeline(TinyTokenizer(), 32);
    for (const std::string& document : documents) {
      for (std::size_t at = 0; at < document.size();) {
        const std::string piece = document.substr(at, random() % 40);
        pipeline.Append(piece, &segments);
        at += piece.size();
        EXPECT_EQ(pipeline.offset(), at);
        pipeline.PendingTail();  // looking changes nothing
      }
      pipeline.FinishDocument(&segments);
    }
    ASSERT_EQ(segments.size(), expected.size());
    for (std::size_t i = 0; i < segments.size(); ++i) {
      EXPECT_EQ(segments[i].tokens, expected[i].tokens);
      EXPECT_EQ(segments[i].spans, expected[i].spans);
      EXPECT_EQ(segments[i].end, expected[i].end);
    }
  }
}

TEST(TextPipelineTest, SpansBeginAndEndAtCharacters) {
  // The vocabulary has no piece for most of these characters: several tokens make one.
  std::string text;
  for (int i = 0; i < 100; ++i) text += "\xF0\x9F\x93\x96\xE4\xBA\xBA\xC3\xA9x";
  std::deque<Segment> segments;
  TextPipeline pipeline(TinyTokenizer(), 32);
  for (std::size_t at = 0; at < text.size(); at += 7) pipeline.Append(text.substr(at, 7), &segments);
  pipeline.FinishDocument(&segments);
  ExpectTiling(segments, {text});
  int empty_spans = 0;
  for (const Segment& segment : segments) {
    for (const TokenSpan& span : segment.spans) {
      EXPECT_TRUE(IsValidUtf8(text.substr(span.begin, span.num_bytes))) << span.begin;
      empty_spans += span.num_bytes == 0;
    }
  }
  EXPECT_GT(empty_spans, 100);
}

TEST(TextPipelineTest, TailIsWhatFollowsTheLastSegment) {
  const std::string text = SomeText(500);
  TextPipeline pipeline(TinyTokenizer(), 32);
  std::deque<Segment> segments;
  pipeline.Append(text.substr(0, 477), &segments);
  const Segment tail = pipeline.PendingTail();
  std::vector<TokenId> tokens = Join(segments);
  tokens.insert(tokens.end(), tail.tokens.begin(), tail.tokens.end());
  const std::string so_far = text.substr(0, tail.end);
  EXPECT_GE(tail.end, 477u - 3);
  EXPECT_EQ(tokens, Tokens({so_far}));
  EXPECT_EQ(segments.back().end + tail.num_bytes(), tail.end);
  pipeline.Append(text.substr(477), &segments);
  pipeline.FinishDocument(&segments);
  EXPECT_EQ(Join(segments), Tokens({text}));
}

TEST(TextPipelineTest, ReplacedBytesKeepTheirOffsets) {
  std::string bytes;
  std::mt19937_64 random(5);
  for (int i = 0; i < 3000; ++i) bytes += static_cast<char>(random());
  for (const std::string& document : {bytes,
                                      std::string("a\xFF"
                                                  "b\xE4\xBA"),
                                      std::string(300, '\xFF')}) {
    std::deque<Segment> segments;
    TextPipeline pipeline(TinyTokenizer(), 32);
    for (std::size_t at = 0; at < document.size(); at += 17) pipeline.Append(document.substr(at, 17), &segments);
    pipeline.FinishDocument(&segments);
    EXPECT_EQ(Join(segments), Tokens({ReplaceInvalidUtf8(document)}));
    ExpectTiling(segments, {document});
  }
}

TEST(TextPipelineTest, SavedAndResumedAnywhereGivesTheSameSegments) {
  std::string bytes;
  std::mt19937_64 random(6);
  for (int i = 0; i < 400; ++i) bytes += static_cast<char>(random());
  const std::vector<std::string> documents = {SomeText(700, 1), bytes, "", "caf\xC3\xA9 \xF0\x9F\x93\x96",
                                              SomeText(300, 2)};
  for (int seed = 0; seed < 10; ++seed) {
    std::deque<Segment> expected, segments;
    TextPipeline whole(TinyTokenizer(), 32);
    auto pipeline = std::make_unique<TextPipeline>(TinyTokenizer(), 32);
    const auto save_and_resume = [&] {
      const TextPipelineState state = pipeline->Save();
      auto resumed = TextPipeline::Resume(TinyTokenizer(), 32, state);
      ASSERT_THAT(resumed, IsOk()) << "byte " << state.offset << " of document " << state.document;
      EXPECT_EQ((*resumed)->Save(), state);
      pipeline = *std::move(resumed);
    };
    for (const std::string& document : documents) {
      whole.Append(document, &expected);
      whole.FinishDocument(&expected);
      for (std::size_t at = 0; at < document.size();) {
        const std::string piece = document.substr(at, 1 + random() % 9);
        pipeline->Append(piece, &segments);
        at += piece.size();
        save_and_resume();
      }
      pipeline->FinishDocument(&segments);
      save_and_resume();
    }
    ASSERT_EQ(segments.size(), expected.size());
    for (std::size_t i = 0; i < segments.size(); ++i) {
      EXPECT_EQ(segments[i].tokens, expected[i].tokens);
      EXPECT_EQ(segments[i].spans, expected[i].spans);
      EXPECT_EQ(segments[i].end, expected[i].end);
    }
  }
}

TEST(TextPipelineTest, ResumesOnlyWhereAPipelineCanBe) {
  TextPipeline pipeline(TinyTokenizer(), 32);
  std::deque<Segment> segments;
  pipeline.Append(SomeText(300) +
                      "a\xFF"
                      "b\xFE\xE4\xBA",
                  &segments);
  const TextPipelineState good = pipeline.Save();
  ASSERT_THAT(TextPipeline::Resume(TinyTokenizer(), 32, good), IsOk());
  ASSERT_FALSE(good.tokens.empty());
  ASSERT_FALSE(good.replacements.empty());
  ASSERT_EQ(good.unfinished, "\xE4\xBA");
  using State = TextPipelineState;
  const struct {
    const char* name;
    std::function<void(State&)> change;
  } cases[] = {
      {"offset", [](State& s) { ++s.offset; }},
      {"far offset", [](State& s) { s.offset = ~ByteOffset{0}; }},
      {"text begin", [](State& s) { --s.text_begin; }},
      {"far text begin", [](State& s) { s.text_begin = ~ByteOffset{0} - 1; }},
      {"text end", [](State& s) { s.text_end = s.text_begin + 4; }},
      {"text end before", [](State& s) { --s.text_end; }},
      {"text", [](State& s) { s.text += "x"; }},
      {"text that is not UTF-8", [](State& s) { s.text[0] = '\xFF'; }},
      {"source end", [](State& s) { ++s.source_end; }},
      {"text base", [](State& s) { ++s.text_base; }},
      {"source base", [](State& s) { ++s.source_base; }},
      {"replacement", [](State& s) { ++s.replacements[0].output_offset; }},
      {"source of a replacement", [](State& s) { ++s.replacements[0].source_offset; }},
      {"bytes of a replacement", [](State& s) { s.replacements[0].source_bytes = 4; }},
      {"lost replacement", [](State& s) { s.replacements.clear(); }},
      {"unfinished", [](State& s) { s.unfinished = "ab"; }},
      {"whole character", [](State& s) { s.unfinished = "\xC3\xA9"; }},
      {"held bytes", [](State& s) { s.stream.held_bytes = 1000; }},
      {"token", [](State& s) { s.tokens[0] = TinyTokenizer()->vocab_size(); }},
      {"negative token", [](State& s) { s.tokens[0] = -1; }},
      {"span", [](State& s) { ++s.spans[0].begin; }},
      {"long span", [](State& s) { s.spans[0].num_bytes = 1u << 30; }},
      {"document of a span", [](State& s) { ++s.spans[0].document; }},
      {"lost span", [](State& s) { s.spans.pop_back(); }},
      {"many tokens", [](State& s) { s.tokens.resize(32), s.spans.resize(32); }},
      {"tokens before the first", [](State& s) { s.started = false; }},
  };
  for (const auto& test : cases) {
    TextPipelineState changed = good;
    test.change(changed);
    EXPECT_THAT(TextPipeline::Resume(TinyTokenizer(), 32, changed),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("")))
        << test.name;
  }
}

// The segments of each document tile its bytes, and the spans of those with tokens tile theirs.
void ExpectSegmentsTile(const std::deque<Segment>& segments, const std::vector<std::string>& documents) {
  std::vector<ByteOffset> ends(documents.size());
  for (const Segment& segment : segments) {
    ASSERT_EQ(segment.begin, ends.at(segment.document));
    ASSERT_EQ(segment.tokens.size(), segment.spans.size());
    ByteOffset end = segment.begin;
    for (const TokenSpan& span : segment.spans) {
      EXPECT_EQ(span.document, segment.document);
      ASSERT_EQ(span.begin, end);
      end += span.num_bytes;
    }
    ends[segment.document] = segment.end;
    if (segment.tokens.empty()) {
      EXPECT_LT(segment.begin, segment.end);
      EXPECT_EQ(segment.end, documents[segment.document].size());
    } else {
      EXPECT_EQ(segment.end, end);
    }
  }
  for (std::size_t i = 0; i < documents.size(); ++i) EXPECT_EQ(ends[i], documents[i].size()) << "document " << i;
}

TEST(TextPipelineTest, BytesWithoutATokenBelongToTheTokensBesideThemOrToASegmentWithoutTokens) {
  const std::shared_ptr<const Tokenizer>& tokenizer = TokenlessServerModel()->tokenizer();
  std::vector<std::string> documents = {"\x04", "", "\x04\x1d\x04", "\x04word", "word\x04", " \x1d \x1d"};
  // The bytes at the end follow a whole segment, or not.
  for (int length = 29; length < 36; ++length) documents.push_back(std::string(length, 'x') + "\x1d\x1d");
  documents.push_back("\x1d");
  std::vector<TokenId> tokens;
  for (const std::string& document : documents) {
    for (const TextToken& token : tokenizer->Encode(document)) {
      if (tokens.empty() && tokenizer->add_bos()) tokens.push_back(*tokenizer->bos());
      tokens.push_back(token.id);
    }
  }
  for (const std::size_t piece : {1, 2, 31, 1000}) {
    std::deque<Segment> segments;
    auto pipeline = std::make_unique<TextPipeline>(tokenizer, 32);
    for (const std::string& document : documents) {
      for (std::size_t at = 0; at < document.size(); at += piece) {
        pipeline->Append(document.substr(at, piece), &segments);
        const Segment tail = pipeline->PendingTail();
        EXPECT_EQ(tail.end, tail.tokens.empty() ? tail.begin : pipeline->offset());
        TOME_ASSERT_OK_AND_ASSIGN(pipeline, TextPipeline::Resume(tokenizer, 32, pipeline->Save()));
      }
      pipeline->FinishDocument(&segments);
      TOME_ASSERT_OK_AND_ASSIGN(pipeline, TextPipeline::Resume(tokenizer, 32, pipeline->Save()));
    }
    ExpectSegmentsTile(segments, documents);
    EXPECT_EQ(Join(segments), tokens);
  }
}

TEST(TextPipelineTest, RandomBytesAreTiledWhateverTheVocabularyLacks) {
  const std::shared_ptr<const Tokenizer>& tokenizer = TokenlessServerModel()->tokenizer();
  for (int seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<std::string> documents;
    std::deque<Segment> segments;
    TextPipeline pipeline(tokenizer, 32);
    for (int i = 0; i < 6; ++i) {
      std::string& document = documents.emplace_back();
      for (std::size_t left = random() % 70; left > 0; --left) {
        const bool tokenless = random() % 3 > 0;
        document += tokenless ? kTokenlessBytes[random() % kTokenlessBytes.size()] : static_cast<char>(random());
      }
      for (std::size_t at = 0; at < document.size(); at += 7) pipeline.Append(document.substr(at, 7), &segments);
      pipeline.FinishDocument(&segments);
    }
    ExpectSegmentsTile(segments, documents);
  }
}

TEST(SourceMapTest, MapsTheTextAroundReplacements) {
  // "ab" E4BA "c" FF "d", read as "ab" U+FFFD "c" U+FFFD "d".
  SourceMap map;
  map.Add({{.output_offset = 2, .source_offset = 2, .source_bytes = 2},
           {.output_offset = 6, .source_offset = 5, .source_bytes = 1}});
  const std::pair<ByteOffset, ByteOffset> expected[] = {{0, 0}, {1, 1}, {2, 2}, {5, 4}, {6, 5}, {9, 6}, {10, 7}};
  for (const auto& [text, source] : expected) EXPECT_EQ(map.ToSource(text), source) << text;
}

}  // namespace
}  // namespace tome
