// GGUF files of low-rank adapters, as llama.cpp's convert_lora_to_gguf.py makes them.
//
// Rows of attn_q and attn_k stand in the order of GGUF models, rotary pairs side by side, and are put into halves
// order. The scale is alpha / rank, and 1 where alpha is 0. The converter keeps neither PEFT's alphas of single modules
// nor the scale of rank-stabilised adapters, nor trained norms: read such adapters from PEFT's own files.
#ifndef TOME_ENGINE_ADAPTER_GGUF_ADAPTER_H_
#define TOME_ENGINE_ADAPTER_GGUF_ADAPTER_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/adapter/adapter.h"

namespace tome {

// `bytes`: the whole file. `source`: its path. INVALID_ARGUMENT that names the tensor or key.
absl::StatusOr<std::shared_ptr<const Adapter>> ParseGgufAdapter(std::string_view bytes, const LlamaConfig& config,
                                                                const std::string& source);

}  // namespace tome

#endif  // TOME_ENGINE_ADAPTER_GGUF_ADAPTER_H_
