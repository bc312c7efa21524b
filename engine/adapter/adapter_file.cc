#include "engine/adapter/adapter_file.h"

#include <filesystem>
#include <system_error>

#include "engine/adapter/gguf_adapter.h"
#include "engine/adapter/peft_adapter.h"
#include "engine/base/status.h"
#include "engine/files/file_kind.h"
#include "engine/files/mapped_file.h"

namespace tome {

absl::StatusOr<std::shared_ptr<const Adapter>> LoadAdapter(const std::string& path, const LlamaConfig& config) {
  if (path.empty()) return InvalidArgument("adapter path: expected a folder or a GGUF file, found an empty path");
  std::error_code ignored;  // what cannot be examined is reported when it is opened
  if (std::filesystem::is_directory(path, ignored)) return ReadPeftAdapter(path, config);
  TOME_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path));
  if (file->view().substr(0, 4) == "GGUF") return ParseGgufAdapter(file->view(), config, path);
  return InvalidArgument(
      "{}: expected a folder with adapter_config.json and adapter_model.safetensors, or a GGUF adapter, found {}", path,
      DescribeFile(file->view().substr(0, 64)));
}

}  // namespace tome
