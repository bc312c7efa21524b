// The tiny model of tiny_model.h in the other formats: the same weights, so the same logits, in three files.
#ifndef TOME_TESTS_SUPPORT_TINY_MODEL_FORMATS_H_
#define TOME_TESTS_SUPPORT_TINY_MODEL_FORMATS_H_

#include <string>

#include "tests/support/gguf_writer.h"
#include "tests/support/tiny_model.h"

namespace tome::testing {

// GGUF with TinyTokenizerJson's tokenizer as "gpt2". Rows of attn_q and attn_k are reordered as llama.cpp's converter
// does. `options.rope_scaling_json`, `num_files` and `tokenizer` are not looked at. Matrices have `options.type`, norms
// are F32.
GgufWriter TinyGguf(const TinyModelOptions& options = {});

// Replaces the tokenizer by a SentencePiece one ("llama") whose pieces are TinyLlama2cVocabulary's.
void SetSentencePieceTokenizer(GgufWriter* writer);

// llama2.c's model file. Needs hidden_size == num_heads * head_dim and the default theta and epsilon.
std::string TinyLlama2c(const TinyModelOptions& options);

// Its vocabulary file with `vocab_size` >= 259 pieces: unknown, BOS, EOS, the 256 bytes, then letters and pairs of
// them.
std::string TinyLlama2cVocabulary(int vocab_size);

}  // namespace tome::testing

#endif  // TOME_TESTS_SUPPORT_TINY_MODEL_FORMATS_H_
