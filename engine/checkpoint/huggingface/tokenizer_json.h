// tokenizer.json, the file format of Hugging Face's `tokenizers`.
//
// Two families are read:
//   - byte-level BPE (SmolLM2, Llama 3, GPT-2): pieces in GPT-2's byte alphabet, cut into words by a "ByteLevel"
//     pre-tokenizer, alone or after "Digits" (individual) and "Split" (a regular expression, "Isolated");
//   - BPE of characters with byte fallback over text whose spaces became U+2581 (Llama 2, Mistral): by the normalizers
//     "Prepend" and "Replace", or by the pre-tokenizer "Metaspace".
// Everything that would change tokens and that is not understood (other normalizers and pre-tokenizers, dropout,
// affixes) is refused by name. What has one sure meaning is taken with a warning: ids without a piece, pieces that no
// text makes and the model has no embedding for, merges that stand there twice.
#ifndef TOME_ENGINE_CHECKPOINT_HUGGINGFACE_TOKENIZER_JSON_H_
#define TOME_ENGINE_CHECKPOINT_HUGGINGFACE_TOKENIZER_JSON_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/json_reader.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// kByteLevelBpe or kCharacterBpe. Added tokens are control pieces when special and user-defined ones otherwise. A
// template post-processor that begins with a special token sets bos and add_bos. INVALID_ARGUMENT: "<source>: ...".
absl::StatusOr<TokenizerData> ParseTokenizerJson(std::string_view text, const std::string& source,
                                                 std::int64_t vocab_size);

// Parts of it: the pre_tokenizer of a byte-level BPE, and how a byte-fallback BPE writes spaces. `document` is the
// whole file's object; pieces and merges of `data` are already there.
absl::Status ReadByteLevelPreTokenizer(const JsonFields& document, TokenizerData* data);
absl::Status ReadCharacterRules(const JsonFields& document, TokenizerData* data);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_HUGGINGFACE_TOKENIZER_JSON_H_
