#include "engine/text/chat_template.h"

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <utility>

#include "engine/base/status.h"

namespace tome {
namespace {

struct NamedTemplate {
  ChatTemplate chat_template;
  std::string_view name;
};
constexpr NamedTemplate kTemplates[] = {{ChatTemplate::kPlain, "plain"},
                                        {ChatTemplate::kChatMl, "chatml"},
                                        {ChatTemplate::kLlama2, "llama2"},
                                        {ChatTemplate::kLlama3, "llama3"},
                                        {ChatTemplate::kMistral, "mistral"}};

using Messages = absl::Span<const ChatMessage>;

std::string_view RoleName(ChatMessage::Role role) {
  switch (role) {
    case ChatMessage::Role::kSystem:
      return "system";
    case ChatMessage::Role::kUser:
      return "user";
    case ChatMessage::Role::kAssistant:
      break;
  }
  return "assistant";
}

std::string_view Strip(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

// Collects a prompt. Text between two special tokens is tokenized as one.
class Prompt {
 public:
  explicit Prompt(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void Text(std::string_view text) { text_ += text; }
  void Special(TokenId id) {
    Flush(id);
    before_ = id;
    chat_.tokens.push_back(id);
  }
  // BOS where the model's input begins with it, and the template does not say so: what follows begins a text.
  void Begin(bool at_start) {
    if (at_start && tokenizer_.add_bos() && tokenizer_.bos()) chat_.tokens.push_back(*tokenizer_.bos());
  }
  void StopAt(std::optional<TokenId> id) {
    auto& stops = chat_.stop_tokens;
    if (id && std::find(stops.begin(), stops.end(), *id) == stops.end()) stops.push_back(*id);
  }
  RenderedChat Take() && {
    Flush(std::nullopt);
    return std::move(chat_);
  }

 private:
  void Flush(std::optional<TokenId> after) {
    for (const TokenId id : tokenizer_.EncodeBetween(before_, text_, after)) chat_.tokens.push_back(id);
    text_.clear();
  }

  const Tokenizer& tokenizer_;
  std::optional<TokenId> before_;
  std::string text_;
  RenderedChat chat_;
};

absl::Status RefuseMarks(Messages messages, std::initializer_list<std::string_view> marks) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    for (const std::string_view mark : marks) {
      if (messages[i].text.find(mark) == std::string::npos) continue;
      return InvalidArgument("message {}: '{}' marks turns in this model's prompts, so it cannot be part of a message",
                             i, mark);
    }
  }
  return absl::OkStatus();
}

// A token that marks turns. Where the vocabulary has it as one that text can make, no message may have that text.
absl::StatusOr<TokenId> NeedMark(const Tokenizer& tokenizer, ChatTemplate chat_template, std::string_view text,
                                 Messages messages) {
  const std::optional<TokenId> id = tokenizer.FindAdded(text);
  if (id && !tokenizer.IsSpecial(*id)) TOME_RETURN_IF_ERROR(RefuseMarks(messages, {text}));
  if (id) return *id;
  return FailedPrecondition("chat template '{}' needs the special token '{}', which the model's vocabulary lacks",
                            ChatTemplateName(chat_template), text);
}

// The tokens that begin and end a text, of the families whose turns end with the end of a text.
struct TextEnds {
  TokenId bos;
  TokenId eos;
};
absl::StatusOr<TextEnds> NeedTextEnds(const Tokenizer& tokenizer, ChatTemplate chat_template) {
  if (tokenizer.bos() && tokenizer.eos()) return TextEnds{*tokenizer.bos(), *tokenizer.eos()};
  return FailedPrecondition("chat template '{}' needs the tokens BOS and EOS, which the model does not name",
                            ChatTemplateName(chat_template));
}

// Turns of the families that know no system role: the system's text is taken out, the rest must alternate.
struct Turns {
  std::string_view system;
  bool has_system = false;
  Messages turns;
};
absl::StatusOr<Turns> AlternatingTurns(Messages messages) {
  Turns result;
  result.turns = messages;
  if (messages.front().role == ChatMessage::Role::kSystem) {
    result.system = messages.front().text;
    result.has_system = true;
    result.turns.remove_prefix(1);
  }
  for (std::size_t i = 0; i < result.turns.size(); ++i) {
    const auto expected = i % 2 == 0 ? ChatMessage::Role::kUser : ChatMessage::Role::kAssistant;
    if (result.turns[i].role == expected) continue;
    return InvalidArgument("message {}: expected a message of the {}, found one of the {}",
                           i + (result.has_system ? 1 : 0), RoleName(expected), RoleName(result.turns[i].role));
  }
  if (result.turns.size() % 2 == 0) return InvalidArgument("messages: the last one must be the user's");
  return result;
}

// The system message that a ChatML template begins with when the conversation has none: in its Jinja source it stands
// between "<|im_start|>system\n" and "<|im_end|>" in one string literal. Empty when there is none.
std::string DefaultSystemMessage(const std::string& jinja) {
  for (const std::string_view opening : {"<|im_start|>system\n", "<|im_start|>system\\n"}) {
    const std::size_t found = jinja.find(opening);
    if (found == std::string::npos) continue;
    const std::size_t begin = found + opening.size();
    const std::size_t end = jinja.find("<|im_end|>", begin);
    if (end == std::string::npos) continue;
    std::string message = jinja.substr(begin, end - begin);
    if (message.find_first_of("'\"\\{}") == std::string::npos) return message;
  }
  return "";
}

RenderedChat RenderPlain(const Tokenizer& tokenizer, Messages messages, bool at_start) {
  Prompt prompt(tokenizer);
  prompt.Begin(at_start);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (i > 0) prompt.Text("\n\n");
    prompt.Text(messages[i].text);
  }
  prompt.StopAt(tokenizer.eos());
  return std::move(prompt).Take();
}

absl::StatusOr<RenderedChat> RenderChatMl(const Tokenizer& tokenizer, Messages messages, bool at_start) {
  TOME_ASSIGN_OR_RETURN(const TokenId start, NeedMark(tokenizer, ChatTemplate::kChatMl, "<|im_start|>", messages));
  TOME_ASSIGN_OR_RETURN(const TokenId end, NeedMark(tokenizer, ChatTemplate::kChatMl, "<|im_end|>", messages));
  Prompt prompt(tokenizer);
  prompt.Begin(at_start);
  const auto turn = [&](std::string_view role, std::string_view text) {
    prompt.Special(start);
    prompt.Text(fmt::format("{}\n{}", role, text));
    prompt.Special(end);
    prompt.Text("\n");
  };
  const std::string system = DefaultSystemMessage(tokenizer.chat_template_source());
  if (at_start && !system.empty() && messages.front().role != ChatMessage::Role::kSystem) turn("system", system);
  for (const ChatMessage& message : messages) turn(RoleName(message.role), message.text);
  prompt.Special(start);
  prompt.Text("assistant\n");
  prompt.StopAt(end);
  prompt.StopAt(tokenizer.eos());
  prompt.StopAt(tokenizer.FindAdded("<|endoftext|>"));
  return std::move(prompt).Take();
}

absl::StatusOr<RenderedChat> RenderLlama2(const Tokenizer& tokenizer, Messages messages, bool at_start) {
  TOME_ASSIGN_OR_RETURN(const TextEnds ends, NeedTextEnds(tokenizer, ChatTemplate::kLlama2));
  TOME_RETURN_IF_ERROR(RefuseMarks(messages, {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"}));
  TOME_ASSIGN_OR_RETURN(const Turns conversation, AlternatingTurns(messages));
  Prompt prompt(tokenizer);
  for (std::size_t i = 0; i < conversation.turns.size(); ++i) {
    const std::string_view text = conversation.turns[i].text;
    if (conversation.turns[i].role == ChatMessage::Role::kAssistant) {
      prompt.Text(fmt::format(" {} ", Strip(text)));
      prompt.Special(ends.eos);
      continue;
    }
    std::string content(text);
    if (i == 0 && conversation.has_system) {
      content = fmt::format("<<SYS>>\n{}\n<</SYS>>\n\n{}", conversation.system, text);
    }
    if (i > 0 || at_start) prompt.Special(ends.bos);
    prompt.Text(fmt::format("[INST] {} [/INST]", Strip(content)));
  }
  prompt.StopAt(ends.eos);
  return std::move(prompt).Take();
}

absl::StatusOr<RenderedChat> RenderLlama3(const Tokenizer& tokenizer, Messages messages, bool at_start) {
  constexpr ChatTemplate kThis = ChatTemplate::kLlama3;
  TOME_ASSIGN_OR_RETURN(const TokenId header, NeedMark(tokenizer, kThis, "<|start_header_id|>", messages));
  TOME_ASSIGN_OR_RETURN(const TokenId header_end, NeedMark(tokenizer, kThis, "<|end_header_id|>", messages));
  TOME_ASSIGN_OR_RETURN(const TokenId turn_end, NeedMark(tokenizer, kThis, "<|eot_id|>", messages));
  Prompt prompt(tokenizer);
  if (at_start && tokenizer.bos()) prompt.Special(*tokenizer.bos());
  const auto open = [&](std::string_view role) {
    prompt.Special(header);
    prompt.Text(role);
    prompt.Special(header_end);
    prompt.Text("\n\n");
  };
  for (const ChatMessage& message : messages) {
    open(RoleName(message.role));
    prompt.Text(Strip(message.text));
    prompt.Special(turn_end);
  }
  open("assistant");
  prompt.StopAt(turn_end);
  prompt.StopAt(tokenizer.eos());
  prompt.StopAt(tokenizer.FindAdded("<|end_of_text|>"));
  prompt.StopAt(tokenizer.FindAdded("<|eom_id|>"));
  return std::move(prompt).Take();
}

absl::StatusOr<RenderedChat> RenderMistral(const Tokenizer& tokenizer, Messages messages, bool at_start) {
  TOME_ASSIGN_OR_RETURN(const TextEnds ends, NeedTextEnds(tokenizer, ChatTemplate::kMistral));
  // Later vocabularies have special tokens for the marks.
  const std::optional<TokenId> open = tokenizer.FindAdded("[INST]"), close = tokenizer.FindAdded("[/INST]");
  const bool has_marks = open && close;
  const bool are_special = has_marks && tokenizer.IsSpecial(*open) && tokenizer.IsSpecial(*close);
  if (!are_special) TOME_RETURN_IF_ERROR(RefuseMarks(messages, {"[INST]", "[/INST]"}));
  TOME_ASSIGN_OR_RETURN(const Turns conversation, AlternatingTurns(messages));
  Prompt prompt(tokenizer);
  if (at_start) prompt.Special(ends.bos);
  for (std::size_t i = 0; i < conversation.turns.size(); ++i) {
    const std::string_view text = conversation.turns[i].text;
    if (conversation.turns[i].role == ChatMessage::Role::kAssistant) {
      prompt.Text(has_marks ? std::string(text) : fmt::format(" {}", text));
      prompt.Special(ends.eos);
      continue;
    }
    const std::string content =
        i == 0 && conversation.has_system ? fmt::format("{}\n\n{}", conversation.system, text) : std::string(text);
    if (has_marks) {
      prompt.Special(*open);
      prompt.Text(content);
      prompt.Special(*close);
    } else {
      prompt.Text(fmt::format("[INST] {} [/INST]", content));
    }
  }
  prompt.StopAt(ends.eos);
  return std::move(prompt).Take();
}

}  // namespace

absl::StatusOr<ChatTemplate> ParseChatTemplate(std::string_view name) {
  std::string names;
  for (const NamedTemplate& entry : kTemplates) {
    if (entry.name == name) return entry.chat_template;
    names += names.empty() ? "" : ", ";
    names += entry.name;
  }
  return InvalidArgument("chat template: expected one of {}; found '{}'", names, name);
}

std::string_view ChatTemplateName(ChatTemplate chat_template) {
  for (const NamedTemplate& entry : kTemplates) {
    if (entry.chat_template == chat_template) return entry.name;
  }
  return "unknown";
}

ChatTemplate DetectChatTemplate(const Tokenizer& tokenizer) {
  const std::string& jinja = tokenizer.chat_template_source();
  const auto uses = [&](std::string_view text) { return jinja.find(text) != std::string::npos; };
  const auto uses_special = [&](std::string_view text) { return uses(text) && tokenizer.FindAdded(text).has_value(); };
  if (uses_special("<|im_start|>") && tokenizer.FindAdded("<|im_end|>")) return ChatTemplate::kChatMl;
  if (uses_special("<|start_header_id|>") && tokenizer.FindAdded("<|eot_id|>")) return ChatTemplate::kLlama3;
  if (uses("[INST]") && uses("<<SYS>>")) return ChatTemplate::kLlama2;
  if (uses("[INST]")) return ChatTemplate::kMistral;
  return ChatTemplate::kPlain;
}

absl::StatusOr<RenderedChat> RenderChat(const Tokenizer& tokenizer, ChatTemplate chat_template,
                                        absl::Span<const ChatMessage> messages, bool at_start) {
  if (messages.empty()) return InvalidArgument("messages: expected at least one, found none");
  switch (chat_template) {
    case ChatTemplate::kPlain:
      return RenderPlain(tokenizer, messages, at_start);
    case ChatTemplate::kChatMl:
      return RenderChatMl(tokenizer, messages, at_start);
    case ChatTemplate::kLlama2:
      return RenderLlama2(tokenizer, messages, at_start);
    case ChatTemplate::kLlama3:
      return RenderLlama3(tokenizer, messages, at_start);
    case ChatTemplate::kMistral:
      return RenderMistral(tokenizer, messages, at_start);
  }
  return InvalidArgument("chat template: {} is not one", static_cast<int>(chat_template));
}

}  // namespace tome
