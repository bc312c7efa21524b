// What the tests of adapters share.
#ifndef TOME_TESTS_ENGINE_ADAPTER_ADAPTER_TESTS_H_
#define TOME_TESTS_ENGINE_ADAPTER_ADAPTER_TESTS_H_

#include <string>

#include "engine/checkpoint/contents/llama_config.h"

namespace tome::testing {

inline std::string GoldenAdapter(const std::string& name) {
  return std::string(TOME_SOURCE_DIR) + "/tests/golden/adapters/" + name;
}

// Of tests/golden/tiny_llama.
inline LlamaConfig TinyLlamaConfig() {
  LlamaConfig config;
  config.vocab_size = 320;
  config.hidden_size = 64;
  config.num_layers = 2;
  config.num_heads = 8;
  config.num_kv_heads = 2;
  config.head_dim = 16;
  config.ffn_size = 96;
  config.context_length = 64;
  return config;
}

}  // namespace tome::testing

#endif  // TOME_TESTS_ENGINE_ADAPTER_ADAPTER_TESTS_H_
