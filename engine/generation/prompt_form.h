// Prompts for text that is read again: forms as data, filled in. See PromptForm in model_profile.h.
#ifndef TOME_ENGINE_GENERATION_PROMPT_FORM_H_
#define TOME_ENGINE_GENERATION_PROMPT_FORM_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace tome {

// The forms that every model has.
PromptForm RawPromptForm();             // text and question after each other
PromptForm QuestionAnswerPromptForm();  // "Question: ...\nAnswer:", ending at a line end
PromptForm ChatPromptForm();            // the model's chat template

struct FilledPrompt {
  std::vector<TokenId> tokens;
  std::vector<TokenId> stop_tokens;
  std::vector<std::string> stop;
};

// The model input for `question` over `text`. FAILED_PRECONDITION when the form wants a chat template that the model
// lacks.
absl::StatusOr<FilledPrompt> FillPrompt(const Model& model, const Question& question, std::string_view text);

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_PROMPT_FORM_H_
