#include "engine/evaluation/task_report.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "engine/evaluation/figures/metrics.h"
#include "engine/evaluation/figures/svg_plot.h"
#include "engine/evaluation/report.h"
#include "fmt/format.h"

namespace tome {
namespace {

using nlohmann::json;

constexpr std::string_view kRouters[] = {"attention", "stems", "tokens"};
constexpr Loss kLosses[] = {Loss::kNone, Loss::kNotFound, Loss::kNotRead, Loss::kMisread, Loss::kTooHard};
constexpr std::size_t kShownMisses = 20;

// The mean of what some rows have a value for.
class Mean {
 public:
  void Add(double value) {
    sum_ += value;
    ++count_;
  }
  std::optional<double> value() const { return count_ == 0 ? std::nullopt : std::optional<double>(sum_ / count_); }

 private:
  double sum_ = 0;
  int count_ = 0;
};

// Over the rows of a length, or over all.
struct TaskTotals {
  std::map<std::string, Recall, std::less<>> routers;
  Recall recall;
  Mean found, in_text, cited, score, gold, search_seconds, answer_seconds, first_token_seconds, reading_seconds;
  std::map<Loss, int> losses;

  void Add(const TaskRow& row) {
    const TaskFigures& figures = row.figures;
    for (const auto& [router, rank] : figures.router_ranks) routers[router].Add(rank);
    recall.Add(figures.rank);
    found.Add(figures.rank > 0);
    in_text.Add(figures.in_text);
    if (figures.cited) cited.Add(*figures.cited);
    score.Add(row.score);
    if (row.gold_score) gold.Add(*row.gold_score);
    if (figures.search_seconds > 0) search_seconds.Add(figures.search_seconds);
    answer_seconds.Add(figures.answer_seconds);
    if (figures.time_to_first_token_seconds) first_token_seconds.Add(*figures.time_to_first_token_seconds);
    if (figures.reading_seconds) reading_seconds.Add(*figures.reading_seconds);
    ++losses[LossOf(row)];
  }
};

TaskTotals SumUp(const std::vector<TaskRow>& rows, std::optional<std::int64_t> length) {
  TaskTotals totals;
  for (const TaskRow& row : rows) {
    if (!length || row.length == *length) totals.Add(row);
  }
  return totals;
}

std::set<std::int64_t> LengthsOf(const std::vector<TaskRow>& rows) {
  std::set<std::int64_t> lengths;
  for (const TaskRow& row : rows) lengths.insert(row.length);
  return lengths;
}

std::string ShareCell(const Mean& mean) { return mean.value() ? FormatShare(*mean.value()) : "-"; }
std::string SecondsCell(const Mean& mean) { return mean.value() ? fmt::format("{:.2f}", *mean.value()) : "-"; }

void AddLengthRow(const std::string& name, const TaskTotals& totals, ReportTable* table) {
  std::vector<std::string> cells = {name, std::to_string(totals.recall.count())};
  for (const std::string_view router : kRouters) {
    const auto found = totals.routers.find(router);
    cells.push_back(found == totals.routers.end() ? "-" : found->second.Format());
  }
  for (const std::string& cell : {ShareCell(totals.found), totals.recall.Format(), ShareCell(totals.in_text),
                                  ShareCell(totals.score), ShareCell(totals.gold), ShareCell(totals.cited),
                                  SecondsCell(totals.answer_seconds), SecondsCell(totals.first_token_seconds)}) {
    cells.push_back(cell);
  }
  table->AddRow(std::move(cells));
}

std::string FormatDense(const std::vector<DenseRow>& rows) {
  std::map<std::int64_t, Mean> scores;
  std::map<std::int64_t, int> counts;
  for (const DenseRow& row : rows) {
    scores[row.length].Add(row.score);
    ++counts[row.length];
  }
  ReportTable table({"tokens in one prompt", "n", "answered"});
  for (const auto& [length, score] : scores) {
    table.AddRow({std::to_string(length), std::to_string(counts[length]), ShareCell(score)});
  }
  return "\nThe model alone, with the whole text in its context (dense attention, no memory):\n\n" + table.Format();
}

std::string RankText(int rank) { return rank == 0 ? "none" : std::to_string(rank); }

std::string MissLine(const TaskRow& row) {
  const TaskFigures& figures = row.figures;
  std::string line =
      fmt::format("{} tokens, depth {:.0f} %: {}; ranks", row.length, 100 * row.depth, LossName(LossOf(row)));
  for (const auto& [router, rank] : figures.router_ranks) line += fmt::format(" {} {},", router, RankText(rank));
  line += fmt::format(" search {}; {}; answered '{}' for '{}'", RankText(figures.rank),
                      figures.in_text ? "read again" : "not read again", figures.answer, row.reference);
  if (figures.gold_answer) line += fmt::format(", from the region alone '{}'", *figures.gold_answer);
  return line + "\n";
}

json OptionalJson(const Mean& mean) { return mean.value() ? json(*mean.value()) : json(); }

json ToJson(const TaskTotals& totals) {
  json losses = json::object(), routers = json::object();
  for (const Loss loss : kLosses) {
    const auto found = totals.losses.find(loss);
    losses[LossName(loss)] = found == totals.losses.end() ? 0 : found->second;
  }
  for (const auto& [router, recall] : totals.routers) routers[router] = ToJson(recall);
  return {{"routers", routers},
          {"recall", ToJson(totals.recall)},
          {"found", OptionalJson(totals.found)},
          {"in_text", OptionalJson(totals.in_text)},
          {"cited", OptionalJson(totals.cited)},
          {"accuracy", OptionalJson(totals.score)},
          {"gold_accuracy", OptionalJson(totals.gold)},
          {"search_seconds", OptionalJson(totals.search_seconds)},
          {"answer_seconds", OptionalJson(totals.answer_seconds)},
          {"time_to_first_token_seconds", OptionalJson(totals.first_token_seconds)},
          {"reading_seconds", OptionalJson(totals.reading_seconds)},
          {"losses", losses}};
}

json ToJson(const TaskRow& row) {
  const TaskFigures& figures = row.figures;
  json object = {{"length", row.length},
                 {"depth", row.depth},
                 {"repeat", row.repeat},
                 {"question", row.question},
                 {"reference", row.reference},
                 {"router_ranks", figures.router_ranks},
                 {"rank", figures.rank},
                 {"in_text", figures.in_text},
                 {"answer", figures.answer},
                 {"score", row.score},
                 {"answer_seconds", figures.answer_seconds},
                 {"outcome", LossName(LossOf(row))}};
  if (figures.cited) object["cited"] = *figures.cited;
  if (figures.search_seconds > 0) object["search_seconds"] = figures.search_seconds;
  if (figures.gold_answer) object["gold_answer"] = *figures.gold_answer;
  if (row.gold_score) object["gold_score"] = *row.gold_score;
  if (figures.time_to_first_token_seconds) object["time_to_first_token_seconds"] = *figures.time_to_first_token_seconds;
  if (figures.reading_seconds) object["reading_seconds"] = *figures.reading_seconds;
  return object;
}

HeatMap MapOf(const std::vector<TaskRow>& rows, const std::string& title,
              const std::function<double(const TaskRow&)>& value) {
  std::set<double> depths;
  for (const TaskRow& row : rows) depths.insert(row.depth);
  HeatMap map{.title = title, .x_label = "tokens of the document", .y_label = "depth of the needle"};
  const std::set<std::int64_t> lengths = LengthsOf(rows);
  for (const std::int64_t length : lengths) map.columns.push_back(fmt::format("{}", length));
  for (const double depth : depths) {
    map.rows.push_back(fmt::format("{:.0f} %", 100 * depth));
    auto& cells = map.values.emplace_back();
    for (const std::int64_t length : lengths) {
      Mean mean;
      for (const TaskRow& row : rows) {
        if (row.depth == depth && row.length == length) mean.Add(value(row));
      }
      cells.push_back(mean.value());
    }
  }
  return map;
}

}  // namespace

TaskRow MakeTaskRow(TaskKind kind, const TaskDocument& document, TaskFigures figures) {
  const std::vector<std::string>& references = document.asked.references;
  TaskRow row{.length = document.length,
              .depth = document.depth,
              .repeat = document.repeat,
              .question = document.asked.text,
              .reference = references.front(),
              .score = ScoreTaskAnswer(kind, figures.answer, references)};
  if (figures.gold_answer) row.gold_score = ScoreTaskAnswer(kind, *figures.gold_answer, references);
  row.figures = std::move(figures);
  return row;
}

DenseRow MakeDenseRow(TaskKind kind, const TaskDocument& document, std::string answer) {
  const std::vector<std::string>& references = document.asked.references;
  const double score = ScoreTaskAnswer(kind, answer, references);
  return {.length = document.length,
          .depth = document.depth,
          .repeat = document.repeat,
          .reference = references.front(),
          .answer = std::move(answer),
          .score = score};
}

Loss LossOf(const TaskRow& row) {
  if (row.score >= 1) return Loss::kNone;
  if (row.figures.in_text) return row.gold_score && *row.gold_score < 1 ? Loss::kTooHard : Loss::kMisread;
  return row.figures.rank == 0 ? Loss::kNotFound : Loss::kNotRead;
}

std::string_view LossName(Loss loss) {
  switch (loss) {
    case Loss::kNone:
      return "answered";
    case Loss::kNotFound:
      return "not found";
    case Loss::kNotRead:
      return "found, not read again";
    case Loss::kMisread:
      return "misread";
    case Loss::kTooHard:
      return "too hard for the model";
  }
  return "unknown";
}

std::string FormatTaskRun(const TaskRun& run) {
  ReportTable table({"tokens", "n", "attention R@1/4/8/16/32", "stems", "tokens", "found", "search R@1/4/8/16/32",
                     "read again", "answered", "gold alone", "cited", "seconds", "first token"});
  for (const std::int64_t length : LengthsOf(run.rows)) {
    AddLengthRow(std::to_string(length), SumUp(run.rows, length), &table);
  }
  const TaskTotals all = SumUp(run.rows, std::nullopt);
  AddLengthRow("all", all, &table);
  std::string text = fmt::format("{}\n\n{}\nWhere questions were lost:", TaskName(run.kind), table.Format());
  for (const auto& [loss, count] : all.losses) text += fmt::format(" {} {};", LossName(loss), count);
  text.back() = '\n';
  if (!run.dense.empty()) text += FormatDense(run.dense);
  std::size_t misses = 0;
  for (const TaskRow& row : run.rows) {
    if (row.score >= 1) continue;
    if (misses == 0) text += "\nNot answered:\n";
    if (misses++ < kShownMisses) text += MissLine(row);
  }
  if (misses > kShownMisses) text += fmt::format("and {} more\n", misses - kShownMisses);
  return text;
}

json ToJson(const TaskRun& run) {
  json lengths = json::object(), rows = json::array(), dense = json::array();
  for (const std::int64_t length : LengthsOf(run.rows))
    lengths[std::to_string(length)] = ToJson(SumUp(run.rows, length));
  for (const TaskRow& row : run.rows) rows.push_back(ToJson(row));
  for (const DenseRow& row : run.dense) {
    dense.push_back({{"length", row.length},
                     {"depth", row.depth},
                     {"repeat", row.repeat},
                     {"reference", row.reference},
                     {"answer", row.answer},
                     {"score", row.score}});
  }
  return {{"task", TaskName(run.kind)},
          {"all", ToJson(SumUp(run.rows, std::nullopt))},
          {"lengths", lengths},
          {"questions", rows},
          {"dense", dense}};
}

std::string DrawTaskRun(const TaskRun& run) {
  const std::string name(TaskName(run.kind));
  const std::vector<Chart> charts = {
      MapOf(run.rows, name + ": the answer is in the text that is read again",
            [](const TaskRow& row) { return row.figures.in_text ? 1.0 : 0.0; }),
      MapOf(run.rows, name + ": accuracy of the answer", [](const TaskRow& row) { return row.score; })};
  return DrawCharts(charts);
}

}  // namespace tome
