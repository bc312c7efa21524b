// Prompts: forms as data, filled in. See PromptForm in model_profile.h.
#ifndef TOME_ENGINE_GENERATION_PROMPT_FORM_H_
#define TOME_ENGINE_GENERATION_PROMPT_FORM_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/generation/question.h"
#include "engine/model/model.h"

namespace tome {

// The forms that every model has.
PromptForm RawPromptForm();             // text and question after each other
PromptForm QuestionAnswerPromptForm();  // "Question: ...\nAnswer:", ending at a line end
PromptForm ChatPromptForm();            // the model's chat template

// Whether a form puts in what stands for `mark`, "{instruction}" or "{turns}". A chat form always does.
bool HasPlace(const PromptForm& form, std::string_view mark);

struct FilledPrompt {
  std::vector<TokenId> tokens;
  std::vector<TokenId> stop_tokens;
  std::vector<std::string> stop;
};

// The model input for `question` over `text`, which may be empty. `at_start`: it begins the model's input; otherwise it
// follows text that was read before, after an empty line. FAILED_PRECONDITION when the form wants a chat template that
// the model lacks; INVALID_ARGUMENT for an instruction or turns that the form has no place for.
absl::StatusOr<FilledPrompt> FillPrompt(const Model& model, const Question& question, std::string_view text,
                                        bool at_start = true);

}  // namespace tome

#endif  // TOME_ENGINE_GENERATION_PROMPT_FORM_H_
