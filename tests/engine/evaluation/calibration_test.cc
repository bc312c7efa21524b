#include "engine/evaluation/calibration.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/evaluation/questions/cut_text.h"
#include "engine/evaluation/questions/finding.h"
#include "engine/evaluation/questions/needles.h"
#include "engine/evaluation/questions/reading.h"
#include "engine/evaluation/report.h"
#include "engine/generation/prompt_form.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

const CalibrationOptions kOptions = {
    .tokens = 4000,
    .verbatim_needles = 6,
    .paraphrased_needles = 3,
    .seed = 2,
    .code_bytes = 8,
    .memory = {.sink_tokens = 8, .window_tokens = 128, .segment_tokens = 128, .region_tokens = 16}};

std::string Book() {
  std::string text;
  for (int i = 0; i < 120; ++i)
    text += fmt::format("On day {} the ship sailed {} miles to the west. ", i, i * 37 % 101);
  return text;
}

std::vector<Needle> NeedlesOf(const CalibrationOptions& options) {
  std::vector<Needle> needles = MakeVerbatimNeedles(options.verbatim_needles, options.seed);
  for (Needle& needle : MakeParaphrasedNeedles(options.paraphrased_needles, FactSet::kCalibration)) {
    needles.push_back(std::move(needle));
  }
  return needles;
}

// The recall that a session finds with the profile: read into an archive and routed as a question is.
FindingRecall RecallInASession(const std::string& model_path, const std::string& profile_path) {
  const auto model = Model::Load({.path = model_path, .profile_path = profile_path, .precision = Precision::kFp32});
  EXPECT_THAT(model, testing::IsOk());
  std::vector<Needle> needles = NeedlesOf(kOptions);
  const std::string text = Book();
  const std::string_view book = *CutBesideNeedles(TokenBytesOf(*(*model)->tokenizer()), text, kOptions.tokens, needles);
  const Haystack haystack = HideNeedles(book, std::move(needles), kOptions.seed);
  const Memory memory = *ReadDocuments(*model, kOptions.memory, {haystack.text});
  FindingRecall recall;
  for (const PlacedNeedle& placed : haystack.needles) {
    const AskedQuestion asked = {.group = "all",
                                 .id = "needle",
                                 .text = placed.needle.question,
                                 .form = RawPromptForm(),
                                 .evidence = placed.bytes,
                                 .answers = placed.answers};
    const int rank = EvaluateQuestion(memory, asked, {.searches = {}})->ways.at("attention").rank;
    (placed.needle.kind == NeedleKind::kParaphrased ? recall.paraphrased : recall.verbatim).Add(rank);
  }
  return recall;
}

TEST(Calibration, PromisesTheRecallThatASessionHas) {
  const testing::TempDir folder;
  testing::WriteTinyModel(folder.path() / "model");
  const std::string model_path = (folder.path() / "model").string();
  const auto model = Model::Load({.path = model_path, .precision = Precision::kFp32});
  ASSERT_THAT(model, testing::IsOk());
  const auto result = Calibrate(*model, Book(), kOptions, "a test");
  ASSERT_THAT(result, testing::IsOk());
  EXPECT_EQ(result->profile.model_digest, (*model)->info().model_digest);
  EXPECT_EQ(result->profile.code_bytes(), kOptions.code_bytes);
  EXPECT_NEAR(static_cast<double>(result->tokens), static_cast<double>(kOptions.tokens), 20);
  EXPECT_THAT(FormatCalibration(*result), HasSubstr("| yes"));

  folder.Write("profile.json", FormatModelProfile(result->profile));
  const FindingRecall found = RecallInASession(model_path, folder.File("profile.json"));
  const FindingRecall& promised = result->codings[result->chosen].coded;
  EXPECT_EQ(found.verbatim.count(), kOptions.verbatim_needles);
  EXPECT_EQ(found.verbatim.shares(), promised.verbatim.shares());
  EXPECT_EQ(found.paraphrased.shares(), promised.paraphrased.shares());
}

TEST(Calibration, GivesTheSameProfileAgain) {
  const auto model = testing::LoadTinyModel();
  const auto first = Calibrate(model, Book(), kOptions, "a test"),
             second = Calibrate(model, Book(), kOptions, "a test");
  ASSERT_THAT(first, testing::IsOk());
  EXPECT_EQ(FormatModelProfile(first->profile), FormatModelProfile(second->profile));
}

TEST(Calibration, RefusesWhatCannotBeMeasured) {
  const auto model = testing::LoadTinyModel();
  const auto status = [&](auto change) {
    CalibrationOptions options = kOptions;
    change(options);
    return Calibrate(model, Book(), options, "a test").status();
  };
  using Code = absl::StatusCode;
  EXPECT_THAT(status([](auto& o) { o.tokens = 100'000; }), StatusIs(Code::kInvalidArgument, HasSubstr("only")));
  EXPECT_THAT(status([](auto& o) { o.tokens = 100; }), StatusIs(Code::kInvalidArgument, HasSubstr("2048")));
  EXPECT_THAT(status([](auto& o) { o.verbatim_needles = 0; }),
              StatusIs(Code::kInvalidArgument, HasSubstr("1 or more")));
  EXPECT_THAT(status([](auto& o) { o.paraphrased_needles = 49; }), StatusIs(Code::kInvalidArgument, HasSubstr("48")));
  EXPECT_THAT(status([](auto& o) { o.verbatim_needles = 60; }),
              StatusIs(Code::kInvalidArgument, HasSubstr("too many")));
  EXPECT_THAT(status([](auto& o) { o.code_bytes = 6; }), StatusIs(Code::kInvalidArgument, HasSubstr("multiple of 4")));
  EXPECT_THAT(status([](auto& o) { o.memory.window_tokens = 64; }), StatusIs(Code::kInvalidArgument, HasSubstr("128")));
}

}  // namespace
}  // namespace tome
