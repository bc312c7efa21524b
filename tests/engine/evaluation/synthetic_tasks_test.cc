#include "engine/evaluation/questions/synthetic_tasks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

absl::StatusOr<std::vector<std::uint32_t>> TinyTokens(std::string_view text) {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  std::vector<std::uint32_t> sizes;
  for (const TextToken& token : model->tokenizer()->Encode(text)) sizes.push_back(token.num_bytes);
  return sizes;
}

std::string Book() {
  std::string text;
  for (int i = 0; i < 700; ++i) text += "On day " + std::to_string(i) + " the caf\xC3\xA9 was closed! ";
  return text;
}

TaskSettings SettingsOf(TaskKind kind, Filler filler) {
  return {.kind = kind, .filler = filler, .text = filler == Filler::kText ? Book() : ""};
}

std::vector<TaskDocument> Make(const TaskSettings& settings, const TaskGrid& grid) {
  auto documents = MakeTaskDocuments(settings, grid, TinyTokens);
  EXPECT_THAT(documents, testing::IsOk());
  return *std::move(documents);
}

std::string Part(const std::string& text, const TextRange& range) {
  return text.substr(range.begin, range.end - range.begin);
}

const TaskGrid kGrid = {.lengths = {900, 2000}, .depths = {0, 0.5, 1}, .repeats = 2};

class EveryTask : public ::testing::TestWithParam<std::pair<TaskKind, Filler>> {};

TEST_P(EveryTask, HidesItsNeedleWhereItSays) {
  const auto [kind, filler] = GetParam();
  const std::vector<TaskDocument> documents = Make(SettingsOf(kind, filler), kGrid);
  ASSERT_EQ(documents.size(), 12u);
  std::set<std::string> references;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const TaskDocument& document = documents[i];
    EXPECT_EQ(document.length, kGrid.lengths[i / 6]);
    EXPECT_EQ(document.depth, kGrid.depths[i / 2 % 3]);
    EXPECT_EQ(document.repeat, static_cast<int>(i % 2));
    const AskedQuestion& asked = document.asked;
    ASSERT_EQ(asked.references.size(), 1u);
    references.insert(asked.references[0]);
    EXPECT_THAT(Part(document.text, asked.evidence), HasSubstr(asked.references[0]));
    ASSERT_FALSE(asked.answers.empty());
    for (const TextRange& answer : asked.answers) {
      EXPECT_EQ(Part(document.text, answer), asked.references[0]);
      EXPECT_GE(answer.begin, asked.evidence.begin);
      EXPECT_LE(answer.end, asked.evidence.end);
    }
    const double depth = static_cast<double>(asked.evidence.begin) /
                         static_cast<double>(document.text.size() - (asked.evidence.end - asked.evidence.begin));
    EXPECT_NEAR(depth, document.depth, 0.12) << asked.id;
  }
  EXPECT_EQ(references.size(), documents.size()) << "each question has an answer of its own";
}

TEST_P(EveryTask, HasTheLengthThatWasAskedFor) {
  const auto [kind, filler] = GetParam();
  for (const TaskDocument& document : Make(SettingsOf(kind, filler), kGrid)) {
    const auto tokens = static_cast<std::int64_t>(TinyTokens(document.text)->size());
    EXPECT_LE(tokens, document.length);
    EXPECT_GE(tokens, document.length - 160) << "at most a line or a sentence is missing";
  }
}

TEST_P(EveryTask, DocumentsOfAllDepthsBeginAlike) {
  const auto [kind, filler] = GetParam();
  const std::vector<TaskDocument> documents =
      Make(SettingsOf(kind, filler), {.lengths = {2000}, .depths = {0.5, 0.9, 1}});
  for (std::size_t i = 1; i < documents.size(); ++i) {
    const std::size_t common = documents[0].asked.evidence.begin;
    EXPECT_EQ(documents[i].text.substr(0, common), documents[0].text.substr(0, common));
  }
}

INSTANTIATE_TEST_SUITE_P(
    AllKinds, EveryTask,
    ::testing::Values(std::pair(TaskKind::kPassKey, Filler::kNoise), std::pair(TaskKind::kPassKey, Filler::kText),
                      std::pair(TaskKind::kNumber, Filler::kText), std::pair(TaskKind::kNumber, Filler::kNeedles),
                      std::pair(TaskKind::kKeyValue, Filler::kNeedles), std::pair(TaskKind::kKeyValue, Filler::kText),
                      std::pair(TaskKind::kUuid, Filler::kNoise), std::pair(TaskKind::kMultiKey, Filler::kNoise),
                      std::pair(TaskKind::kMultiKey, Filler::kText), std::pair(TaskKind::kMultiKey, Filler::kNeedles)));

TEST(SyntheticTasks, HaveThePublishedWordings) {
  const TaskGrid one = {.lengths = {900}, .depths = {0.5}};
  const TaskDocument passkey = Make(SettingsOf(TaskKind::kPassKey, Filler::kNoise), one)[0];
  const std::string key = passkey.asked.references[0];
  EXPECT_EQ(key.size(), 5u);
  EXPECT_EQ(Part(passkey.text, passkey.asked.evidence),
            "The pass key is " + key + ". Remember it. " + key + " is the pass key.");
  EXPECT_EQ(passkey.asked.text, "What is the pass key?");
  EXPECT_TRUE(passkey.text.starts_with("The grass is green. The sky is blue. The sun is yellow. Here we go."));

  const TaskDocument number = Make(SettingsOf(TaskKind::kNumber, Filler::kNoise), one)[0];
  EXPECT_THAT(Part(number.text, number.asked.evidence), HasSubstr("One of the special magic numbers for "));
  EXPECT_THAT(number.asked.text, ::testing::MatchesRegex("What is the special magic number for .* mentioned in the "
                                                         "provided text\\?"));
  EXPECT_TRUE(number.asked.form->opening.ends_with("mentioned in the provided text is"));
  EXPECT_EQ(number.asked.references[0].size(), 7u);

  const TaskDocument pair = Make(SettingsOf(TaskKind::kKeyValue, Filler::kNeedles), one)[0];
  EXPECT_FALSE(nlohmann::json::parse(pair.text, nullptr, /*allow_exceptions=*/false).is_discarded());
  EXPECT_TRUE(pair.asked.text.starts_with("Key: \""));
}

TEST(SyntheticTasks, MultiKeyHidesSeveralOfAKind) {
  TaskSettings settings = SettingsOf(TaskKind::kMultiKey, Filler::kText);
  settings.keys = 6;
  const std::string text = Make(settings, {.lengths = {2000}, .depths = {0.5}})[0].text;
  int needles = 0;
  for (std::size_t at = text.find("One of the special"); at != std::string::npos;
       at = text.find("One of the special", at + 1)) {
    ++needles;
  }
  EXPECT_EQ(needles, 6);
}

TEST(SyntheticTasks, DependOnTheSeedAlone) {
  TaskSettings settings = SettingsOf(TaskKind::kMultiKey, Filler::kText);
  const auto all = [&] {
    std::string joined;
    for (const TaskDocument& document : Make(settings, kGrid)) joined += document.text + document.asked.text;
    return joined;
  };
  const std::string first = all();
  EXPECT_EQ(all(), first);
  settings.seed = 2;
  EXPECT_NE(all(), first);
}

TEST(SyntheticTasks, RefuseWhatMakesNoTask) {
  const auto status = [](TaskKind kind, Filler filler, TaskGrid grid) {
    return MakeTaskDocuments(SettingsOf(kind, filler), grid, TinyTokens).status();
  };
  using Code = absl::StatusCode;
  EXPECT_THAT(status(TaskKind::kPassKey, Filler::kNeedles, kGrid),
              StatusIs(Code::kInvalidArgument, HasSubstr("other pass keys")));
  EXPECT_THAT(status(TaskKind::kNumber, Filler::kText, {.lengths = {1'000'000}, .depths = {0.5}}),
              StatusIs(Code::kInvalidArgument, HasSubstr("give more text")));
  EXPECT_THAT(status(TaskKind::kNumber, Filler::kText, {.lengths = {10}, .depths = {0.5}}),
              StatusIs(Code::kInvalidArgument, HasSubstr("cannot hold")));
  EXPECT_THAT(status(TaskKind::kNumber, Filler::kText, {.lengths = {900}, .depths = {1.5}}),
              StatusIs(Code::kInvalidArgument, HasSubstr("1.5")));
  EXPECT_THAT(status(TaskKind::kNumber, Filler::kText, {}), StatusIs(Code::kInvalidArgument, HasSubstr("at least")));
}

TEST(TaskScores, FollowThePublishedRules) {
  const auto score = [](TaskKind kind, const std::string& answer, std::vector<std::string> references) {
    return ScoreTaskAnswer(kind, answer, references);
  };
  EXPECT_EQ(score(TaskKind::kPassKey, " 12345. Remember it.", {"12345"}), 1);
  EXPECT_EQ(score(TaskKind::kPassKey, "not 1 but 12345", {"12345"}), 0) << "the first number counts";
  EXPECT_EQ(score(TaskKind::kPassKey, "123456", {"12345"}), 0);
  EXPECT_EQ(score(TaskKind::kPassKey, "", {"12345"}), 0);
  EXPECT_EQ(score(TaskKind::kKeyValue, "\"ab-12\", \"cd\"", {"ab-12"}), 1);
  EXPECT_EQ(score(TaskKind::kKeyValue, "\"xab-12\"", {"ab-12"}), 0);
  EXPECT_EQ(score(TaskKind::kUuid, "it is AB-12", {"ab-12"}), 1);
  EXPECT_EQ(score(TaskKind::kNumber, "7 and 8", {"7", "9"}), 0.5);
  EXPECT_EQ(score(TaskKind::kNumber, "7", {}), 0);
}

}  // namespace
}  // namespace tome
