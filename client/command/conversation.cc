#include "client/command/conversation.h"

#include <sstream>
#include <utility>

#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/command/input_file.h"
#include "client/command/json.h"
#include "engine/base/status.h"
#include "engine/files/file_kind.h"

namespace tome::command {
namespace {

// Takes one field of an object out of it.
template <typename Value>
absl::Status TakeField(const std::string& where, const char* name, bool required, Json* object, Value* value) {
  const auto found = object->find(name);
  if (found == object->end()) {
    return required ? UsageError(fmt::format("{}: {} is missing", where, name)) : absl::OkStatus();
  }
  try {
    *value = found->get<Value>();
  } catch (const nlohmann::json::exception&) {
    return UsageError(fmt::format("{}: {} has the wrong type", where, name));
  }
  object->erase(found);
  return absl::OkStatus();
}

// `example`: of such an object.
absl::StatusOr<Json> ParseObject(const std::string& where, const std::string& example, const std::string& text) {
  Json object = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (object.is_object()) return object;
  return UsageError(
      fmt::format("{}: this is not a JSON object: expected {}, found {}", where, example, DescribeFile(text)));
}

}  // namespace

absl::StatusOr<std::vector<v1::Turn>> ReadHistory(const std::string& path) {
  TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  std::istringstream lines(text);
  std::vector<v1::Turn> turns;
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}, line {}", Printable(path), number);
    TOME_ASSIGN_OR_RETURN(Json object, ParseObject(where, R"({"question": "...", "answer": "..."})", line));
    v1::Turn& turn = turns.emplace_back();
    TOME_RETURN_IF_ERROR(TakeField(where, "question", /*required=*/true, &object, turn.mutable_question()));
    TOME_RETURN_IF_ERROR(TakeField(where, "answer", /*required=*/true, &object, turn.mutable_answer()));
  }
  return turns;
}

absl::StatusOr<HistoryWriter> HistoryWriter::Open(const std::string& path) {
  bool line_unfinished = false;
  if (std::ifstream last(path, std::ios::binary | std::ios::ate); last && last.tellg() > 0) {
    last.seekg(-1, std::ios::end);
    line_unfinished = last.get() != '\n';
  }
  std::ofstream file(path, std::ios::binary | std::ios::app);
  if (line_unfinished) file << '\n' << std::flush;
  if (!file) return UsageError(fmt::format("{}: it can not be written", Printable(path)));
  return HistoryWriter(path, std::move(file));
}

absl::Status HistoryWriter::Add(const v1::Turn& turn) {
  file_ << Dump(ToJson(turn)) + '\n' << std::flush;
  return file_ ? absl::OkStatus() : Internal("{}: the turn can not be written", path_);
}

absl::StatusOr<v1::CustomPromptForm> ReadPromptForm(const std::string& path) {
  TOME_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  const std::string where = Printable(path);
  TOME_ASSIGN_OR_RETURN(Json object, ParseObject(where, R"({"prompt": "{text} {question}"})", text));
  v1::CustomPromptForm form;
  bool chat = false;
  std::vector<std::string> stop;
  TOME_RETURN_IF_ERROR(TakeField(where, "prompt", /*required=*/true, &object, form.mutable_prompt()));
  TOME_RETURN_IF_ERROR(TakeField(where, "turn", /*required=*/false, &object, form.mutable_turn()));
  TOME_RETURN_IF_ERROR(TakeField(where, "chat", /*required=*/false, &object, &chat));
  TOME_RETURN_IF_ERROR(TakeField(where, "opening", /*required=*/false, &object, form.mutable_opening()));
  TOME_RETURN_IF_ERROR(TakeField(where, "stop", /*required=*/false, &object, &stop));
  if (!object.empty()) return UsageError(fmt::format("{}: unknown field {}", where, Printable(object.begin().key())));
  form.set_chat(chat);
  form.mutable_stop()->Assign(stop.begin(), stop.end());
  return form;
}

}  // namespace tome::command
