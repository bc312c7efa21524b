// SentencePiece BPE: the library's tokens, from texts that arrive in pieces.
#ifndef TOME_ENGINE_TEXT_TOKENIZERS_SENTENCEPIECE_TOKENIZER_H_
#define TOME_ENGINE_TEXT_TOKENIZERS_SENTENCEPIECE_TOKENIZER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// Tokenizer::Create for data of the kinds kSentencePieceModel and kSentencePieceBpe.
absl::StatusOr<std::shared_ptr<const Tokenizer>> CreateSentencePieceTokenizer(TokenizerData data);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZERS_SENTENCEPIECE_TOKENIZER_H_
