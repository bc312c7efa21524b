#include "engine/evaluation/questions/qa_questions.h"

#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "engine/base/status.h"
#include "engine/evaluation/questions/reading.h"

namespace tome {
namespace {

using nlohmann::json;

// Throws what the JSON library throws for fields of other types.
QaQuestion FromJson(const json& object) {
  QaQuestion question;
  AskedQuestion& asked = question.asked;
  asked.group = kQaGroup;
  asked.text = object.at("question").get<std::string>();
  question.document = object.value("document", object.value("file", std::string()));
  asked.id = object.value("id", question.document + ": " + asked.text);
  if (object.contains("answers")) {
    asked.references = object["answers"].get<std::vector<std::string>>();
  } else {
    asked.references = {object.at("answer1").get<std::string>(), object.at("answer2").get<std::string>()};
  }
  if (object.contains("answer_bytes")) {
    const auto [begin, end] = object["answer_bytes"].get<std::pair<std::size_t, std::size_t>>();
    asked.evidence = {begin, end};
    asked.answers = {asked.evidence};
  }
  return question;
}

}  // namespace

absl::StatusOr<QaQuestion> ParseQaQuestion(std::string_view line, const std::string& where) {
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return InvalidArgument("{}: this is not a JSON object", where);
  try {
    QaQuestion question = FromJson(object);
    if (question.asked.references.empty()) return InvalidArgument("{}: answers: expected one or more", where);
    if (object.contains("answer_bytes") && !question.asked.HasEvidence()) {
      return InvalidArgument("{}: answer_bytes: expected begin < end", where);
    }
    return question;
  } catch (const json::exception& error) {
    return InvalidArgument("{}: {}", where, error.what());
  }
}

absl::StatusOr<std::vector<QaQuestion>> LoadQaQuestions(const std::string& path, const QaSelection& selection) {
  TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  std::istringstream lines(text);
  std::vector<QaQuestion> questions;
  std::string line;
  for (int number = 0; std::getline(lines, line); ++number) {
    if (number < selection.skip || (number - selection.skip) % selection.every != 0 || line.empty()) continue;
    TOME_ASSIGN_OR_RETURN(QaQuestion question, ParseQaQuestion(line, fmt::format("{}: line {}", path, number + 1)));
    if (question.document.find(selection.documents) == std::string::npos) continue;
    if (selection.limit > 0 && static_cast<int>(questions.size()) == selection.limit) break;
    questions.push_back(std::move(question));
  }
  if (questions.empty()) return InvalidArgument("{}: it has no questions, or none that were selected", path);
  return questions;
}

}  // namespace tome
