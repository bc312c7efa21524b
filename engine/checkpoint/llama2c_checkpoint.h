// llama2.c's own files: seven integers and fp32 weights, and a vocabulary of scored pieces.
#ifndef TOME_ENGINE_CHECKPOINT_LLAMA2C_CHECKPOINT_H_
#define TOME_ENGINE_CHECKPOINT_LLAMA2C_CHECKPOINT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/checkpoint_contents.h"

namespace tome {

// The model file (the legacy format, "version 0"), whole and of exactly the size that its header calls for. Rotary
// pairs are neighbours; the rotary tables in the file are skipped, since they follow from the config. The tokenizer is
// left empty. INVALID_ARGUMENT.
absl::StatusOr<CheckpointContents> ReadLlama2c(std::string_view bytes, const std::string& source);

// The vocabulary file ("tokenizer.bin") for a model with this vocabulary size: kSentencePieceBpe with byte fallback,
// pieces 0 to 2 the unknown token, BOS and EOS. INVALID_ARGUMENT.
absl::StatusOr<TokenizerData> ReadLlama2cTokenizer(std::string_view bytes, const std::string& source,
                                                   std::int64_t vocab_size);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_LLAMA2C_CHECKPOINT_H_
