// How questions are put to a model.
#ifndef TOME_ENGINE_MODEL_PROFILES_PROMPT_FORM_H_
#define TOME_ENGINE_MODEL_PROFILES_PROMPT_FORM_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace tome {

// How text and question become the model's input, as data. In `prompt` the marks {instruction}, {text}, {turns} and
// {question} are replaced; a paragraph (a part between empty lines) whose marks all have nothing to put in is left out.
// Each earlier turn becomes `turn` with {question} and {answer}. Examples are paragraphs without marks.
struct PromptForm {
  std::string prompt;
  std::string turn;
  // `prompt` is the user's last message of the model's chat template; instruction and turns are messages of their own.
  bool chat = false;
  std::string opening;            // the first words of the answer, given to the model and no part of what it answers
  std::vector<std::string> stop;  // texts that end the answer

  friend bool operator==(const PromptForm&, const PromptForm&) = default;
};
// INVALID_ARGUMENT unless `prompt` has {text} and {question} and no mark but those above (of a chat form: no other
// one), `turn` has {question} and {answer} just when `prompt` has {turns}, all is UTF-8, prompt and turn have at most
// 16,384 bytes, the opening at most 1,024, and there are at most 16 stop texts of 1 to 256 bytes.
absl::Status ValidatePromptForm(const PromptForm& form);

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_PROFILES_PROMPT_FORM_H_
