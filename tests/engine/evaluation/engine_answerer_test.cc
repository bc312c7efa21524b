#include "engine/evaluation/questions/engine_answerer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "engine/evaluation/questions/finding.h"
#include "engine/evaluation/questions/reading.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_profile.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

const MemoryOptions kOptions = {
    .sink_tokens = 8,
    .window_tokens = 64,
    .segment_tokens = 32,
    .region_tokens = 16,
    .regions = {.selected = 2, .query_region_tokens = 16, .ring_regions = 4, .pool_regions = 2}};
const AnswerOptions kAnswer = {.effort = "fast", .budget_tokens = 96, .max_answer_tokens = 4};

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModelWithProfile();
  return model;
}

std::vector<TaskDocument> Documents() {
  EngineAnswerer answerer(TinyModel(), kOptions);
  return *MakeTaskDocuments({.kind = TaskKind::kPassKey, .filler = Filler::kNoise},
                            {.lengths = {700, 1200}, .depths = {0, 0.5, 1}},
                            [&](std::string_view text) { return answerer.CountTokenBytes(text); });
}

TEST(EngineAnswerer, TellsOfEachQuestionWhatAskingItsDocumentAloneGives) {
  const std::vector<TaskDocument> documents = Documents();
  EngineAnswerer answerer(TinyModel(), kOptions);
  std::map<std::size_t, TaskFigures> all;
  ASSERT_THAT(answerer.AnswerAll(documents, kAnswer,
                                 [&](std::size_t index, TaskFigures figures) { all[index] = std::move(figures); }),
              IsOk());
  ASSERT_EQ(all.size(), documents.size());
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const Memory memory = *ReadDocuments(TinyModel(), kOptions, {documents[i].text});
    const QuestionFigures expected = *EvaluateQuestion(
        memory, documents[i].asked,
        {.searches = {"fast"}, .answered = {"fast", "gold"}, .budget_tokens = 96, .max_answer_tokens = 4});
    const TaskFigures& found = all[i];
    for (const char* router : {"attention", "stems", "tokens"}) {
      EXPECT_EQ(found.router_ranks.at(router), expected.ways.at(router).rank);
    }
    EXPECT_EQ(found.router_ranks.at("stems"), 1) << "no other sentence speaks of a pass key";
    EXPECT_EQ(found.rank, expected.ways.at("fast").rank);
    EXPECT_EQ(found.in_text, expected.ways.at("fast").in_text);
    EXPECT_EQ(found.answer, expected.ways.at("fast").answer);
    EXPECT_EQ(found.gold_answer, expected.ways.at("gold").answer);
    EXPECT_GT(found.answer_seconds, 0);
  }
}

TEST(EngineAnswerer, RefusesAnUnknownEffort) {
  EngineAnswerer answerer(TinyModel(), kOptions);
  EXPECT_THAT(answerer.AnswerAll(Documents(), {.effort = "slow"}, [](std::size_t, TaskFigures) {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'slow'")));
}

TEST(DenseAnswer, IsThatOfOnePromptWithTheWholeText) {
  const TaskDocument document = Documents()[1];
  const auto answer = AnswerDensely(TinyModel(), document, 6);
  ASSERT_THAT(answer, IsOk());
  const Tokenizer& tokenizer = *TinyModel()->tokenizer();
  std::vector<TokenId> prompt = {*tokenizer.bos()};
  for (const std::string& part :
       {document.asked.instruction + "\n" + document.text + "\n" + document.asked.text, document.asked.form->opening}) {
    for (const TextToken& token : tokenizer.Encode(part)) prompt.push_back(token.id);
  }
  const Memory empty = *Memory::Create(TinyModel(), kOptions);
  const auto expected = RunTask(*Task::Generate(empty, prompt, {.max_tokens = 6, .stop = {"\n"}}));
  EXPECT_EQ(*answer, expected->text);
}

TEST(DenseAnswer, RefusesWhatDoesNotFitTheContext) {
  TaskDocument document = Documents()[1];
  for (int i = 0; i < 4; ++i) document.text += document.text;
  EXPECT_THAT(AnswerDensely(TinyModel(), document, 6), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("4096")));
}

}  // namespace
}  // namespace tome
