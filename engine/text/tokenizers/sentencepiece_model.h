// SentencePiece's ModelProto (a tokenizer.model file), read and written without Protobuf's generated code.
#ifndef TOME_ENGINE_TEXT_TOKENIZERS_SENTENCEPIECE_MODEL_H_
#define TOME_ENGINE_TEXT_TOKENIZERS_SENTENCEPIECE_MODEL_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// Replaces data->sentencepiece_model by what it says: pieces, add_dummy_prefix, and bos, eos, unknown where they are
// absent; the kind becomes kSentencePieceBpe. INVALID_ARGUMENT for a damaged model and for one that is not BPE or
// changes the text before it is cut (Unicode normalization, removal of white space), naming the field.
absl::Status ExpandSentencePieceModel(TokenizerData* data);

// A ModelProto with these pieces that cuts a text as it stands: BPE, no dummy prefix, nothing normalized.
std::string SerializeSentencePieceModel(const std::vector<TokenizerPiece>& pieces);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZERS_SENTENCEPIECE_MODEL_H_
