#include "server/questions/prompt.h"

#include <algorithm>

#include "engine/base/blank_text.h"
#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/generation/prompt_form.h"
#include "server/base/errors.h"

namespace tome::server {
namespace {

PromptFormKind DefaultForm(ChatTemplate chat_template, const ModelProfile& profile) {
  if (profile.prompt_form) return PromptFormKind::kProfile;
  return chat_template != ChatTemplate::kPlain ? PromptFormKind::kChat : PromptFormKind::kRaw;
}

absl::Status NoChatTemplateError() {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   "the model has no chat template; ask with the raw or the question-answer form",
                   {.reason = "NO_CHAT_TEMPLATE", .metadata = {{"field", "prompt_form"}}});
}

absl::StatusOr<tome::PromptForm> FormOf(PromptFormKind name, const QuestionRequest& request, ChatTemplate chat_template,
                                        const ModelProfile& profile) {
  switch (name) {
    case PromptFormKind::kChat:
      if (chat_template == ChatTemplate::kPlain) return NoChatTemplateError();
      return ChatPromptForm();
    case PromptFormKind::kRaw:
      return RawPromptForm();
    case PromptFormKind::kQuestionAnswer:
      return QuestionAnswerPromptForm();
    case PromptFormKind::kCustom:
      if (request.custom_form.chat && chat_template == ChatTemplate::kPlain) return NoChatTemplateError();
      return request.custom_form;
    case PromptFormKind::kProfile:
      if (profile.prompt_form) return *profile.prompt_form;
      return MakeError(absl::StatusCode::kFailedPrecondition,
                       "the model's profile has no prompt form; name another one",
                       {.reason = "NO_PROFILE_FORM", .metadata = {{"field", "prompt_form"}}});
    case PromptFormKind::kDefault:
      break;
  }
  return Internal("unknown prompt form {}", static_cast<int>(name));
}

// Every vocabulary has tokens for visible ASCII.
bool HasTokens(const Tokenizer& tokenizer, const std::string& text) {
  const bool plain = std::any_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
  return plain || !tokenizer.Encode(text).empty();
}

absl::Status CheckPlace(const tome::PromptForm& form, bool given, const char* field) {
  const std::string mark = fmt::format("{{{}}}", field);
  if (!given || HasPlace(form, mark)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument,
      fmt::format("{}: the prompt form has no place for it, no {}; ask without, or with another form", field, mark),
      {.reason = "PROMPT_FORM", .metadata = {{"field", field}}});
}

absl::Status EmptyError(const std::string& message) {
  return MakeError(absl::StatusCode::kInvalidArgument, message,
                   {.reason = "QUESTION_EMPTY", .metadata = {{"field", "question"}}});
}

}  // namespace

absl::StatusOr<ChosenForm> ChooseForm(const QuestionRequest& request, ChatTemplate chat_template,
                                      const ModelProfile& profile) {
  ChosenForm chosen{.name = request.prompt_form};
  if (chosen.name == PromptFormKind::kDefault) chosen.name = DefaultForm(chat_template, profile);
  TOME_ASSIGN_OR_RETURN(chosen.form, FormOf(chosen.name, request, chat_template, profile));
  TOME_RETURN_IF_ERROR(CheckPlace(chosen.form, !request.instruction.empty(), "instruction"));
  TOME_RETURN_IF_ERROR(CheckPlace(chosen.form, !request.turns.empty(), "turns"));
  return chosen;
}

absl::Status CheckQuestionSize(const QuestionRequest& request, std::size_t max_bytes) {
  std::size_t bytes = request.question.size() + request.instruction.size();
  for (const Turn& turn : request.turns) bytes += turn.question.size() + turn.answer.size();
  const tome::PromptForm& form = request.custom_form;
  bytes += form.prompt.size() + form.turn.size() + form.opening.size();
  return CheckTextSize(bytes, max_bytes);
}

absl::Status CheckTextSize(std::size_t bytes, std::size_t max_bytes) {
  if (bytes <= max_bytes) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument,
                   fmt::format("question, instruction, turns and prompt form have {} bytes, at most {} are allowed",
                               bytes, max_bytes),
                   {.reason = "QUESTION_TOO_LONG", .metadata = {{"field", "question"}}});
}

absl::Status CheckQuestionText(const std::string& question, const Tokenizer& tokenizer) {
  if (!IsBlank(question)) return CheckHasTokens(question, tokenizer);
  return EmptyError("expected a question, found only white space and characters that nobody sees");
}

absl::Status CheckHasTokens(const std::string& text, const Tokenizer& tokenizer) {
  if (HasTokens(tokenizer, text)) return absl::OkStatus();
  return EmptyError(
      fmt::format("the model's vocabulary has no token for any of these {} bytes: {}", text.size(), Quote(text)));
}

}  // namespace tome::server
