#include <utility>

#include "engine/base/status.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tokenizers/byte_level_tokenizer.h"
#include "engine/text/tokenizers/character_bpe_tokenizer.h"
#include "engine/text/tokenizers/sentencepiece_tokenizer.h"

namespace tome {

absl::StatusOr<std::shared_ptr<const Tokenizer>> Tokenizer::Create(TokenizerData data) {
  switch (data.kind) {
    case TokenizerKind::kSentencePieceModel:
    case TokenizerKind::kSentencePieceBpe:
      return CreateSentencePieceTokenizer(std::move(data));
    case TokenizerKind::kByteLevelBpe:
      return CreateByteLevelTokenizer(std::move(data));
    case TokenizerKind::kCharacterBpe:
      return CreateCharacterBpeTokenizer(std::move(data));
    case TokenizerKind::kNone:
      break;
  }
  return InvalidArgument("{}: it carries no tokenizer", data.source);
}

}  // namespace tome
