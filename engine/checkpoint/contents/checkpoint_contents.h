// What each reader makes of its format. The readers parse memory, so that tests and fuzzers need no files.
#ifndef TOME_ENGINE_CHECKPOINT_CONTENTS_CHECKPOINT_CONTENTS_H_
#define TOME_ENGINE_CHECKPOINT_CONTENTS_CHECKPOINT_CONTENTS_H_

#include <string>
#include <vector>

#include "engine/checkpoint/contents/llama_config.h"
#include "engine/checkpoint/contents/tensor_set.h"
#include "engine/text/tokenizer_data.h"

namespace tome {

struct CheckpointContents {
  LlamaConfig config;
  TokenizerData tokenizer;
  TensorMap tensors;                  // Hugging Face's names; data points into the bytes that were parsed
  std::vector<std::string> warnings;  // of configuration and tensors; those of the tokenizer are with it
};

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CONTENTS_CHECKPOINT_CONTENTS_H_
