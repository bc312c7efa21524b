// A GGUF file of architecture "llama" as a checkpoint.
//
// llama.cpp's converter reorders the rows of attn_q and attn_k so that rotary pairs are neighbours; the tensors are
// left so and rope_interleaved is set. Llama 3's rotary factors come as a tensor ("rope_freqs.weight") instead of the
// numbers they were made from: they are recognised as Llama 3's blend and put into rope_scaling, others are refused.
#ifndef TOME_ENGINE_CHECKPOINT_GGUF_GGUF_CHECKPOINT_H_
#define TOME_ENGINE_CHECKPOINT_GGUF_GGUF_CHECKPOINT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/checkpoint_contents.h"
#include "engine/checkpoint/gguf/gguf_file.h"

namespace tome {

// `bytes`: the whole file, which the tensors point into. `source`: its path, for messages. INVALID_ARGUMENT.
absl::StatusOr<CheckpointContents> ReadGguf(std::string_view bytes, const std::string& source);

// The metadata under "tokenizer.", checked against the vocabulary size. kNone when there is none.
absl::StatusOr<TokenizerData> ReadGgufTokenizer(const GgufFile& file, std::int64_t vocab_size);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_GGUF_GGUF_CHECKPOINT_H_
