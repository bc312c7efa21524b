#include "engine/model/profiles/prompt_form_json.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "engine/model/profiles/profile_fields.h"

namespace tome {
namespace {

constexpr std::size_t kMaxFormBytes = 16384;
constexpr std::size_t kMaxOpeningBytes = 1024;
constexpr std::size_t kMaxStopTexts = 16;
constexpr std::size_t kMaxStopTextBytes = 256;

// The names of all marks in `text`: what stands in braces and has only small letters and '_'.
std::set<std::string_view> MarksIn(std::string_view text) {
  const auto in_name = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  std::set<std::string_view> marks;
  for (std::size_t open = text.find('{'); open != std::string_view::npos; open = text.find('{', open + 1)) {
    std::size_t end = open + 1;
    while (end < text.size() && in_name(text[end])) ++end;
    if (end < text.size() && end > open + 1 && text[end] == '}') marks.insert(text.substr(open + 1, end - open - 1));
  }
  return marks;
}

absl::Status CheckMarks(std::string_view field, std::string_view text, const std::vector<std::string_view>& allowed,
                        const std::vector<std::string_view>& required) {
  const std::set<std::string_view> marks = MarksIn(text);
  std::string expected;
  for (const std::string_view mark : allowed) expected += fmt::format("{}{{{}}}", expected.empty() ? "" : ", ", mark);
  for (const std::string_view mark : marks) {
    if (std::find(allowed.begin(), allowed.end(), mark) != allowed.end()) continue;
    return InvalidArgument("{}: expected no marks but {}, found {{{}}}", field, expected, mark);
  }
  for (const std::string_view mark : required) {
    if (!marks.contains(mark)) return InvalidArgument("{}: {{{}}} is missing", field, mark);
  }
  return absl::OkStatus();
}

absl::Status CheckText(std::string_view field, std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes) {
    return InvalidArgument("{}: expected at most {} bytes, found {}", field, max_bytes, text.size());
  }
  return IsValidUtf8(text) ? absl::OkStatus() : InvalidArgument("{}: it is not UTF-8", field);
}

absl::Status CheckStopTexts(const std::vector<std::string>& stop) {
  if (stop.size() > kMaxStopTexts) {
    return InvalidArgument("stop: expected at most {} texts, found {}", kMaxStopTexts, stop.size());
  }
  for (const std::string& text : stop) {
    TOME_RETURN_IF_ERROR(CheckText("stop", text, kMaxStopTextBytes));
    if (text.empty()) return InvalidArgument("stop: expected no empty text");
  }
  return absl::OkStatus();
}

absl::Status CheckTurn(const PromptForm& form) {
  const bool has_turns = !form.chat && MarksIn(form.prompt).contains("turns");
  if (has_turns) return CheckMarks("turn", form.turn, {"question", "answer"}, {"question", "answer"});
  if (form.turn.empty()) return absl::OkStatus();
  return InvalidArgument("turn: it has no place: {}",
                         form.chat ? "turns are messages of the chat" : "the prompt has no {turns}");
}

}  // namespace

absl::Status ValidatePromptForm(const PromptForm& form) {
  TOME_RETURN_IF_ERROR(CheckText("prompt", form.prompt, kMaxFormBytes));
  TOME_RETURN_IF_ERROR(CheckText("turn", form.turn, kMaxFormBytes));
  TOME_RETURN_IF_ERROR(CheckText("opening", form.opening, kMaxOpeningBytes));
  TOME_RETURN_IF_ERROR(CheckStopTexts(form.stop));
  std::vector<std::string_view> allowed = {"text", "question"};
  if (!form.chat) allowed = {"instruction", "text", "turns", "question"};
  TOME_RETURN_IF_ERROR(CheckMarks("prompt", form.prompt, allowed, {"text", "question"}));
  return CheckTurn(form);
}

absl::StatusOr<PromptForm> PromptFormFromJson(const nlohmann::json& json, const std::string& where) {
  if (!json.is_object()) return InvalidArgument("{}: expected an object", where);
  for (const auto& [name, value] : json.items()) {
    const std::set<std::string_view> known = {"prompt", "turn", "chat", "opening", "stop"};
    if (!known.contains(name)) return InvalidArgument("{}: unknown field {}", where, Quote(name));
  }
  PromptForm form;
  ProfileFields fields(json, where);
  fields.Get("prompt", &form.prompt);
  fields.GetIfPresent("turn", &form.turn);
  fields.GetIfPresent("chat", &form.chat);
  fields.GetIfPresent("opening", &form.opening);
  fields.GetIfPresent("stop", &form.stop);
  TOME_RETURN_IF_ERROR(fields.status());
  TOME_RETURN_IF_ERROR(Annotate(ValidatePromptForm(form), where));
  return form;
}

nlohmann::json PromptFormToJson(const PromptForm& form) {
  return {{"prompt", form.prompt},
          {"turn", form.turn},
          {"chat", form.chat},
          {"opening", form.opening},
          {"stop", form.stop}};
}

}  // namespace tome
