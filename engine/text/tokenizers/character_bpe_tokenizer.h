// BPE of characters with byte fallback, over text whose spaces became U+2581: tokenizer.json of Llama 2 and Mistral.
#ifndef TOME_ENGINE_TEXT_TOKENIZERS_CHARACTER_BPE_TOKENIZER_H_
#define TOME_ENGINE_TEXT_TOKENIZERS_CHARACTER_BPE_TOKENIZER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// Of kind kCharacterBpe. See Tokenizer::Create.
absl::StatusOr<std::shared_ptr<const Tokenizer>> CreateCharacterBpeTokenizer(TokenizerData data);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZERS_CHARACTER_BPE_TOKENIZER_H_
