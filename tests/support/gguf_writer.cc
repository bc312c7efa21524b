#include "tests/support/gguf_writer.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "engine/files/byte_writer.h"

namespace tome::testing {
namespace {

template <typename T>
std::string Encode(std::uint32_t type, T value) {
  ByteWriter writer;
  writer.Write<std::uint32_t>(type);
  writer.Write<T>(value);
  return std::move(writer).Take();
}

ByteWriter ArrayHeader(std::uint32_t element_type, std::size_t count) {
  ByteWriter writer;
  writer.Write<std::uint32_t>(gguf::kArray);
  writer.Write<std::uint32_t>(element_type);
  writer.Write<std::uint64_t>(count);
  return writer;
}

}  // namespace

void GgufWriter::SetEncoded(std::string_view key, std::string encoded) {
  const auto found = std::find_if(values.begin(), values.end(), [&](const auto& value) { return value.first == key; });
  if (found != values.end()) {
    found->second = std::move(encoded);
  } else {
    values.emplace_back(key, std::move(encoded));
  }
}

void GgufWriter::SetUint32(std::string_view key, std::uint32_t value) { SetEncoded(key, Encode(gguf::kUint32, value)); }
void GgufWriter::SetUint64(std::string_view key, std::uint64_t value) { SetEncoded(key, Encode(gguf::kUint64, value)); }
void GgufWriter::SetFloat(std::string_view key, float value) { SetEncoded(key, Encode(gguf::kFloat32, value)); }
void GgufWriter::SetBool(std::string_view key, bool value) {
  SetEncoded(key, Encode<std::uint8_t>(gguf::kBool, value ? 1 : 0));
}

void GgufWriter::SetString(std::string_view key, std::string_view value) {
  ByteWriter writer;
  writer.Write<std::uint32_t>(gguf::kString);
  writer.WriteString(value);
  SetEncoded(key, std::move(writer).Take());
}

void GgufWriter::SetStrings(std::string_view key, const std::vector<std::string>& items) {
  ByteWriter writer = ArrayHeader(gguf::kString, items.size());
  for (const std::string& item : items) writer.WriteString(item);
  SetEncoded(key, std::move(writer).Take());
}

void GgufWriter::SetFloats(std::string_view key, const std::vector<float>& items) {
  ByteWriter writer = ArrayHeader(gguf::kFloat32, items.size());
  for (const float item : items) writer.Write<float>(item);
  SetEncoded(key, std::move(writer).Take());
}

void GgufWriter::SetInt32s(std::string_view key, const std::vector<std::int32_t>& items) {
  ByteWriter writer = ArrayHeader(gguf::kInt32, items.size());
  for (const std::int32_t item : items) writer.Write<std::int32_t>(item);
  SetEncoded(key, std::move(writer).Take());
}

void GgufWriter::Remove(std::string_view key) {
  std::erase_if(values, [&](const auto& value) { return value.first == key; });
}

GgufWriter::Tensor& GgufWriter::FindTensor(std::string_view name) {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& tensor) { return tensor.name == name; });
  if (found == tensors.end()) {
    std::cerr << "test support: no tensor " << name << std::endl;
    std::abort();
  }
  return *found;
}

void GgufWriter::RemoveTensor(std::string_view name) {
  std::erase_if(tensors, [&](const Tensor& tensor) { return tensor.name == name; });
}

std::string GgufWriter::Bytes() const {
  ByteWriter data;
  std::vector<std::int64_t> offsets;
  for (const Tensor& tensor : tensors) {
    data.Align(alignment);
    offsets.push_back(tensor.offset >= 0 ? tensor.offset : static_cast<std::int64_t>(data.size()));
    data.WriteBytes(tensor.data);
  }
  ByteWriter writer;
  writer.WriteBytes(magic);
  writer.Write<std::uint32_t>(version);
  writer.Write<std::int64_t>(num_tensors >= 0 ? num_tensors : static_cast<std::int64_t>(tensors.size()));
  writer.Write<std::int64_t>(num_values >= 0 ? num_values : static_cast<std::int64_t>(values.size()));
  for (const auto& [key, encoded] : values) {
    writer.WriteString(key);
    writer.WriteBytes(encoded);
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    writer.WriteString(tensors[i].name);
    writer.Write<std::uint32_t>(static_cast<std::uint32_t>(tensors[i].shape.size()));
    for (auto dimension = tensors[i].shape.rbegin(); dimension != tensors[i].shape.rend(); ++dimension) {
      writer.Write<std::int64_t>(*dimension);
    }
    writer.Write<std::uint32_t>(tensors[i].type);
    writer.Write<std::int64_t>(offsets[i]);
  }
  writer.Align(alignment);
  writer.WriteBytes(data.bytes());
  return std::move(writer).Take();
}

}  // namespace tome::testing
