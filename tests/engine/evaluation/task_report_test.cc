#include "engine/evaluation/task_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tome {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TaskDocument DocumentOf(std::int64_t length, double depth) {
  return {.length = length, .depth = depth, .asked = {.text = "What is the pass key?", .references = {"12345"}}};
}

TaskRow RowOf(std::int64_t length, double depth, TaskFigures figures) {
  return MakeTaskRow(TaskKind::kPassKey, DocumentOf(length, depth), std::move(figures));
}

TaskFigures Figures(int rank, bool in_text, const std::string& answer, std::optional<std::string> gold = std::nullopt) {
  return {.router_ranks = {{"attention", 3}, {"stems", 1}},
          .rank = rank,
          .in_text = in_text,
          .answer = answer,
          .gold_answer = std::move(gold),
          .answer_seconds = 2};
}

TEST(TaskReport, TellsTheStepAtWhichAQuestionWasLost) {
  EXPECT_EQ(LossOf(RowOf(1, 0, Figures(1, true, "12345", "12345"))), Loss::kNone);
  EXPECT_EQ(LossOf(RowOf(1, 0, Figures(0, false, "12345"))), Loss::kNone) << "a right answer is one, however it came";
  EXPECT_EQ(LossOf(RowOf(1, 0, Figures(0, false, "1", "12345"))), Loss::kNotFound);
  EXPECT_EQ(LossOf(RowOf(1, 0, Figures(9, false, "1", "12345"))), Loss::kNotRead);
  EXPECT_EQ(LossOf(RowOf(1, 0, Figures(1, true, "1", "12345"))), Loss::kMisread);
  EXPECT_EQ(LossOf(RowOf(1, 0, Figures(1, true, "1", "2"))), Loss::kTooHard);
  EXPECT_EQ(LossOf(RowOf(1, 0, Figures(1, true, "1"))), Loss::kMisread) << "without a ceiling nothing says too hard";
}

TaskRun SomeRun() {
  TaskRun run{.kind = TaskKind::kPassKey};
  run.rows = {RowOf(1024, 0, Figures(1, true, "12345", "12345")), RowOf(1024, 1, Figures(5, true, "9", "12345")),
              RowOf(2048, 0, Figures(0, false, "<none>", "12345")), RowOf(2048, 1, Figures(1, true, "12345", "12345"))};
  run.dense = {MakeDenseRow(TaskKind::kPassKey, DocumentOf(512, 0), "12345"),
               MakeDenseRow(TaskKind::kPassKey, DocumentOf(512, 1), "54321")};
  return run;
}

TEST(TaskReport, SumsUpByLength) {
  const nlohmann::json report = ToJson(SomeRun());
  EXPECT_EQ(report["task"], "passkey");
  EXPECT_EQ(report["all"]["accuracy"], 0.5);
  EXPECT_EQ(report["all"]["gold_accuracy"], 1.0);
  EXPECT_EQ(report["all"]["in_text"], 0.75);
  EXPECT_EQ(report["all"]["found"], 0.75);
  EXPECT_EQ(report["all"]["losses"]["not found"], 1);
  EXPECT_EQ(report["all"]["losses"]["misread"], 1);
  EXPECT_EQ(report["lengths"]["1024"]["recall"]["1"], 0.5);
  EXPECT_EQ(report["lengths"]["1024"]["recall"]["8"], 1.0);
  EXPECT_EQ(report["lengths"]["1024"]["routers"]["attention"]["1"], 0.0);
  EXPECT_EQ(report["lengths"]["1024"]["routers"]["attention"]["4"], 1.0);
  EXPECT_TRUE(report["all"]["cited"].is_null()) << "the engine cites nothing";
  EXPECT_EQ(report["questions"].size(), 4u);
  EXPECT_EQ(report["questions"][2]["outcome"], "not found");
  EXPECT_EQ(report["dense"][1]["score"], 0.0);
}

TEST(TaskReport, ExplainsMissesToPeople) {
  const std::string text = FormatTaskRun(SomeRun());
  EXPECT_THAT(text, HasSubstr("| 1024 "));
  EXPECT_THAT(text, HasSubstr("2048 tokens, depth 0 %: not found; ranks attention 3, stems 1, search none; not read "
                              "again; answered '<none>' for '12345', from the region alone '12345'"));
  EXPECT_THAT(text, HasSubstr("| 512 "));
  EXPECT_THAT(text, HasSubstr("no memory"));
  TaskRun all_right = SomeRun();
  all_right.rows.resize(1);
  all_right.dense.clear();
  EXPECT_THAT(FormatTaskRun(all_right), Not(HasSubstr("Not answered")));
  EXPECT_THAT(FormatTaskRun(all_right), Not(HasSubstr("no memory")));
}

TEST(TaskReport, DrawsDepthByLength) {
  const std::string svg = DrawTaskRun(SomeRun());
  EXPECT_THAT(svg, HasSubstr(">1024<"));
  EXPECT_THAT(svg, HasSubstr(">100 %<"));
  EXPECT_THAT(svg, HasSubstr(">0.00<"));
  EXPECT_THAT(svg, HasSubstr(">1.00<"));
}

}  // namespace
}  // namespace tome
