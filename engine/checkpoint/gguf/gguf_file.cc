#include "engine/checkpoint/gguf/gguf_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"

namespace tome {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr std::uint64_t kMaxDimensions = 4;
constexpr std::uint64_t kMaxAlignment = 1 << 20;
constexpr std::string_view kAlignmentKey = "general.alignment";

// Smallest encodings: a key's length, a type and a byte; a name's length, the dimension count, a type, an offset.
constexpr std::uint64_t kMinValueBytes = 8 + 4 + 1;
constexpr std::uint64_t kMinTensorInfoBytes = 8 + 4 + 4 + 8;

// Bytes of a fixed-size type; 0 for strings, arrays and numbers that are no type.
std::uint64_t FixedBytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return 0;
}

std::string TypeName(GgufType type) {
  constexpr std::string_view kNames[] = {"uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
                                         "bool",  "string", "array",  "uint64", "int64",  "float64"};
  return std::string(kNames[static_cast<std::size_t>(type)]);
}

// ggml's numbering. Types without an entry here are not read.
struct GgmlType {
  std::uint32_t number;
  TensorType type;
};
constexpr GgmlType kGgmlTypes[] = {
    {0, TensorType::kF32},   {1, TensorType::kF16},   {2, TensorType::kQ4_0},  {3, TensorType::kQ4_1},
    {6, TensorType::kQ5_0},  {7, TensorType::kQ5_1},  {8, TensorType::kQ8_0},  {12, TensorType::kQ4_K},
    {13, TensorType::kQ5_K}, {14, TensorType::kQ6_K}, {30, TensorType::kBF16},
};

std::string UnknownTensorType(std::uint32_t number) {
  switch (number) {
    case 9:
      return "Q8_1 (9)";
    case 10:
      return "Q2_K (10)";
    case 11:
      return "Q3_K (11)";
    case 15:
      return "Q8_K (15)";
    case 20:
      return "IQ4_NL (20)";
    case 23:
      return "IQ4_XS (23)";
    default:
      return fmt::format("type number {}", number);
  }
}

std::string KnownTensorTypes() {
  std::string names;
  for (const GgmlType& known : kGgmlTypes) {
    if (!names.empty()) names += ", ";
    names += TensorTypeName(known.type);
  }
  return names;
}

template <typename T>
T Decode(std::string_view data) {
  T value;
  std::memcpy(&value, data.data(), sizeof(T));
  return value;
}

std::optional<std::int64_t> WholeNumber(double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (std::trunc(value) != value || std::abs(value) > kExact) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

// The value of any number without a fraction; none for other types and for numbers above the signed range.
std::optional<std::int64_t> DecodeInteger(GgufType type, std::string_view data) {
  switch (type) {
    case GgufType::kUint8:
      return Decode<std::uint8_t>(data);
    case GgufType::kInt8:
      return Decode<std::int8_t>(data);
    case GgufType::kUint16:
      return Decode<std::uint16_t>(data);
    case GgufType::kInt16:
      return Decode<std::int16_t>(data);
    case GgufType::kUint32:
      return Decode<std::uint32_t>(data);
    case GgufType::kInt32:
      return Decode<std::int32_t>(data);
    case GgufType::kInt64:
      return Decode<std::int64_t>(data);
    case GgufType::kUint64: {
      const auto value = Decode<std::uint64_t>(data);
      if (value > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
      return static_cast<std::int64_t>(value);
    }
    case GgufType::kFloat32:
      return WholeNumber(Decode<float>(data));
    case GgufType::kFloat64:
      return WholeNumber(Decode<double>(data));
    default:
      return std::nullopt;
  }
}

// A value that is no array and no string, in few words.
std::string DescribeScalar(GgufType type, std::string_view data) {
  if (type == GgufType::kUint64) return std::to_string(Decode<std::uint64_t>(data));
  if (type == GgufType::kFloat32) return fmt::format("{}", Decode<float>(data));
  if (type == GgufType::kFloat64) return fmt::format("{}", Decode<double>(data));
  const std::optional<std::int64_t> integer = DecodeInteger(type, data);
  return integer ? std::to_string(*integer) : "a value of type " + TypeName(type);
}

absl::Status CheckVersion(std::uint32_t version, const std::string& source) {
  if (version == 2 || version == 3) return absl::OkStatus();
  if (__builtin_bswap32(version) == 2 || __builtin_bswap32(version) == 3) {
    return InvalidArgument("{}: version: expected a little-endian file, found a big-endian one", source);
  }
  return InvalidArgument("{}: version: expected 2 or 3, found {}", source, version);
}

}  // namespace

struct GgufFile::TensorInfo {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<std::int64_t> shape;
  std::uint64_t offset = 0;  // from the start of the data section
  std::uint64_t bytes = 0;
};

absl::StatusOr<GgufFile> GgufFile::Parse(std::string_view bytes, const std::string& source) {
  ByteReader reader(bytes, source);
  TOME_ASSIGN_OR_RETURN(const std::string_view magic, reader.ReadBytes(kMagic.size(), "magic"));
  if (magic != kMagic) return InvalidArgument("{}: magic: expected 'GGUF', found {}", source, Quote(magic));
  TOME_ASSIGN_OR_RETURN(const auto version, reader.Read<std::uint32_t>("version"));
  TOME_RETURN_IF_ERROR(CheckVersion(version, source));
  TOME_ASSIGN_OR_RETURN(const auto num_tensors, reader.ReadCount(kMinTensorInfoBytes, "tensor count"));
  TOME_ASSIGN_OR_RETURN(const auto num_values, reader.ReadCount(kMinValueBytes, "metadata count"));
  GgufFile file(source);
  TOME_RETURN_IF_ERROR(file.ParseMetadata(&reader, num_values));
  TOME_RETURN_IF_ERROR(file.ParseTensors(&reader, num_tensors, bytes));
  return file;
}

absl::StatusOr<GgufFile::Value> GgufFile::ReadValue(ByteReader* reader, const std::string& field) {
  const auto read_type = [&](std::string_view what) -> absl::StatusOr<GgufType> {
    TOME_ASSIGN_OR_RETURN(const auto number, reader->Read<std::uint32_t>(field));
    if (number > static_cast<std::uint32_t>(GgufType::kFloat64)) {
      return InvalidArgument("{}: {}: {}: expected a type number from 0 to 12, found {}", reader->source(), field, what,
                             number);
    }
    return static_cast<GgufType>(number);
  };
  TOME_ASSIGN_OR_RETURN(const GgufType type, read_type("value type"));
  Value value{type};
  if (type == GgufType::kString) {
    TOME_ASSIGN_OR_RETURN(value.data, reader->ReadString(field));
    return value;
  }
  if (type != GgufType::kArray) {
    TOME_ASSIGN_OR_RETURN(value.data, reader->ReadBytes(FixedBytes(type), field));
    return value;
  }
  TOME_ASSIGN_OR_RETURN(value.element_type, read_type("element type"));
  if (value.element_type == GgufType::kArray) {
    return InvalidArgument("{}: {}: expected an array of plain values, found an array of arrays", reader->source(),
                           field);
  }
  const bool strings = value.element_type == GgufType::kString;
  const std::uint64_t element_bytes = strings ? sizeof(std::uint64_t) : FixedBytes(value.element_type);
  TOME_ASSIGN_OR_RETURN(value.count, reader->ReadCount(element_bytes, field));
  if (!strings) {
    TOME_ASSIGN_OR_RETURN(value.data, reader->ReadBytes(value.count * element_bytes, field));
    return value;
  }
  // The strings are skipped one by one to find where they end.
  ByteReader skipped = *reader;
  for (std::uint64_t i = 0; i < value.count; ++i) TOME_RETURN_IF_ERROR(skipped.ReadString(field).status());
  TOME_ASSIGN_OR_RETURN(value.data, reader->ReadBytes(skipped.offset() - reader->offset(), field));
  return value;
}

absl::Status GgufFile::ParseMetadata(ByteReader* reader, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    TOME_ASSIGN_OR_RETURN(const std::string_view key, reader->ReadString(fmt::format("metadata key {}", i)));
    TOME_ASSIGN_OR_RETURN(const Value value, ReadValue(reader, fmt::format("metadata {}", Quote(key))));
    if (!values_.emplace(std::string(key), value).second) {
      return InvalidArgument("{}: metadata {}: expected unique keys, found it twice", source_, Quote(key));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<GgufFile::TensorInfo> GgufFile::ReadTensorInfo(ByteReader* reader) {
  TensorInfo info;
  TOME_ASSIGN_OR_RETURN(const std::string_view name, reader->ReadString("tensor name"));
  info.name = std::string(name);
  const std::string field = fmt::format("tensor {}", Quote(name));
  const std::string place = fmt::format("{}: {}", reader->source(), field);
  TOME_ASSIGN_OR_RETURN(const auto num_dimensions, reader->Read<std::uint32_t>(field));
  if (num_dimensions < 1 || num_dimensions > kMaxDimensions) {
    return InvalidArgument("{}: expected 1 to {} dimensions, found {}", place, kMaxDimensions, num_dimensions);
  }
  for (std::uint32_t i = 0; i < num_dimensions; ++i) {
    TOME_ASSIGN_OR_RETURN(const auto dimension, reader->Read<std::int64_t>(field));
    info.shape.push_back(dimension);
  }
  std::reverse(info.shape.begin(), info.shape.end());
  TOME_ASSIGN_OR_RETURN(const auto type_number, reader->Read<std::uint32_t>(field));
  const auto* known = std::find_if(std::begin(kGgmlTypes), std::end(kGgmlTypes),
                                   [&](const GgmlType& candidate) { return candidate.number == type_number; });
  if (known == std::end(kGgmlTypes)) {
    return InvalidArgument("{}: expected one of the types {}, found {}", place, KnownTensorTypes(),
                           UnknownTensorType(type_number));
  }
  info.type = known->type;
  TOME_ASSIGN_OR_RETURN(info.bytes, TensorBytes(info.type, info.shape, place));
  TOME_ASSIGN_OR_RETURN(info.offset, reader->Read<std::uint64_t>(field));
  return info;
}

absl::Status GgufFile::ParseTensors(ByteReader* reader, std::uint64_t count, std::string_view bytes) {
  std::vector<TensorInfo> infos;
  for (std::uint64_t i = 0; i < count; ++i) {
    TOME_ASSIGN_OR_RETURN(TensorInfo info, ReadTensorInfo(reader));
    infos.push_back(std::move(info));
  }
  return PlaceTensors(std::move(infos), reader->offset(), bytes);
}

absl::Status GgufFile::PlaceTensors(std::vector<TensorInfo> infos, std::size_t infos_end, std::string_view bytes) {
  TOME_ASSIGN_OR_RETURN(const auto alignment_or, OptionalInteger(kAlignmentKey, 1, kMaxAlignment));
  const auto alignment = static_cast<std::uint64_t>(alignment_or.value_or(32));
  if (!std::has_single_bit(alignment)) {
    return InvalidArgument("{}: {}: expected a power of two, found {}", source_, kAlignmentKey, alignment);
  }
  const std::uint64_t data_start = (infos_end + alignment - 1) / alignment * alignment;
  const std::uint64_t data_bytes = data_start < bytes.size() ? bytes.size() - data_start : 0;
  std::sort(infos.begin(), infos.end(), [](const TensorInfo& a, const TensorInfo& b) { return a.offset < b.offset; });
  std::uint64_t previous_end = 0;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    TensorInfo& info = infos[i];
    const std::string place = fmt::format("{}: tensor {}", source_, Quote(info.name));
    if (info.offset % alignment != 0) {
      return InvalidArgument("{}: expected an offset that is a multiple of {}, found {}", place, alignment,
                             info.offset);
    }
    if (info.offset > data_bytes || info.bytes > data_bytes - info.offset) {
      return InvalidArgument("{}: expected {} bytes at offset {} of the data, found only {} bytes of data", place,
                             info.bytes, info.offset, data_bytes);
    }
    if (info.offset < previous_end) {
      return InvalidArgument("{}: expected its data after that of tensor {}, found an overlap of {} bytes", place,
                             Quote(infos[i - 1].name), previous_end - info.offset);
    }
    previous_end = info.offset + info.bytes;
    const auto* data = reinterpret_cast<const std::byte*>(bytes.data() + data_start + info.offset);
    CheckpointTensor tensor{info.type, std::move(info.shape), {data, info.bytes}};
    if (!tensors_.emplace(std::move(info.name), std::move(tensor)).second) {
      return InvalidArgument("{}: expected unique names, found it twice", place);
    }
  }
  return absl::OkStatus();
}

const GgufFile::Value* GgufFile::Find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

absl::Status GgufFile::Missing(std::string_view key, std::string_view expected) const {
  return InvalidArgument("{}: metadata {}: expected {}, found no such key", source_, Quote(key), expected);
}

absl::Status GgufFile::WrongType(std::string_view key, std::string_view expected, const Value& value) const {
  return InvalidArgument("{}: metadata {}: expected {}, found {}", source_, Quote(key), expected,
                         value.type == GgufType::kArray ? "an array of " + TypeName(value.element_type)
                                                        : "a value of type " + TypeName(value.type));
}

absl::StatusOr<std::int64_t> GgufFile::CheckInteger(std::string_view key, GgufType type, std::string_view data,
                                                    std::int64_t minimum, std::int64_t maximum) const {
  const std::optional<std::int64_t> integer = DecodeInteger(type, data);
  if (integer && *integer >= minimum && *integer <= maximum) return *integer;
  return InvalidArgument("{}: metadata {}: expected an integer from {} to {}, found {}", source_, Quote(key), minimum,
                         maximum, DescribeScalar(type, data));
}

absl::StatusOr<std::optional<std::int64_t>> GgufFile::OptionalInteger(std::string_view key, std::int64_t minimum,
                                                                      std::int64_t maximum) const {
  const Value* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type == GgufType::kArray || value->type == GgufType::kString) {
    return WrongType(key, fmt::format("an integer from {} to {}", minimum, maximum), *value);
  }
  return CheckInteger(key, value->type, value->data, minimum, maximum);
}

absl::StatusOr<std::optional<std::int64_t>> GgufFile::OptionalUniform(std::string_view key, std::int64_t minimum,
                                                                      std::int64_t maximum, std::int64_t count) const {
  const Value* value = Find(key);
  if (value == nullptr || value->type != GgufType::kArray) return OptionalInteger(key, minimum, maximum);
  const std::size_t bytes = FixedBytes(value->element_type);
  if (bytes == 0 || value->count != static_cast<std::uint64_t>(count)) {
    return InvalidArgument(
        "{}: metadata {}: expected one integer, or one for each of the {} layers, found an array of {} "
        "values of type {}",
        source_, Quote(key), count, value->count, TypeName(value->element_type));
  }
  std::optional<std::int64_t> uniform;
  for (std::uint64_t i = 0; i < value->count; ++i) {
    TOME_ASSIGN_OR_RETURN(
        const std::int64_t integer,
        CheckInteger(key, value->element_type, value->data.substr(i * bytes, bytes), minimum, maximum));
    if (uniform.value_or(integer) != integer) {
      return InvalidArgument(
          "{}: metadata {}: expected the same number for all layers, found {} for layer 0 and {} for "
          "layer {}: models whose layers differ are not supported",
          source_, Quote(key), *uniform, integer, i);
    }
    uniform = integer;
  }
  return uniform;
}

absl::StatusOr<std::int64_t> GgufFile::Integer(std::string_view key, std::int64_t minimum, std::int64_t maximum) const {
  TOME_ASSIGN_OR_RETURN(const auto value, OptionalInteger(key, minimum, maximum));
  if (!value) return Missing(key, "an integer");
  return *value;
}

absl::StatusOr<std::optional<double>> GgufFile::OptionalNumber(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type == GgufType::kFloat32) return Decode<float>(value->data);
  if (value->type == GgufType::kFloat64) return Decode<double>(value->data);
  const std::optional<std::int64_t> integer = DecodeInteger(value->type, value->data);
  if (!integer) return WrongType(key, "a number", *value);
  return static_cast<double>(*integer);
}

absl::StatusOr<double> GgufFile::Number(std::string_view key) const {
  TOME_ASSIGN_OR_RETURN(const auto value, OptionalNumber(key));
  if (!value) return Missing(key, "a number");
  return *value;
}

absl::StatusOr<std::optional<bool>> GgufFile::OptionalBool(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != GgufType::kBool) return WrongType(key, "true or false", *value);
  return Decode<std::uint8_t>(value->data) != 0;
}

absl::StatusOr<std::optional<std::string_view>> GgufFile::OptionalString(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != GgufType::kString) return WrongType(key, "a string", *value);
  return value->data;
}

absl::StatusOr<std::string_view> GgufFile::String(std::string_view key) const {
  TOME_ASSIGN_OR_RETURN(const auto value, OptionalString(key));
  if (!value) return Missing(key, "a string");
  return *value;
}

absl::StatusOr<const GgufFile::Value*> GgufFile::FindArray(std::string_view key, GgufType element_type,
                                                           std::string_view expected) const {
  const Value* value = Find(key);
  if (value == nullptr) return Missing(key, expected);
  if (value->type != GgufType::kArray || value->element_type != element_type) return WrongType(key, expected, *value);
  return value;
}

absl::StatusOr<std::vector<std::string_view>> GgufFile::StringArray(std::string_view key) const {
  TOME_ASSIGN_OR_RETURN(const Value* value, FindArray(key, GgufType::kString, "an array of strings"));
  ByteReader reader(value->data, source_);
  std::vector<std::string_view> strings;
  strings.reserve(value->count);
  for (std::uint64_t i = 0; i < value->count; ++i) {
    TOME_ASSIGN_OR_RETURN(const std::string_view string, reader.ReadString(key));
    strings.push_back(string);
  }
  return strings;
}

absl::StatusOr<std::vector<float>> GgufFile::FloatArray(std::string_view key) const {
  TOME_ASSIGN_OR_RETURN(const Value* value, FindArray(key, GgufType::kFloat32, "an array of float32"));
  std::vector<float> floats(value->count);
  if (!floats.empty()) std::memcpy(floats.data(), value->data.data(), value->data.size());
  return floats;
}

absl::StatusOr<std::vector<std::int32_t>> GgufFile::Int32Array(std::string_view key) const {
  TOME_ASSIGN_OR_RETURN(const Value* value, FindArray(key, GgufType::kInt32, "an array of int32"));
  std::vector<std::int32_t> integers(value->count);
  if (!integers.empty()) std::memcpy(integers.data(), value->data.data(), value->data.size());
  return integers;
}

}  // namespace tome
