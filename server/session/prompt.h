// How a question is put to a model.
#ifndef TOME_SERVER_SESSION_PROMPT_H_
#define TOME_SERVER_SESSION_PROMPT_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/session/types.h"

namespace tome::server {

struct ChosenForm {
  PromptForm name = PromptForm::kRaw;  // never kDefault
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

// INVALID_ARGUMENT/QUESTION_EMPTY for a question in which nothing can be seen, and for a question or a text to score
// for which the vocabulary has no token.
absl::Status CheckQuestionText(const QuestionRequest& request, const Tokenizer& tokenizer);

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_PROMPT_H_
