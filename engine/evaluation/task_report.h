// What tome-eval tells of synthetic tasks: where each question was won or lost, as tables, JSON and pictures.
#ifndef TOME_ENGINE_EVALUATION_TASK_REPORT_H_
#define TOME_ENGINE_EVALUATION_TASK_REPORT_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/evaluation/questions/answerer.h"

namespace tome {

// A question of a task, with scores from 0 to 1.
struct TaskRow {
  std::int64_t length = 0;
  double depth = 0;
  int repeat = 0;
  std::string question, reference;
  TaskFigures figures;
  double score = 0;
  std::optional<double> gold_score;  // with the right region alone: the ceiling of reading
};

// A question asked with the whole document in the context: the ceiling of the model without any memory.
struct DenseRow {
  std::int64_t length = 0;
  double depth = 0;
  int repeat = 0;
  std::string reference, answer;
  double score = 0;
};

struct TaskRun {
  TaskKind kind = TaskKind::kPassKey;
  std::vector<TaskRow> rows;
  std::vector<DenseRow> dense;
};

TaskRow MakeTaskRow(TaskKind kind, const TaskDocument& document, TaskFigures figures);
DenseRow MakeDenseRow(TaskKind kind, const TaskDocument& document, std::string answer);

// The step at which a question was lost.
enum class Loss {
  kNone,      // answered
  kNotFound,  // the right region is not among those that the search gave
  kNotRead,   // it is, but not among the text that is read again
  kMisread,   // its text was read again; the model answers from it when it stands alone
  kTooHard,   // its text was read again, but the model does not answer from it alone either
};
Loss LossOf(const TaskRow& row);
std::string_view LossName(Loss loss);  // "answered", "not found", ...

// Tables by length, of the dense ceiling, and a line for each question that was not answered (20 at most).
std::string FormatTaskRun(const TaskRun& run);
nlohmann::json ToJson(const TaskRun& run);
// Heat maps by depth and length: how often the answer was read again, and how often it was answered.
std::string DrawTaskRun(const TaskRun& run);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_TASK_REPORT_H_
