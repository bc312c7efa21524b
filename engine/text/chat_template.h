// The prompt forms of chat models. Special tokens are put in by id, message texts as plain text, so nothing that a
// message says can end its turn. Where a model family marks turns with plain text (Llama 2 and the first Mistral
// models:
// "[INST]"), a message that contains such a mark is refused, as Meta's own code does.
#ifndef TOME_ENGINE_TEXT_CHAT_TEMPLATE_H_
#define TOME_ENGINE_TEXT_CHAT_TEMPLATE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/text/tokenizer.h"

namespace tome {

enum class ChatTemplate { kPlain, kChatMl, kLlama2, kLlama3, kMistral };

struct ChatMessage {
  enum class Role { kSystem, kUser, kAssistant };
  Role role = Role::kUser;
  std::string text;
};

// "plain", "chatml", "llama2", "llama3", "mistral"; INVALID_ARGUMENT lists them.
absl::StatusOr<ChatTemplate> ParseChatTemplate(std::string_view name);
std::string_view ChatTemplateName(ChatTemplate chat_template);

// The template that the checkpoint's Jinja source and special tokens show; kPlain when none is recognised.
ChatTemplate DetectChatTemplate(const Tokenizer& tokenizer);

struct RenderedChat {
  std::vector<TokenId> tokens;       // with BOS where the model expects it and `at_start`
  std::vector<TokenId> stop_tokens;  // tokens that end the assistant's turn
};

// The conversation as model input, ending with the opening of the assistant's turn.
// `at_start`: the tokens start the model's input (BOS, a template's default system message); otherwise they follow a
// text that was read before. FAILED_PRECONDITION when the vocabulary lacks a special token that the template needs.
// INVALID_ARGUMENT without messages, for a message that contains a turn mark, and for an order of roles that Llama 2
// and Mistral do not know: theirs is system (optional), then user and assistant in turns, the last one user.
absl::StatusOr<RenderedChat> RenderChat(const Tokenizer& tokenizer, ChatTemplate chat_template,
                                        absl::Span<const ChatMessage> messages, bool at_start);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_CHAT_TEMPLATE_H_
