// The GGUF container: metadata and tensors, with no knowledge of what they mean. Versions 2 and 3, little-endian.
#ifndef TOME_ENGINE_CHECKPOINT_GGUF_GGUF_FILE_H_
#define TOME_ENGINE_CHECKPOINT_GGUF_GGUF_FILE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/tensor_set.h"
#include "engine/files/byte_reader.h"

namespace tome {

enum class GgufType : std::uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// Immutable. Views and tensors point into the bytes that were parsed.
class GgufFile {
 public:
  // Checks the whole structure: the header, the type and extent of every value, unique keys and tensor names, and that
  // tensors are aligned, inside the file and do not overlap. `source` begins every message.
  static absl::StatusOr<GgufFile> Parse(std::string_view bytes, const std::string& source);

  const std::string& source() const { return source_; }
  bool Has(std::string_view key) const { return values_.contains(key); }

  // Metadata by key. The plain forms are INVALID_ARGUMENT when the key is absent, the others give nothing; all are when
  // the value has another type or lies outside [minimum, maximum]. A float without a fraction is an integer, too.
  absl::StatusOr<std::int64_t> Integer(std::string_view key, std::int64_t minimum, std::int64_t maximum) const;
  absl::StatusOr<double> Number(std::string_view key) const;
  absl::StatusOr<std::string_view> String(std::string_view key) const;
  absl::StatusOr<std::optional<std::int64_t>> OptionalInteger(std::string_view key, std::int64_t minimum,
                                                              std::int64_t maximum) const;
  // The same, or an array of `count` integers that are all equal.
  absl::StatusOr<std::optional<std::int64_t>> OptionalUniform(std::string_view key, std::int64_t minimum,
                                                              std::int64_t maximum, std::int64_t count) const;
  absl::StatusOr<std::optional<double>> OptionalNumber(std::string_view key) const;
  absl::StatusOr<std::optional<bool>> OptionalBool(std::string_view key) const;
  absl::StatusOr<std::optional<std::string_view>> OptionalString(std::string_view key) const;
  absl::StatusOr<std::vector<std::string_view>> StringArray(std::string_view key) const;
  absl::StatusOr<std::vector<float>> FloatArray(std::string_view key) const;
  absl::StatusOr<std::vector<std::int32_t>> Int32Array(std::string_view key) const;

  // By the file's names; shapes in row-major order (GGUF's reversed).
  const TensorMap& tensors() const { return tensors_; }

 private:
  struct Value {
    GgufType type;
    GgufType element_type = GgufType::kUint8;  // arrays
    std::uint64_t count = 1;                   // arrays
    std::string_view data;                     // the encoded value, or the array's elements
  };
  struct TensorInfo;

  explicit GgufFile(std::string source) : source_(std::move(source)) {}

  absl::Status ParseMetadata(ByteReader* reader, std::uint64_t count);
  absl::Status ParseTensors(ByteReader* reader, std::uint64_t count, std::string_view bytes);
  absl::Status PlaceTensors(std::vector<TensorInfo> infos, std::size_t infos_end, std::string_view bytes);
  static absl::StatusOr<Value> ReadValue(ByteReader* reader, const std::string& field);
  static absl::StatusOr<TensorInfo> ReadTensorInfo(ByteReader* reader);

  const Value* Find(std::string_view key) const;
  absl::StatusOr<std::int64_t> CheckInteger(std::string_view key, GgufType type, std::string_view data,
                                            std::int64_t minimum, std::int64_t maximum) const;
  absl::Status Missing(std::string_view key, std::string_view expected) const;
  absl::Status WrongType(std::string_view key, std::string_view expected, const Value& value) const;
  absl::StatusOr<const Value*> FindArray(std::string_view key, GgufType element_type, std::string_view expected) const;

  std::string source_;
  std::map<std::string, Value, std::less<>> values_;
  TensorMap tensors_;
};

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_GGUF_GGUF_FILE_H_
