#include "server/session/prompt.h"

#include <utility>

#include "engine/base/status.h"
#include "server/session/errors.h"

namespace tome::server {
namespace {

using Role = ChatMessage::Role;

absl::StatusOr<Prompt> ChatPrompt(const Tokenizer& tokenizer, ChatTemplate chat_template,
                                  const QuestionRequest& request, bool at_start) {
  std::vector<ChatMessage> messages;
  if (!request.instruction.empty()) messages.push_back({Role::kSystem, request.instruction});
  for (const Turn& turn : request.turns) {
    messages.push_back({Role::kUser, turn.question});
    messages.push_back({Role::kAssistant, turn.answer});
  }
  messages.push_back({Role::kUser, request.question});
  TOME_ASSIGN_OR_RETURN(RenderedChat chat, RenderChat(tokenizer, chat_template, messages, at_start));
  return Prompt{.tokens = std::move(chat.tokens), .stop_tokens = std::move(chat.stop_tokens)};
}

void AddParagraph(const std::string& paragraph, std::string* text) {
  if (paragraph.empty()) return;
  *text += "\n\n";
  *text += paragraph;
}

std::string RawText(const QuestionRequest& request) {
  std::string text;
  AddParagraph(request.instruction, &text);
  for (const Turn& turn : request.turns) {
    AddParagraph(turn.question, &text);
    AddParagraph(turn.answer, &text);
  }
  AddParagraph(request.question, &text);
  return text;
}

std::string QuestionAnswerText(const QuestionRequest& request) {
  std::string text;
  AddParagraph(request.instruction, &text);
  for (const Turn& turn : request.turns) {
    AddParagraph(fmt::format("Question: {}\nAnswer: {}", turn.question, turn.answer), &text);
  }
  AddParagraph(fmt::format("Question: {}\nAnswer:", request.question), &text);
  return text;
}

Prompt TextPrompt(const Tokenizer& tokenizer, std::string text, bool at_start) {
  Prompt prompt;
  if (at_start) {
    text.erase(0, 2);
    if (tokenizer.add_bos() && tokenizer.bos()) prompt.tokens.push_back(*tokenizer.bos());
  }
  for (const TextToken& token : tokenizer.Encode(text)) prompt.tokens.push_back(token.id);
  return prompt;
}

}  // namespace

absl::StatusOr<Prompt> BuildPrompt(const Tokenizer& tokenizer, ChatTemplate chat_template,
                                   const QuestionRequest& request, bool at_start) {
  const bool has_template = chat_template != ChatTemplate::kPlain;
  switch (request.prompt_form) {
    case PromptForm::kDefault:
      if (!has_template) return TextPrompt(tokenizer, RawText(request), at_start);
      return ChatPrompt(tokenizer, chat_template, request, at_start);
    case PromptForm::kChat:
      if (!has_template) return NoChatTemplateError();
      return ChatPrompt(tokenizer, chat_template, request, at_start);
    case PromptForm::kRaw:
      return TextPrompt(tokenizer, RawText(request), at_start);
    case PromptForm::kQuestionAnswer: {
      Prompt prompt = TextPrompt(tokenizer, QuestionAnswerText(request), at_start);
      prompt.stop = {"\n"};
      return prompt;
    }
  }
  return Internal("unknown prompt form {}", static_cast<int>(request.prompt_form));
}

absl::Status NoChatTemplateError() {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   "the model has no chat template; ask with the raw or the question-answer form",
                   {.reason = "NO_CHAT_TEMPLATE"});
}

absl::Status CheckQuestionSize(const QuestionRequest& request, std::size_t max_bytes) {
  std::size_t bytes = request.question.size() + request.instruction.size();
  for (const Turn& turn : request.turns) bytes += turn.question.size() + turn.answer.size();
  if (bytes <= max_bytes) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument,
      fmt::format("question, instruction and turns have {} bytes, at most {} are allowed", bytes, max_bytes),
      {.reason = "QUESTION_TOO_LONG", .metadata = {{"field", "question"}}});
}

}  // namespace tome::server
