#include "engine/evaluation/questions/finding.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/evaluation/questions/cut_text.h"
#include "engine/evaluation/questions/reading.h"
#include "engine/generation/prompt_form.h"
#include "engine/generation/sentences.h"
#include "engine/memory/archive.h"
#include "engine/memory/memory_state.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

const MemoryOptions kOptions = {.sink_tokens = 8, .window_tokens = 64, .segment_tokens = 32, .region_tokens = 32};

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModelWithProfile();
  return model;
}

std::string Book() {
  std::string text;
  for (int i = 0; i < 40; ++i) text += fmt::format("On day {} the ship sailed {} miles. ", i, i * 37 % 101);
  text.insert(484, "A zebra ate the compass. ");  // within a region
  return text;
}

AskedQuestion AskAboutTheZebra() {
  const std::size_t begin = Book().find("A zebra");
  return {.group = "animals",
          .id = "zebra",
          .text = "zebra compass?",
          .form = RawPromptForm(),
          .references = {"compass"},
          .evidence = {begin, begin + 24},
          .answers = {{Book().find("compass"), Book().find("compass") + 7}}};
}

TEST(Finding, RanksWhereTheAnswerIsAndReadsItAgain) {
  const Memory memory = *ReadDocuments(TinyModel(), kOptions, {Book()});
  const auto figures = EvaluateQuestion(memory, AskAboutTheZebra(),
                                        {.searches = {"fast", "balanced"},
                                         .answered = {"gold", "balanced", "stems"},
                                         .budget_tokens = 96,
                                         .max_answer_tokens = 4});
  ASSERT_THAT(figures, IsOk());
  const auto& ways = figures->ways;
  EXPECT_EQ(ways.at("stems").rank, 1);
  EXPECT_TRUE(ways.at("stems").in_text);
  EXPECT_TRUE(ways.at("gold").in_text);
  EXPECT_LE(ways.at("stems").text_tokens, 96);
  EXPECT_GT(ways.at("attention").rank, 0);
  EXPECT_GT(ways.at("fast").rank, 0);
  EXPECT_TRUE(ways.at("balanced").answered);
  EXPECT_FALSE(ways.at("fast").answered);
  EXPECT_GT(ways.at("balanced").first_token_seconds, 0);
  EXPECT_LE(ways.at("balanced").first_token_seconds, ways.at("balanced").seconds);
  EXPECT_EQ(ways.at("fast").first_token_seconds, 0);

  const nlohmann::json report = FindingsToJson({*figures});
  EXPECT_EQ(report["sums"]["stems"]["animals"]["recall"]["1"], 1.0);
  EXPECT_EQ(report["questions"][0]["ways"]["stems"]["rank"], 1);
  EXPECT_GT(report["scores"]["balanced"]["mean"], 0);
  EXPECT_FALSE(report["scores"].contains("stems"));
  EXPECT_THAT(FormatFindings({*figures}), HasSubstr("| stems "));
}

TEST(Finding, ComparesWithNoTextTheBeginningAndRandomRegions) {
  const Memory memory = *ReadDocuments(TinyModel(), kOptions, {Book()});
  AskedQuestion asked = AskAboutTheZebra();
  const FindingOptions options = {
      .searches = {}, .answered = {"none", "first", "random", "gold"}, .budget_tokens = 96, .max_answer_tokens = 4};
  const auto figures = EvaluateQuestion(memory, asked, options);
  ASSERT_THAT(figures, IsOk());
  const auto& ways = figures->ways;
  EXPECT_EQ(ways.at("none").text_tokens, 0);
  EXPECT_FALSE(ways.at("none").in_text);
  EXPECT_GT(ways.at("first").text_tokens, 96);
  EXPECT_GT(ways.at("random").text_tokens, 0);
  EXPECT_LE(ways.at("random").text_tokens, 96);
  EXPECT_NE(ways.at("none").log_probability, ways.at("gold").log_probability);
  EXPECT_LT(ways.at("gold").log_probability, 0);
  EXPECT_EQ(EvaluateQuestion(memory, asked, options)->candidates, figures->candidates) << "random is of a seed";

  // Without knowing where the answer is there is neither rank nor gold.
  asked.evidence = {};
  asked.answers = {};
  const auto unlocated = EvaluateQuestion(memory, asked, options);
  ASSERT_THAT(unlocated, IsOk());
  EXPECT_FALSE(unlocated->ways.contains("gold"));
  EXPECT_EQ(unlocated->ways.at("stems").rank, 0);
  const std::string table = FormatFindings({*unlocated});
  EXPECT_THAT(table, HasSubstr("| none "));
  EXPECT_THAT(FindingsToJson({*unlocated})["sums"]["stems"]["all"]["in_text"].dump(), "0.0");
}

TEST(Finding, RefusesUnknownWays) {
  EXPECT_THAT(ValidateFindingOptions({.searches = {"slow"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'slow'")));
  EXPECT_THAT(ValidateFindingOptions({.searches = {"fast"}, .answered = {"balanced"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'balanced'")));
  EXPECT_THAT(ValidateFindingOptions({.searches = {"fast"}, .answered = {"fast", "gold"}}), IsOk());
}

TEST(Finding, AnswerOutsideOfWhatWasReadIsAnError) {
  const Memory memory = *ReadDocuments(TinyModel(), kOptions, {Book()});
  AskedQuestion asked = AskAboutTheZebra();
  asked.document = 1;
  EXPECT_THAT(EvaluateQuestion(memory, asked, {}), StatusIs(absl::StatusCode::kInternal, HasSubstr("zebra")));
}

TEST(Reading, RegionsWithARangeAreThoseThatHaveAByteOfIt) {
  const Memory memory = *ReadDocuments(TinyModel(), kOptions, {Book(), "a second document " + Book()});
  const Archive& archive = memory.state()->archive();
  for (const std::uint32_t document : {0u, 1u}) {
    for (std::size_t begin = 0; begin < 700; begin += 7) {
      std::vector<std::int64_t> expected;
      for (std::int64_t region = 0; region < archive.num_regions(); ++region) {
        const TokenSpan span = archive.RegionSpan(region, region + 1);
        bool has = false;
        for (std::size_t byte = begin; byte < begin + 20; ++byte) {
          has = has || (span.document == document && span.begin <= byte && byte < span.begin + span.num_bytes);
        }
        if (has) expected.push_back(region);
      }
      EXPECT_EQ(RegionsWith(archive, document, {begin, begin + 20}), expected);
      std::vector<std::int64_t> in_text;
      for (std::int64_t region = 0; region < archive.num_regions(); ++region) {
        const TokenSpan text = archive.RunSpan(InSentences(archive, *TinyModel()->tokenizer(), region));
        const bool meets = text.begin < begin + 20 && begin < text.begin + text.num_bytes;
        if (text.document == document && meets) in_text.push_back(region);
      }
      EXPECT_EQ(RegionsWithInText(archive, *TinyModel()->tokenizer(), document, {begin, begin + 20}), in_text);
    }
  }
}

TEST(Reading, CutsBetweenTokensAndCharacters) {
  const Tokenizer& tokenizer = *TinyModel()->tokenizer();
  const std::string text = "caf\xC3\xA9 \xF0\x9F\x93\x96 and more text after it";
  for (std::int64_t tokens = 0; tokens < 30; ++tokens) {
    const std::string_view cut = *CutToTokens(TokenBytesOf(tokenizer), text, tokens);
    EXPECT_LE(static_cast<std::int64_t>(tokenizer.Encode(cut).size()), tokens);
    EXPECT_TRUE(text.starts_with(cut));
    EXPECT_TRUE(cut.size() == text.size() || (static_cast<unsigned char>(text[cut.size()]) & 0xC0) != 0x80);
  }
  EXPECT_EQ(*CutToTokens(TokenBytesOf(tokenizer), text, 1000), text);
}

TEST(Reading, KeepsTheStateInAFile) {
  const testing::TempDir folder;
  const std::string path = folder.File("state");
  const Memory first = *ReadOrRestore(TinyModel(), kOptions, {Book()}, path);
  const Memory again = *ReadOrRestore(TinyModel(), kOptions, {Book()}, path);
  EXPECT_EQ(first.Digest(), again.Digest());
  EXPECT_THAT(ReadOrRestore(TinyModel(), kOptions, {"another " + Book()}, path),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(path)));
  EXPECT_THAT(ReadOrRestore(TinyModel(), kOptions, {Book().substr(0, 100)}, path),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(path)));
  MemoryOptions others = kOptions;
  others.window_tokens *= 2;
  EXPECT_THAT(ReadOrRestore(TinyModel(), others, {Book()}, path),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("options")));
  folder.Write("state", "rubbish");
  EXPECT_THAT(ReadOrRestore(TinyModel(), kOptions, {Book()}, path).status().message(), HasSubstr(path));
}

TEST(Reading, GoesOnFromABeginningInWholeSegments) {
  const testing::TempDir folder;
  const std::string path = folder.File("state");
  const Tokenizer& tokenizer = *TinyModel()->tokenizer();
  const std::vector<std::string> documents = {Book(), "A second document. " + Book()};
  const std::string whole = ReadDocuments(TinyModel(), kOptions, documents)->Digest();

  ASSERT_THAT(ReadOrRestore(TinyModel(), kOptions, {documents[0]}, path).status(), IsOk());
  EXPECT_EQ(ReadOrRestore(TinyModel(), kOptions, documents, path)->Digest(), whole);

  // The beginning of a document, as a reading that is broken off leaves it.
  const EncodedDocument encoded = EncodeDocument(tokenizer, documents[0], 0);
  for (const std::int64_t tokens : {2 * kOptions.segment_tokens, 2 * kOptions.segment_tokens - 1}) {
    ASSERT_LT(tokens, static_cast<std::int64_t>(encoded.tokens.size()));
    Memory beginning = *Memory::Create(TinyModel(), kOptions);
    Task task = Task::Read(&beginning, {encoded.tokens.begin(), encoded.tokens.begin() + tokens},
                           {encoded.spans.begin(), encoded.spans.begin() + tokens});
    while (!task.finished()) {
      Task* const tasks[] = {&task};
      ASSERT_THAT(Step(tasks).front().status, IsOk());
    }
    folder.Write("state", beginning.Serialize());
    const absl::StatusOr<Memory> read_on = ReadOrRestore(TinyModel(), kOptions, documents, path);
    if (tokens % kOptions.segment_tokens == 0) {
      ASSERT_THAT(read_on.status(), IsOk());
      EXPECT_EQ(read_on->Digest(), whole);
    } else {
      EXPECT_THAT(read_on, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(path)));
    }
  }
}

}  // namespace
}  // namespace tome
