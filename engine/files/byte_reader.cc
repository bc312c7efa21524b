#include "engine/files/byte_reader.h"

#include "fmt/format.h"

namespace tome {
namespace {

std::string Prefix(const std::string& source) { return source.empty() ? "" : source + ": "; }

}  // namespace

absl::StatusOr<std::string_view> ByteReader::ReadBytes(std::uint64_t size, std::string_view field) {
  if (size > remaining()) {
    return absl::Status(error_, fmt::format("{}{}: expected {} bytes at offset {}, found {} before the end",
                                            Prefix(source_), field, size, offset_, remaining()));
  }
  const std::string_view bytes = data_.substr(offset_, size);
  offset_ += size;
  return bytes;
}

absl::StatusOr<std::string_view> ByteReader::ReadString(std::string_view field) {
  const std::size_t start = offset_;
  absl::StatusOr<std::uint64_t> size = Read<std::uint64_t>(field);
  if (!size.ok()) return size.status();
  absl::StatusOr<std::string_view> bytes = ReadBytes(*size, field);
  if (!bytes.ok()) offset_ = start;
  return bytes;
}

absl::StatusOr<std::uint64_t> ByteReader::ReadCount(std::uint64_t min_item_bytes, std::string_view field) {
  const std::size_t start = offset_;
  absl::StatusOr<std::uint64_t> count = Read<std::uint64_t>(field);
  if (!count.ok() || *count <= remaining() / min_item_bytes) return count;
  absl::Status status(error_, fmt::format("{}{}: expected at most {} items in the {} bytes that follow, found {}",
                                          Prefix(source_), field, remaining() / min_item_bytes, remaining(), *count));
  offset_ = start;
  return status;
}

absl::Status ByteReader::ExpectEnd() const {
  if (at_end()) return absl::OkStatus();
  return absl::Status(error_, fmt::format("{}expected the end at offset {}, found {} more bytes", Prefix(source_),
                                          offset_, remaining()));
}

}  // namespace tome
