#include "engine/checkpoint/huggingface/safetensors_writer.h"

#include <bit>
#include <cmath>
#include <string_view>

#include "engine/base/status.h"
#include "engine/files/byte_writer.h"
#include "engine/files/file_replacement.h"
#include "nlohmann/json.hpp"

namespace tome {
namespace {

std::uint16_t RoundToBFloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

std::string Header(absl::Span<const TensorToWrite> tensors, TensorType type) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t begin = 0;
  for (const TensorToWrite& tensor : tensors) {
    auto bytes = static_cast<std::uint64_t>(GetBlockLayout(type).bytes);
    for (const std::int64_t size : tensor.shape) bytes *= static_cast<std::uint64_t>(size);
    header[tensor.name] = {
        {"dtype", TensorTypeName(type)}, {"shape", tensor.shape}, {"data_offsets", {begin, begin + bytes}}};
    begin += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  ByteWriter writer;
  writer.WriteString(text);
  return std::move(writer).Take();
}

std::string Encode(const std::vector<float>& values, TensorType type) {
  if (type == TensorType::kF32) {
    return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  }
  std::vector<std::uint16_t> rounded;
  rounded.reserve(values.size());
  for (const float value : values) rounded.push_back(RoundToBFloat16(value));
  return std::string(reinterpret_cast<const char*>(rounded.data()), rounded.size() * sizeof(std::uint16_t));
}

}  // namespace

absl::Status WriteSafetensors(const std::string& path, absl::Span<const TensorToWrite> tensors, TensorType type) {
  TOME_ASSIGN_OR_RETURN(const auto file, FileReplacement::Begin(path));
  TOME_RETURN_IF_ERROR(file->Write(Header(tensors, type)));
  for (const TensorToWrite& tensor : tensors) TOME_RETURN_IF_ERROR(file->Write(Encode(tensor.values(), type)));
  return file->Commit();
}

}  // namespace tome
