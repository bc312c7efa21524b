#include "client/command/conversation.h"

#include <sstream>
#include <utility>

#include "client/command/exit_code.h"
#include "client/command/format.h"
#include "client/command/json.h"
#include "client/source.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"

namespace tome::command {
namespace {

constexpr std::size_t kMostFileBytes = 16 << 20;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const auto file = client::FileSource::Open(path);
  if (!file.ok()) return UsageError(std::string(file.status().message()));
  std::string text;
  char part[64 << 10];
  while (true) {
    const absl::StatusOr<std::size_t> size = (*file)->Read(part, sizeof part);
    if (!size.ok()) return UsageError(std::string(size.status().message()));
    if (*size == 0) break;
    text.append(part, *size);
    if (text.size() > kMostFileBytes) {
      return UsageError(fmt::format("{}: it has more than {} bytes", Printable(path), FormatCount(kMostFileBytes)));
    }
  }
  if (!IsValidUtf8(text)) return UsageError(fmt::format("{}: it is not UTF-8", Printable(path)));
  return text;
}

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

absl::StatusOr<Json> ParseObject(const std::string& where, const std::string& text) {
  Json object = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return UsageError(fmt::format("{}: this is not a JSON object", where));
  return object;
}

}  // namespace

absl::StatusOr<std::vector<v1::Turn>> ReadHistory(const std::string& path) {
  TOME_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::istringstream lines(text);
  std::vector<v1::Turn> turns;
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}, line {}", Printable(path), number);
    TOME_ASSIGN_OR_RETURN(Json object, ParseObject(where, line));
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
  TOME_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::string where = Printable(path);
  TOME_ASSIGN_OR_RETURN(Json object, ParseObject(where, text));
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
