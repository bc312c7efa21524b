#include "engine/evaluation/questions/answerer.h"

namespace tome {
namespace {

constexpr const char* kRouters[] = {"attention", "stems", "tokens"};

}  // namespace

TaskFigures ToTaskFigures(const QuestionFigures& question, const std::string& search) {
  TaskFigures figures;
  for (const char* router : kRouters) {
    if (const auto way = question.ways.find(router); way != question.ways.end()) {
      figures.router_ranks[router] = way->second.rank;
    }
  }
  const WayFigures& found = question.ways.at(search);
  figures.rank = found.rank;
  figures.in_text = found.in_text;
  figures.cited = found.cited;
  figures.answer = found.answer;
  figures.search_seconds = found.search_seconds;
  figures.answer_seconds = found.seconds;
  if (found.first_token_seconds > 0) figures.time_to_first_token_seconds = found.first_token_seconds;
  if (const auto gold = question.ways.find("gold"); gold != question.ways.end()) {
    figures.gold_answer = gold->second.answer;
  }
  return figures;
}

TokenBytes TokenBytesOf(Answerer& answerer) {
  return [&answerer](std::string_view text) { return answerer.CountTokenBytes(text); };
}

}  // namespace tome
