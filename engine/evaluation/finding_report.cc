#include <algorithm>
#include <numeric>
#include <set>

#include "engine/evaluation/questions/finding.h"
#include "engine/evaluation/report.h"
#include "fmt/format.h"

namespace tome {
namespace {

using nlohmann::json;

constexpr const char* kWayOrder[] = {"none",       "first",       "random", "attention", "stems",    "tokens",
                                     "reciprocal", "interleaved", "fast",   "balanced",  "thorough", "gold"};

// Sums over questions.
struct Totals {
  Recall recall;
  int questions = 0, in_text = 0, answered = 0, contains = 0, supported = 0;
  int judged = 0;  // answers whose references have a log-probability
  int with_citations = 0, cited = 0;
  std::int64_t regions_reranked = 0;
  double f1 = 0, rouge_l = 0, log_probability = 0, seconds = 0, first_token_seconds = 0;

  void Add(const AskedQuestion& asked, const WayFigures& figures) {
    if (asked.HasEvidence()) recall.Add(figures.rank);
    ++questions;
    in_text += figures.in_text;
    answered += figures.answered;
    contains += figures.contains;
    supported += figures.supported;
    regions_reranked += figures.regions_reranked;
    f1 += figures.f1;
    rouge_l += figures.rouge_l;
    judged += figures.log_probability.has_value();
    log_probability += figures.log_probability.value_or(0);
    with_citations += figures.cited.has_value();
    cited += figures.cited.value_or(false);
    seconds += figures.seconds;
    first_token_seconds += figures.first_token_seconds;
  }
  static double Share(double part, int all) { return all == 0 ? 0 : part / all; }
};

using GroupTotals = std::map<std::string, std::map<std::string, Totals>>;  // way, group

constexpr const char* kAll = "all";

GroupTotals SumUp(const std::vector<QuestionFigures>& questions) {
  GroupTotals totals;
  for (const QuestionFigures& question : questions) {
    for (const auto& [way, figures] : question.ways) {
      totals[way][question.asked.group].Add(question.asked, figures);
      totals[way][kAll].Add(question.asked, figures);
    }
  }
  return totals;
}

// "wins/losses": of questions whose answer is in the text of one of the two only. Empty where there is no other.
std::string Compare(const std::vector<QuestionFigures>& questions, const std::string& way, const std::string& other) {
  int compared = 0, wins = 0, losses = 0;
  for (const QuestionFigures& question : questions) {
    if (!question.ways.contains(way) || !question.ways.contains(other)) continue;
    const bool first = question.ways.at(way).in_text, second = question.ways.at(other).in_text;
    ++compared;
    wins += first && !second;
    losses += second && !first;
  }
  return compared == 0 ? "" : fmt::format("{}/{}", wins, losses);
}

// The mean over questions; empty where nothing was counted.
std::string MeanCell(double sum, int questions, int decimals = 2) {
  return sum == 0 ? "" : fmt::format("{:.{}f}", sum / questions, decimals);
}

void AddRow(const std::string& group, const std::string& way, const Totals& sum, const std::string& compared,
            ReportTable* table) {
  const auto share = [&](double part) {
    return sum.answered == 0 ? "" : FormatShare(Totals::Share(part, sum.answered));
  };
  const int located = sum.recall.count();
  table->AddRow({group, std::to_string(sum.questions), way, sum.recall.Format(),
                 located == 0 ? "-" : FormatShare(Totals::Share(sum.in_text, located)), compared, share(sum.f1),
                 share(sum.rouge_l), share(sum.contains), share(sum.supported),
                 sum.with_citations == 0 ? "" : FormatShare(Totals::Share(sum.cited, sum.with_citations)),
                 sum.judged == 0 ? "" : fmt::format("{:.2f}", sum.log_probability / sum.judged),
                 MeanCell(static_cast<double>(sum.regions_reranked), sum.questions, 0),
                 MeanCell(sum.first_token_seconds, sum.questions), MeanCell(sum.seconds, sum.questions)});
}

// Whether the score of the region that a search puts first is the probability that it is right.
struct ScoreCheck {
  std::vector<double> right, wrong;

  double MeanScore() const {
    const double sum =
        std::accumulate(right.begin(), right.end(), 0.0) + std::accumulate(wrong.begin(), wrong.end(), 0.0);
    return Totals::Share(sum, static_cast<int>(right.size() + wrong.size()));
  }
  double ShareRight() const {
    return Totals::Share(static_cast<double>(right.size()), static_cast<int>(right.size() + wrong.size()));
  }
};

// Of the searches among the ways.
std::map<std::string, ScoreCheck> CheckScores(const std::vector<QuestionFigures>& questions) {
  std::map<std::string, ScoreCheck> checks;
  for (const QuestionFigures& question : questions) {
    if (!question.asked.HasEvidence()) continue;
    for (const auto& [way, figures] : question.ways) {
      if (figures.score > 0) (figures.rank == 1 ? checks[way].right : checks[way].wrong).push_back(figures.score);
    }
  }
  return checks;
}

std::string FormatScores(const std::vector<QuestionFigures>& questions) {
  std::string lines;
  for (const auto& [way, check] : CheckScores(questions)) {
    lines += fmt::format(
        "{}: the first region's score is {} in the mean, and {} of the first are right; a right one has the higher "
        "score with {}\n",
        way, FormatShare(check.MeanScore()), FormatShare(check.ShareRight()),
        FormatShare(AreaUnderCurve(check.right, check.wrong)));
  }
  return lines.empty() ? lines : "\n" + lines;
}

json ToJson(const Totals& totals) {
  json object = {{"recall", ToJson(totals.recall)},
                 {"in_text", Totals::Share(totals.in_text, totals.recall.count())},
                 {"regions_reranked", Totals::Share(static_cast<double>(totals.regions_reranked), totals.questions)},
                 {"seconds", Totals::Share(totals.seconds, totals.questions)},
                 {"first_token_seconds", Totals::Share(totals.first_token_seconds, totals.questions)}};
  if (totals.answered > 0) {
    object["answered"] = totals.answered;
    object["contains"] = Totals::Share(totals.contains, totals.answered);
    object["supported"] = Totals::Share(totals.supported, totals.answered);
    object["f1"] = Totals::Share(totals.f1, totals.answered);
    object["rouge_l"] = Totals::Share(totals.rouge_l, totals.answered);
    if (totals.judged > 0) object["log_probability"] = Totals::Share(totals.log_probability, totals.judged);
    if (totals.with_citations > 0) object["cited"] = Totals::Share(totals.cited, totals.with_citations);
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
  ReportTable table({"questions", "n", "way", "R@1/4/8/16/32", "in text", "wins/losses to stems", "F1", "ROUGE-L",
                     "contains", "supported", "cited", "log p", "ranked", "first token", "seconds"});
  for (const std::string& group : groups) {
    std::vector<QuestionFigures> own;
    for (const QuestionFigures& question : questions) {
      if (group == kAll || question.asked.group == group) own.push_back(question);
    }
    for (const char* way : kWayOrder) {
      const auto found = totals.find(way);
      if (found == totals.end()) continue;
      const auto of_group = found->second.find(group);
      if (of_group == found->second.end()) continue;
      AddRow(group, way, of_group->second, Compare(own, way, "stems"), &table);
    }
  }
  return table.Format() + FormatScores(questions);
}

json FindingsToJson(const std::vector<QuestionFigures>& questions) {
  json sums = json::object(), list = json::array();
  for (const auto& [way, groups] : SumUp(questions)) {
    for (const auto& [group, totals] : groups) sums[way][group] = ToJson(totals);
  }
  for (const QuestionFigures& question : questions) {
    json ways = json::object();
    for (const auto& [way, figures] : question.ways) {
      json object = {{"rank", figures.rank},
                     {"in_text", figures.in_text},
                     {"text_tokens", figures.text_tokens},
                     {"regions_reranked", figures.regions_reranked},
                     {"seconds", figures.seconds},
                     {"first_token_seconds", figures.first_token_seconds}};
      if (figures.answered) {
        object["answer"] = figures.answer;
        object["f1"] = figures.f1;
        object["rouge_l"] = figures.rouge_l;
        object["contains"] = figures.contains;
        object["supported"] = figures.supported;
        if (figures.log_probability) object["log_probability"] = *figures.log_probability;
        if (figures.cited) object["cited"] = *figures.cited;
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
  json scores = json::object();
  for (const auto& [way, check] : CheckScores(questions)) {
    scores[way] = {{"mean", check.MeanScore()},
                   {"right", check.ShareRight()},
                   {"area_under_curve", AreaUnderCurve(check.right, check.wrong)}};
  }
  return {{"sums", sums}, {"scores", scores}, {"questions", list}};
}

}  // namespace tome
