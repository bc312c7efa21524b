// Bytes that come or go one piece after another, so that what is large need not be in memory twice.
#ifndef TOME_ENGINE_FILES_BYTE_STREAM_H_
#define TOME_ENGINE_FILES_BYTE_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string_view>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/crc32c.h"

namespace tome {

// Takes the next piece, which it must not keep. An error ends the writing.
using ByteSink = std::function<absl::Status(std::string_view piece)>;

// Not thread-safe.
class SizedByteSource {
 public:
  virtual ~SizedByteSource() = default;
  // How many bytes follow.
  virtual std::uint64_t remaining() const = 0;
  // The next `size` <= remaining() bytes, valid until the next call.
  virtual absl::StatusOr<std::string_view> Next(std::size_t size) = 0;
};

// A source of bytes that are in memory, and outlive it.
class MemorySource final : public SizedByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : bytes_(bytes) {}

  std::uint64_t remaining() const override { return bytes_.size(); }
  absl::StatusOr<std::string_view> Next(std::size_t size) override {
    const std::string_view piece = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return piece;
  }

 private:
  std::string_view bytes_;
};

// Reads little-endian values from a source, as ByteReader does from memory: a read that would pass the end is DATA_LOSS
// and names the field. Views are valid until the next read. Not thread-safe.
class SourceReader {
 public:
  // `name` begins each message. `source` outlives the reader.
  SourceReader(SizedByteSource& source, std::string_view name) : source_(source), name_(name) {}

  std::uint64_t offset() const { return offset_; }
  // CRC-32C of all that was read.
  std::uint32_t crc() const { return crc_; }

  template <typename T>
  absl::StatusOr<T> Read(std::string_view field) {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    const absl::StatusOr<std::string_view> bytes = ReadBytes(sizeof(T), field);
    if (!bytes.ok()) return bytes.status();
    T value;
    std::memcpy(&value, bytes->data(), sizeof(T));
    return value;
  }

  absl::StatusOr<std::string_view> ReadBytes(std::uint64_t size, std::string_view field);
  // A 64-bit length of at most `max_size`, and as many bytes.
  absl::StatusOr<std::string_view> ReadString(std::uint64_t max_size, std::string_view field);
  // `size` bytes that are followed by their CRC-32C.
  absl::StatusOr<std::string_view> ReadChecked(std::uint64_t size, std::string_view field);
  // Fails when the CRC-32C that comes next is not `crc`.
  absl::Status ExpectCrc(std::uint32_t crc, std::string_view field);
  absl::Status ExpectEnd() const;

 private:
  SizedByteSource& source_;
  const std::string_view name_;
  std::uint64_t offset_ = 0;
  std::uint32_t crc_ = 0;
};

// Whether readers look at checksums: not in a fuzzer's build, for what lies behind them must hold as well.
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
inline constexpr bool kCheckSums = false;
#else
inline constexpr bool kCheckSums = true;
#endif

}  // namespace tome

#endif  // TOME_ENGINE_FILES_BYTE_STREAM_H_
