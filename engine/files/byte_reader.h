// Bounds-checked reading of little-endian binary data: file formats, serialized states.
#ifndef TOME_ENGINE_FILES_BYTE_READER_H_
#define TOME_ENGINE_FILES_BYTE_READER_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tome {

static_assert(std::endian::native == std::endian::little, "formats are little-endian, and so must the machine be");

// Reads values one after another. A read that would pass the end fails, names the field, and leaves the position where
// it was. Views returned point into the data. Not thread-safe.
class ByteReader {
 public:
  // `source` (a file's path) begins each message; `error` is the code of every failure: INVALID_ARGUMENT for files that
  // users bring, DATA_LOSS for files of our own. `data` must outlive the reader.
  explicit ByteReader(std::string_view data, std::string source = {},
                      absl::StatusCode error = absl::StatusCode::kInvalidArgument)
      : data_(data), source_(std::move(source)), error_(error) {}

  std::size_t offset() const { return offset_; }
  std::size_t remaining() const { return data_.size() - offset_; }
  bool at_end() const { return offset_ == data_.size(); }
  const std::string& source() const { return source_; }

  // An integer or a floating point number.
  template <typename T>
  absl::StatusOr<T> Read(std::string_view field) {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    absl::StatusOr<std::string_view> bytes = ReadBytes(sizeof(T), field);
    if (!bytes.ok()) return bytes.status();
    T value;
    std::memcpy(&value, bytes->data(), sizeof(T));
    return value;
  }

  // The next `size` bytes, whatever large number a file made of it.
  absl::StatusOr<std::string_view> ReadBytes(std::uint64_t size, std::string_view field);

  // A 64-bit length and as many bytes; ByteWriter::WriteString's inverse, and GGUF's strings.
  absl::StatusOr<std::string_view> ReadString(std::string_view field);

  // A 64-bit count of items that take at least `min_item_bytes` (> 0) each: fails when so many cannot follow, so that
  // the caller may reserve memory for them.
  absl::StatusOr<std::uint64_t> ReadCount(std::uint64_t min_item_bytes, std::string_view field);

  // Fails when bytes are left.
  absl::Status ExpectEnd() const;

 private:
  std::string_view data_;
  std::size_t offset_ = 0;
  std::string source_;
  absl::StatusCode error_;
};

}  // namespace tome

#endif  // TOME_ENGINE_FILES_BYTE_READER_H_
