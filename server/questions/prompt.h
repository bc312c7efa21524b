// How a question is put to a model.
#ifndef TOME_SERVER_QUESTIONS_PROMPT_H_
#define TOME_SERVER_QUESTIONS_PROMPT_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/base/types.h"

namespace tome::server {

struct ChosenForm {
  PromptFormKind name = PromptFormKind::kRaw;  // never kDefault
  tome::PromptForm form;
};

// The form that `request` asks for, of a model with this chat template and profile.
// FAILED_PRECONDITION/NO_CHAT_TEMPLATE and NO_PROFILE_FORM; INVALID_ARGUMENT/PROMPT_FORM for an instruction or turns
// that the form has no place for.
absl::StatusOr<ChosenForm> ChooseForm(const QuestionRequest& request, ChatTemplate chat_template,
                                      const ModelProfile& profile);

// INVALID_ARGUMENT/QUESTION_TOO_LONG when question, instruction, turns and a custom form have more bytes than
// `max_bytes`.
absl::Status CheckQuestionSize(const QuestionRequest& request, std::size_t max_bytes);

// The same of a text without any of these.
absl::Status CheckTextSize(std::size_t bytes, std::size_t max_bytes);

// INVALID_ARGUMENT/QUESTION_EMPTY for a question in which nothing can be seen, or for which the vocabulary has no
// token.
absl::Status CheckQuestionText(const std::string& question, const Tokenizer& tokenizer);
// The latter alone.
absl::Status CheckHasTokens(const std::string& text, const Tokenizer& tokenizer);

}  // namespace tome::server

#endif  // TOME_SERVER_QUESTIONS_PROMPT_H_
