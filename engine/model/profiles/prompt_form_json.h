// Prompt forms in a profile's JSON: {"prompt": ..., "turn": ..., "chat": ..., "opening": ..., "stop": [...]}. All but
// `prompt` may be left out.
#ifndef TOME_ENGINE_MODEL_PROFILES_PROMPT_FORM_JSON_H_
#define TOME_ENGINE_MODEL_PROFILES_PROMPT_FORM_JSON_H_

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "engine/model/profiles/prompt_form.h"

namespace tome {

// A valid form. INVALID_ARGUMENT begins with `where`.
absl::StatusOr<PromptForm> PromptFormFromJson(const nlohmann::json& json, const std::string& where);
nlohmann::json PromptFormToJson(const PromptForm& form);

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_PROFILES_PROMPT_FORM_JSON_H_
