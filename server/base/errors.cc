#include "server/base/errors.h"

#include <cerrno>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/strings/cord.h"
#include "engine/base/status.h"
#include "engine/files/byte_reader.h"
#include "engine/files/byte_writer.h"

namespace tome::server {
namespace {

constexpr char kPayloadType[] = "tome.server.ErrorDetails";
constexpr std::int64_t kNoDelay = std::numeric_limits<std::int64_t>::min();

std::string Encode(const ErrorDetails& details) {
  ByteWriter writer;
  writer.WriteString(details.reason);
  writer.Write<std::int64_t>(details.retry_delay ? absl::ToInt64Nanoseconds(*details.retry_delay) : kNoDelay);
  writer.Write<std::uint64_t>(details.metadata.size());
  for (const auto& [key, value] : details.metadata) {
    writer.WriteString(key);
    writer.WriteString(value);
  }
  return std::move(writer).Take();
}

absl::StatusOr<ErrorDetails> Decode(std::string_view bytes) {
  ByteReader reader(bytes, kPayloadType, absl::StatusCode::kInternal);
  ErrorDetails details;
  TOME_ASSIGN_OR_RETURN(details.reason, reader.ReadString("reason"));
  TOME_ASSIGN_OR_RETURN(const std::int64_t delay, reader.Read<std::int64_t>("retry_delay"));
  if (delay != kNoDelay) details.retry_delay = absl::Nanoseconds(delay);
  TOME_ASSIGN_OR_RETURN(const std::uint64_t count, reader.ReadCount(16, "metadata"));
  for (std::uint64_t i = 0; i < count; ++i) {
    TOME_ASSIGN_OR_RETURN(const std::string_view key, reader.ReadString("key"));
    TOME_ASSIGN_OR_RETURN(const std::string_view value, reader.ReadString("value"));
    details.metadata.emplace(key, value);
  }
  return details;
}

}  // namespace

absl::Status WithDetails(absl::Status status, const ErrorDetails& details) {
  if (!status.ok()) status.SetPayload(kPayloadType, absl::Cord(Encode(details)));
  return status;
}

absl::Status MakeError(absl::StatusCode code, const std::string& message, const ErrorDetails& details) {
  return WithDetails(absl::Status(code, message), details);
}

std::optional<ErrorDetails> GetErrorDetails(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayloadType);
  if (!payload) return std::nullopt;
  absl::StatusOr<ErrorDetails> details = Decode(std::string(*payload));
  if (!details.ok()) return std::nullopt;
  return *std::move(details);
}

bool IsStorageFailure(const absl::Status& status) {
  const std::optional<ErrorDetails> details = GetErrorDetails(status);
  return details &&
         (details->reason == "DISK_FULL" || details->reason == "DISK_FAILED" || details->reason == "STORAGE_BUSY");
}

absl::Status StorageError(int error, const std::string& message) {
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case ENOSPC:
    case EDQUOT:
      return MakeError(absl::StatusCode::kResourceExhausted, message, {.reason = "DISK_FULL"});
    case EIO:
      return MakeError(absl::StatusCode::kDataLoss, message, {.reason = "DISK_FAILED"});
    default:
      return absl::InternalError(message);
  }
}

absl::Status WithField(absl::Status status, const std::string& from, const std::string& to) {
  std::optional<ErrorDetails> details = GetErrorDetails(status);
  if (!details || details->metadata["field"] != from) return status;
  details->metadata["field"] = to;
  return WithDetails(std::move(status), *details);
}

}  // namespace tome::server
