// The readers of checkpoints as functions of arbitrary bytes: what libFuzzer calls, and a mutation test in the default
// suite.
#ifndef TOME_TESTS_FUZZ_CHECKPOINT_TARGETS_H_
#define TOME_TESTS_FUZZ_CHECKPOINT_TARGETS_H_

#include <string>
#include <string_view>
#include <vector>

namespace tome::testing {

struct FuzzTarget {
  std::string_view name;
  // Feeds the bytes to the reader. Ends the program when the reader breaks a promise: an error without a place or of
  // another kind than INVALID_ARGUMENT, or a tensor that is not the size its shape says or not within the bytes.
  // Returns whether the reader took them.
  bool (*run)(std::string_view bytes);
  // Sound inputs to mutate.
  std::vector<std::string> (*seeds)();
};

// "gguf", "safetensors", "huggingface" (a folder's config.json and weights in one input), "config_json",
// "tokenizer_json", "llama2c", "llama2c_vocabulary".
const std::vector<FuzzTarget>& CheckpointFuzzTargets();

}  // namespace tome::testing

#endif  // TOME_TESTS_FUZZ_CHECKPOINT_TARGETS_H_
