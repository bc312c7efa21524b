// Writing of little-endian binary data: ByteReader's counterpart.
#ifndef TOME_ENGINE_FILES_BYTE_WRITER_H_
#define TOME_ENGINE_FILES_BYTE_WRITER_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace tome {

static_assert(std::endian::native == std::endian::little, "formats are little-endian, and so must the machine be");

// Appends values to a byte string. Not thread-safe.
class ByteWriter {
 public:
  std::size_t size() const { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }
  std::string Take() && { return std::move(bytes_); }

  void Reserve(std::size_t size) { bytes_.reserve(size); }

  // The type is stated, never deduced, so that a changed expression cannot change the format: Write<std::uint32_t>(1).
  template <typename T>
  void Write(std::type_identity_t<T> value) {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes_.append(raw, sizeof(T));
  }

  void WriteBytes(std::string_view bytes) { bytes_.append(bytes); }

  // A 64-bit length and the bytes.
  void WriteString(std::string_view bytes) {
    Write<std::uint64_t>(bytes.size());
    WriteBytes(bytes);
  }

  // Zero bytes up to the next multiple of `alignment` (> 0).
  void Align(std::size_t alignment) { bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment, '\0'); }

 private:
  std::string bytes_;
};

}  // namespace tome

#endif  // TOME_ENGINE_FILES_BYTE_WRITER_H_
