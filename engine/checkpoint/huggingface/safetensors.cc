#include "engine/checkpoint/huggingface/safetensors.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/contents/json_reader.h"
#include "engine/files/byte_reader.h"

namespace tome {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 16 << 20;  // ten times what 1,024 layers need
constexpr std::size_t kMaxDimensions = 8;

struct Entry {
  std::string name;
  CheckpointTensor tensor;
  std::uint64_t begin = 0, end = 0;  // in the data
};

absl::StatusOr<TensorType> ReadType(const JsonFields& fields) {
  TOME_ASSIGN_OR_RETURN(const std::string type, fields.String("dtype"));
  for (const TensorType known : {TensorType::kF32, TensorType::kF16, TensorType::kBF16}) {
    if (TensorTypeName(known) == type) return known;
  }
  return fields.Unexpected("dtype", "F32, F16 or BF16");
}

absl::StatusOr<std::vector<std::int64_t>> ReadIntegers(const JsonFields& fields, const std::string& name,
                                                       std::size_t min_size, std::size_t max_size) {
  const std::string expected = fmt::format("an array of {} to {} integers from 0", min_size, max_size);
  const nlohmann::json* array = fields.Find(name);
  if (array == nullptr || !array->is_array()) return fields.Unexpected(name, expected);
  constexpr auto kMaximum = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::vector<std::int64_t> integers;
  for (const nlohmann::json& item : *array) {
    // The parser makes every integer from 0 unsigned.
    if (!item.is_number_unsigned() || item.get<std::uint64_t>() > kMaximum || integers.size() == max_size) {
      return fields.Unexpected(name, expected);
    }
    integers.push_back(item.get<std::int64_t>());
  }
  if (integers.size() < min_size) return fields.Unexpected(name, expected);
  return integers;
}

absl::StatusOr<Entry> ReadEntry(const std::string& name, const nlohmann::json& value, std::string_view data,
                                const std::string& source) {
  const std::string place = fmt::format("{}: tensor {}", source, Quote(name));
  if (!value.is_object()) return InvalidArgument("{}: expected an object, found {}", place, DescribeJson(value));
  const JsonFields fields(value, place);
  Entry entry{name};
  TOME_ASSIGN_OR_RETURN(entry.tensor.type, ReadType(fields));
  TOME_ASSIGN_OR_RETURN(entry.tensor.shape, ReadIntegers(fields, "shape", 0, kMaxDimensions));
  TOME_ASSIGN_OR_RETURN(const auto offsets, ReadIntegers(fields, "data_offsets", 2, 2));
  entry.begin = static_cast<std::uint64_t>(offsets[0]);
  entry.end = static_cast<std::uint64_t>(offsets[1]);
  if (entry.begin > entry.end || entry.end > data.size()) {
    return InvalidArgument(
        "{}: field 'data_offsets': expected an ascending range in the {} bytes of data, found {} to {}", place,
        data.size(), entry.begin, entry.end);
  }
  TOME_ASSIGN_OR_RETURN(const auto bytes, TensorBytes(entry.tensor.type, entry.tensor.shape, place));
  if (entry.end - entry.begin != bytes) {
    return InvalidArgument("{}: expected {} bytes for type {} and shape {}, found {}", place, bytes,
                           TensorTypeName(entry.tensor.type), ShapeText(entry.tensor.shape), entry.end - entry.begin);
  }
  entry.tensor.data = {reinterpret_cast<const std::byte*>(data.data() + entry.begin), bytes};
  return entry;
}

}  // namespace

absl::StatusOr<TensorMap> ParseSafetensors(std::string_view bytes, const std::string& source) {
  ByteReader reader(bytes, source);
  TOME_ASSIGN_OR_RETURN(const auto header_bytes, reader.Read<std::uint64_t>("header size"));
  if (header_bytes > kMaxHeaderBytes) {
    return InvalidArgument("{}: header size: expected at most {}, found {}", source, kMaxHeaderBytes, header_bytes);
  }
  TOME_ASSIGN_OR_RETURN(const auto header_text, reader.ReadBytes(header_bytes, "header"));
  TOME_ASSIGN_OR_RETURN(const auto header, ParseJsonObject(header_text, source + ": header"));
  const std::string_view data = bytes.substr(reader.offset());

  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") continue;
    TOME_ASSIGN_OR_RETURN(Entry entry, ReadEntry(name, value, data, source));
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.begin < b.begin; });
  TensorMap tensors;
  std::uint64_t previous_end = 0;
  for (Entry& entry : entries) {
    if (entry.begin != previous_end) {
      return InvalidArgument("{}: tensor {}: expected its data to begin where the tensor before ends, at {}, found {}",
                             source, Quote(entry.name), previous_end, entry.begin);
    }
    previous_end = entry.end;
    tensors.emplace(std::move(entry.name), std::move(entry.tensor));
  }
  if (previous_end != data.size()) {
    return InvalidArgument("{}: expected {} bytes of data for its tensors, found {}", source, previous_end,
                           data.size());
  }
  return tensors;
}

absl::StatusOr<std::map<std::string, std::string>> ParseSafetensorsIndex(std::string_view text,
                                                                         const std::string& source) {
  TOME_ASSIGN_OR_RETURN(const nlohmann::json document, ParseJsonObject(text, source));
  const JsonFields fields(document, source);
  const nlohmann::json* weight_map = fields.Find("weight_map");
  if (weight_map == nullptr || !weight_map->is_object()) return fields.Unexpected("weight_map", "an object");
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : weight_map->items()) {
    if (!file.is_string() || file == "" || file == "." || file == ".." ||
        file.get_ref<const std::string&>().find_first_of(std::string_view("/\0", 2)) != std::string::npos) {
      return InvalidArgument("{}: weight_map: {}: expected the name of a file in this folder, found {}", source,
                             Quote(tensor), DescribeJson(file));
    }
    files.emplace(tensor, file.get<std::string>());
  }
  return files;
}

}  // namespace tome
