#include "engine/generation/prompt_form.h"

#include <utility>

#include "engine/base/status.h"

namespace tome {
namespace {

using Mark = std::pair<std::string_view, std::string_view>;  // "{text}" and what to put in

// `paragraph` with all marks replaced in one pass, so that what is put in is never looked at. `empty`: it has marks,
// and none has anything to put in.
std::string Fill(std::string_view paragraph, const std::vector<Mark>& marks, bool* empty) {
  std::string filled;
  bool has_mark = false, has_value = false;
  for (std::size_t i = 0; i < paragraph.size();) {
    const Mark* found = nullptr;
    for (const Mark& mark : marks) {
      if (paragraph.substr(i).starts_with(mark.first)) found = &mark;
    }
    if (found == nullptr) {
      filled.push_back(paragraph[i++]);
      continue;
    }
    has_mark = true;
    has_value = has_value || !found->second.empty();
    filled.append(found->second);
    i += found->first.size();
  }
  *empty = has_mark && !has_value;
  return filled;
}

std::string FillForm(std::string_view form, const std::vector<Mark>& marks) {
  std::string filled;
  while (true) {
    const std::size_t end = form.find("\n\n");
    bool empty = false;
    const std::string paragraph = Fill(form.substr(0, end), marks, &empty);
    if (!empty) {
      if (!filled.empty()) filled += "\n\n";
      filled += paragraph;
    }
    if (end == std::string_view::npos) return filled;
    form.remove_prefix(end + 2);
  }
}

std::string FillTurns(const Question& question) {
  std::string turns;
  for (const auto& [asked, answered] : question.turns) {
    if (!turns.empty()) turns += "\n\n";
    turns += FillForm(question.form.turn, {{"{question}", asked}, {"{answer}", answered}});
  }
  return turns;
}

void AppendTokens(const Tokenizer& tokenizer, std::string_view text, std::vector<TokenId>* tokens) {
  for (const TextToken& token : tokenizer.Encode(text)) tokens->push_back(token.id);
}

absl::StatusOr<FilledPrompt> FillChat(const Model& model, const Question& question, std::string_view text,
                                      bool at_start) {
  if (model.info().chat_template == ChatTemplate::kPlain) {
    return FailedPrecondition("the model has no chat template; ask with the raw or the question-answer form");
  }
  using Role = ChatMessage::Role;
  std::vector<ChatMessage> messages;
  if (!question.instruction.empty()) messages.push_back({Role::kSystem, question.instruction});
  for (const auto& [asked, answered] : question.turns) {
    messages.push_back({Role::kUser, asked});
    messages.push_back({Role::kAssistant, answered});
  }
  messages.push_back({Role::kUser, FillForm(question.form.prompt, {{"{text}", text}, {"{question}", question.text}})});
  TOME_ASSIGN_OR_RETURN(RenderedChat chat,
                        RenderChat(*model.tokenizer(), model.info().chat_template, messages, at_start));
  return FilledPrompt{.tokens = std::move(chat.tokens), .stop_tokens = std::move(chat.stop_tokens)};
}

absl::StatusOr<FilledPrompt> FillText(const Model& model, const Question& question, std::string_view text,
                                      bool at_start) {
  const PromptForm& form = question.form;
  if (!question.instruction.empty() && !HasPlace(form, "{instruction}")) {
    return InvalidArgument("instruction: the prompt form has no place for it, no {{instruction}}");
  }
  if (!question.turns.empty() && !HasPlace(form, "{turns}")) {
    return InvalidArgument("turns: the prompt form has no place for them, no {{turns}}");
  }
  const Tokenizer& tokenizer = *model.tokenizer();
  FilledPrompt filled;
  if (at_start && tokenizer.add_bos() && tokenizer.bos()) filled.tokens.push_back(*tokenizer.bos());
  const std::string turns = FillTurns(question);
  const std::string prompt = FillForm(
      form.prompt,
      {{"{instruction}", question.instruction}, {"{text}", text}, {"{turns}", turns}, {"{question}", question.text}});
  AppendTokens(tokenizer, at_start ? prompt : "\n\n" + prompt, &filled.tokens);
  return filled;
}

}  // namespace

PromptForm RawPromptForm() {
  return {.prompt = "{instruction}\n\n{text}\n\n{turns}\n\n{question}", .turn = "{question}\n\n{answer}"};
}

PromptForm QuestionAnswerPromptForm() {
  return {.prompt = "{instruction}\n\n{text}\n\n{turns}\n\nQuestion: {question}\nAnswer:",
          .turn = "Question: {question}\nAnswer: {answer}",
          .stop = {"\n"}};
}

PromptForm ChatPromptForm() { return {.prompt = "{text}\n\n{question}", .chat = true}; }

bool HasPlace(const PromptForm& form, std::string_view mark) {
  return form.chat || form.prompt.find(mark) != std::string::npos;
}

absl::StatusOr<FilledPrompt> FillPrompt(const Model& model, const Question& question, std::string_view text,
                                        bool at_start) {
  TOME_ASSIGN_OR_RETURN(FilledPrompt filled, question.form.chat ? FillChat(model, question, text, at_start)
                                                                : FillText(model, question, text, at_start));
  AppendTokens(*model.tokenizer(), question.form.opening, &filled.tokens);
  filled.stop = question.form.stop;
  return filled;
}

}  // namespace tome
