// Writing of adapters as PEFT keeps them: adapter_config.json and adapter_model.safetensors.
#ifndef TOME_ENGINE_ADAPTER_PEFT_WRITER_H_
#define TOME_ENGINE_ADAPTER_PEFT_WRITER_H_

#include <string>

#include "absl/status/status.h"
#include "engine/adapter/adapter.h"

namespace tome {

struct PeftWriting {
  std::string base_model;  // "base_model_name_or_path"
  double dropout = 0;      // of the training; for the record
  bool bf16 = false;       // tensors in bf16, rounded to nearest; else fp32
};

// Makes the folder where it is missing and writes both files, each aside first and then renamed. The errors are the
// file system's.
absl::Status WritePeftAdapter(const std::string& folder, const AdapterContents& contents, const LlamaConfig& config,
                              const PeftWriting& writing);

// What is written to adapter_config.json.
std::string FormatPeftConfig(const AdapterContents& contents, const PeftWriting& writing);

}  // namespace tome

#endif  // TOME_ENGINE_ADAPTER_PEFT_WRITER_H_
