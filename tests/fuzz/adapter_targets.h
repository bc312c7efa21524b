// The readers of adapters as functions of arbitrary bytes; see checkpoint_targets.h.
#ifndef TOME_TESTS_FUZZ_ADAPTER_TARGETS_H_
#define TOME_TESTS_FUZZ_ADAPTER_TARGETS_H_

#include <vector>

#include "tests/fuzz/checkpoint_targets.h"

namespace tome::testing {

// "peft_adapter" (adapter_config.json with its length, then adapter_model.safetensors) and "gguf_adapter".
const std::vector<FuzzTarget>& AdapterFuzzTargets();

}  // namespace tome::testing

#endif  // TOME_TESTS_FUZZ_ADAPTER_TARGETS_H_
