#include "engine/files/byte_stream.h"

#include "engine/base/status.h"

namespace tome {

absl::StatusOr<std::string_view> SourceReader::ReadBytes(std::uint64_t size, std::string_view field) {
  if (size > source_.remaining()) {
    return DataLoss("{}: {}: expected {} bytes at offset {}, found {} before the end", name_, field, size, offset_,
                    source_.remaining());
  }
  TOME_ASSIGN_OR_RETURN(const std::string_view bytes, source_.Next(static_cast<std::size_t>(size)));
  offset_ += size;
  crc_ = Crc32c(bytes, crc_);
  return bytes;
}

absl::StatusOr<std::string_view> SourceReader::ReadString(std::uint64_t max_size, std::string_view field) {
  TOME_ASSIGN_OR_RETURN(const std::uint64_t size, Read<std::uint64_t>(field));
  if (size > max_size) return DataLoss("{}: {}: {} bytes, more than {}", name_, field, size, max_size);
  return ReadBytes(size, field);
}

absl::StatusOr<std::string_view> SourceReader::ReadChecked(std::uint64_t size, std::string_view field) {
  TOME_ASSIGN_OR_RETURN(const std::string_view bytes, ReadBytes(size + sizeof(std::uint32_t), field));
  std::uint32_t expected;
  std::memcpy(&expected, bytes.data() + size, sizeof expected);
  const std::uint32_t found = Crc32c(bytes.substr(0, size));
  if (found == expected || !kCheckSums) return bytes.substr(0, size);
  return DataLoss("{}: {}: expected CRC-32C {:08x}, found {:08x}", name_, field, expected, found);
}

absl::Status SourceReader::ExpectCrc(std::uint32_t crc, std::string_view field) {
  TOME_ASSIGN_OR_RETURN(const std::uint32_t expected, Read<std::uint32_t>(field));
  if (crc == expected || !kCheckSums) return absl::OkStatus();
  return DataLoss("{}: {}: expected CRC-32C {:08x}, found {:08x}", name_, field, expected, crc);
}

absl::Status SourceReader::ExpectEnd() const {
  if (source_.remaining() == 0) return absl::OkStatus();
  return DataLoss("{}: expected the end at offset {}, found {} more bytes", name_, offset_, source_.remaining());
}

}  // namespace tome
