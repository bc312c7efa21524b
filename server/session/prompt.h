// How a question becomes model input.
#ifndef TOME_SERVER_SESSION_PROMPT_H_
#define TOME_SERVER_SESSION_PROMPT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"
#include "server/session/types.h"

namespace tome::server {

struct Prompt {
  std::vector<TokenId> tokens;
  std::vector<TokenId> stop_tokens;
  std::vector<std::string> stop;
};

// The prompt of `request` for a model with this tokenizer and chat template, to follow what the session read.
//   kChat            the template's turns; the instruction is the system message
//   kRaw             "\n\n" instruction "\n\n" question, earlier turns before it
//   kQuestionAnswer  "\n\nQuestion: ...\nAnswer:", ending at "\n"
// `at_start`: nothing was read before, so that the prompt begins with BOS and without the empty line.
// FAILED_PRECONDITION/NO_CHAT_TEMPLATE.
absl::StatusOr<Prompt> BuildPrompt(const Tokenizer& tokenizer, ChatTemplate chat_template,
                                   const QuestionRequest& request, bool at_start);

// FAILED_PRECONDITION/NO_CHAT_TEMPLATE.
absl::Status NoChatTemplateError();

// INVALID_ARGUMENT/QUESTION_TOO_LONG when question, instruction and turns have more bytes than `max_bytes`.
absl::Status CheckQuestionSize(const QuestionRequest& request, std::size_t max_bytes);

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_PROMPT_H_
