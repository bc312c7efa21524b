// Byte-level BPE, equal to Hugging Face's `tokenizers` token for token.
#ifndef TOME_ENGINE_TEXT_TOKENIZERS_BYTE_LEVEL_TOKENIZER_H_
#define TOME_ENGINE_TEXT_TOKENIZERS_BYTE_LEVEL_TOKENIZER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// Tokenizer::Create for data of kind kByteLevelBpe.
absl::StatusOr<std::shared_ptr<const Tokenizer>> CreateByteLevelTokenizer(TokenizerData data);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZERS_BYTE_LEVEL_TOKENIZER_H_
