// Builds GGUF files in memory, sound or broken.
#ifndef TOME_TESTS_SUPPORT_GGUF_WRITER_H_
#define TOME_TESTS_SUPPORT_GGUF_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tome::testing {

// Type numbers of metadata values and of tensors, as in the file.
namespace gguf {
inline constexpr std::uint32_t kUint8 = 0, kInt8 = 1, kUint16 = 2, kInt16 = 3, kUint32 = 4, kInt32 = 5, kFloat32 = 6,
                               kBool = 7, kString = 8, kArray = 9, kUint64 = 10, kInt64 = 11, kFloat64 = 12;
inline constexpr std::uint32_t kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ8_0 = 8, kBF16 = 30;
}  // namespace gguf

// A file's parts, free to be changed before Bytes() puts them together.
struct GgufWriter {
  struct Tensor {
    std::string name;
    std::vector<std::int64_t> shape;  // row-major; written in GGUF's reverse order
    std::uint32_t type = gguf::kF32;
    std::string data;
    std::int64_t offset = -1;  // -1 = after the tensor before, aligned
  };

  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;
  std::int64_t num_values = -1, num_tensors = -1;           // -1 = as many as there are
  std::vector<std::pair<std::string, std::string>> values;  // key, encoded type and value
  std::vector<Tensor> tensors;

  // Each replaces a value of the same key.
  void SetEncoded(std::string_view key, std::string encoded);
  void SetUint32(std::string_view key, std::uint32_t value);
  void SetUint64(std::string_view key, std::uint64_t value);
  void SetFloat(std::string_view key, float value);
  void SetBool(std::string_view key, bool value);
  void SetString(std::string_view key, std::string_view value);
  void SetStrings(std::string_view key, const std::vector<std::string>& items);
  void SetFloats(std::string_view key, const std::vector<float>& items);
  void SetInt32s(std::string_view key, const std::vector<std::int32_t>& items);
  void Remove(std::string_view key);

  // The tensor of that name, which must exist.
  Tensor& FindTensor(std::string_view name);
  void RemoveTensor(std::string_view name);

  std::string Bytes() const;
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SUPPORT_GGUF_WRITER_H_
