#include <algorithm>
#include <set>

#include "engine/evaluation/finding.h"
#include "engine/evaluation/report.h"
#include "fmt/format.h"

namespace tome {
namespace {

using nlohmann::json;

constexpr const char* kWayOrder[] = {"attention", "stems",    "tokens",   "reciprocal", "interleaved",
                                     "fast",      "balanced", "thorough", "gold"};

// Sums over questions.
struct Totals {
  Recall recall;
  int questions = 0, in_text = 0, answered = 0, contains = 0;
  double f1 = 0, seconds = 0;

  void Add(const WayFigures& figures) {
    recall.Add(figures.rank);
    ++questions;
    in_text += figures.in_text;
    answered += figures.answered;
    contains += figures.contains;
    f1 += figures.f1;
    seconds += figures.seconds;
  }
  static double Share(double part, int all) { return all == 0 ? 0 : part / all; }
};

using GroupTotals = std::map<std::string, std::map<std::string, Totals>>;  // way, group

constexpr const char* kAll = "all";

GroupTotals SumUp(const std::vector<QuestionFigures>& questions) {
  GroupTotals totals;
  for (const QuestionFigures& question : questions) {
    for (const auto& [way, figures] : question.ways) {
      totals[way][question.asked.group].Add(figures);
      totals[way][kAll].Add(figures);
    }
  }
  return totals;
}

// Both found by `way`, or by one of the two only.
struct Paired {
  int wins = 0, losses = 0;
};
Paired Compare(const std::vector<QuestionFigures>& questions, const std::string& way, const std::string& other) {
  Paired paired;
  for (const QuestionFigures& question : questions) {
    const bool first = question.ways.at(way).in_text, second = question.ways.at(other).in_text;
    paired.wins += first && !second;
    paired.losses += second && !first;
  }
  return paired;
}

std::string SecondsCell(const Totals& totals) {
  return totals.seconds == 0 ? "" : fmt::format("{:.2f}", totals.seconds / totals.questions);
}

json ToJson(const Totals& totals) {
  json object = {{"recall", ToJson(totals.recall)},
                 {"in_text", Totals::Share(totals.in_text, totals.questions)},
                 {"seconds", Totals::Share(totals.seconds, totals.questions)}};
  if (totals.answered > 0) {
    object["answered"] = totals.answered;
    object["contains"] = Totals::Share(totals.contains, totals.answered);
    object["f1"] = Totals::Share(totals.f1, totals.answered);
  }
  return object;
}

}  // namespace

std::string FormatFindings(const std::vector<QuestionFigures>& questions) {
  const GroupTotals totals = SumUp(questions);
  std::vector<std::string> groups;
  for (const QuestionFigures& question : questions) {
    if (std::find(groups.begin(), groups.end(), question.asked.group) == groups.end()) {
      groups.push_back(question.asked.group);
    }
  }
  std::sort(groups.begin(), groups.end());
  if (groups.size() > 1) groups.push_back(kAll);
  ReportTable table(
      {"questions", "n", "way", "R@1/4/8/16/32", "in text", "wins/losses to stems", "F1", "contains", "seconds"});
  for (const std::string& group : groups) {
    std::vector<QuestionFigures> own;
    for (const QuestionFigures& question : questions) {
      if (group == kAll || question.asked.group == group) own.push_back(question);
    }
    for (const char* way : kWayOrder) {
      const auto found = totals.find(way);
      if (found == totals.end()) continue;
      const Totals& sum = found->second.at(group);
      const Paired paired = Compare(own, way, "stems");
      table.AddRow({group, std::to_string(sum.questions), way, sum.recall.Format(),
                    FormatShare(Totals::Share(sum.in_text, sum.questions)),
                    fmt::format("{}/{}", paired.wins, paired.losses),
                    sum.answered == 0 ? "" : FormatShare(Totals::Share(sum.f1, sum.answered)),
                    sum.answered == 0 ? "" : FormatShare(Totals::Share(sum.contains, sum.answered)), SecondsCell(sum)});
    }
  }
  return table.Format();
}

json FindingsToJson(const std::vector<QuestionFigures>& questions) {
  json sums = json::object(), list = json::array();
  for (const auto& [way, groups] : SumUp(questions)) {
    for (const auto& [group, totals] : groups) sums[way][group] = ToJson(totals);
  }
  for (const QuestionFigures& question : questions) {
    json ways = json::object();
    for (const auto& [way, figures] : question.ways) {
      json object = {{"rank", figures.rank}, {"in_text", figures.in_text}, {"text_tokens", figures.text_tokens}};
      if (figures.answered) {
        object["answer"] = figures.answer;
        object["f1"] = figures.f1;
        object["contains"] = figures.contains;
      }
      ways[way] = std::move(object);
    }
    list.push_back({{"id", question.asked.id},
                    {"group", question.asked.group},
                    {"question", question.asked.text},
                    {"references", question.asked.references},
                    {"ways", ways},
                    {"candidates", question.candidates}});
  }
  return {{"sums", sums}, {"questions", list}};
}

}  // namespace tome
