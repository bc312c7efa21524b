// tokenizer.json, the file format of Hugging Face's `tokenizers`.
//
// Two families are read:
//   - byte-level BPE (SmolLM2, Llama 3, GPT-2): pieces in GPT-2's byte alphabet, cut into words by a "ByteLevel"
//     pre-tokenizer, alone or after "Digits" (individual) and "Split" (a regular expression, "Isolated");
//   - BPE with byte fallback over text whose spaces became U+2581 (Llama 2, Mistral): SentencePiece's algorithm, in
//     which a piece's score is the rank of its first merge. The space that it puts before a text is put before every
//     text, as SentencePiece does; a Metaspace pre-tokenizer leaves it out where the text begins with a space itself.
// Everything that would change tokens and that is not understood (normalizers, dropout, affixes, other pre-tokenizers)
// is refused by name.
#ifndef TOME_ENGINE_CHECKPOINT_TOKENIZER_JSON_H_
#define TOME_ENGINE_CHECKPOINT_TOKENIZER_JSON_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/checkpoint/json_reader.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

// kByteLevelBpe or kSentencePieceBpe. Added tokens are control pieces when special and user-defined ones otherwise. A
// template post-processor that begins with a special token sets bos and add_bos. INVALID_ARGUMENT: "<source>: ...".
absl::StatusOr<TokenizerData> ParseTokenizerJson(std::string_view text, const std::string& source,
                                                 std::int64_t vocab_size);

// Parts of it: the pre_tokenizer of a byte-level BPE, and what makes a byte-fallback BPE a SentencePiece one.
// `document` is the whole file's object; pieces and merges of `data` are already there.
absl::Status ReadByteLevelPreTokenizer(const JsonFields& document, TokenizerData* data);
absl::Status ConvertToSentencePiece(const JsonFields& document, TokenizerData* data);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_TOKENIZER_JSON_H_
