#include "client/errors.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace tome::client {
namespace {

constexpr char kPayloadUrl[] = "type.googleapis.com/google.rpc.Status";

std::chrono::milliseconds ToMilliseconds(const google::protobuf::Duration& duration) {
  // Far more than anyone waits; keeps the product below in range whatever a server sends.
  constexpr std::int64_t kMostSeconds = 1'000'000;
  const std::int64_t seconds = std::clamp<std::int64_t>(duration.seconds(), 0, kMostSeconds);
  const std::int64_t nanos = std::clamp<std::int64_t>(duration.nanos(), 0, 999'999'999);
  return std::chrono::milliseconds(seconds * 1000 + (nanos + 999'999) / 1'000'000);
}

void ReadDetail(const google::protobuf::Any& any, ErrorDetails* details) {
  if (google::rpc::ErrorInfo info; any.UnpackTo(&info)) {
    details->reason = info.reason();
    details->metadata = {info.metadata().begin(), info.metadata().end()};
  } else if (google::rpc::BadRequest request; any.UnpackTo(&request)) {
    for (const auto& violation : request.field_violations()) {
      details->field_violations.push_back({violation.field(), violation.description()});
    }
  } else if (google::rpc::RetryInfo retry; any.UnpackTo(&retry)) {
    details->retry_delay = ToMilliseconds(retry.retry_delay());
  }
}

}  // namespace

std::optional<std::uint64_t> ErrorDetails::Number(const std::string& key) const {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  const std::string& text = found->second;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  if (!status.error_details().empty()) result.SetPayload(kPayloadUrl, absl::Cord(status.error_details()));
  return result;
}

ErrorDetails DetailsOf(const absl::Status& status) {
  ErrorDetails details;
  const auto payload = status.GetPayload(kPayloadUrl);
  google::rpc::Status wire;
  if (!payload.has_value() || !wire.ParseFromString(std::string(*payload))) return details;
  details.present = wire.details_size() > 0;
  for (const auto& any : wire.details()) ReadDetail(any, &details);
  return details;
}

bool IsTransient(const absl::Status& status) {
  const ErrorDetails details = DetailsOf(status);
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return true;
    case absl::StatusCode::kResourceExhausted:
      return details.retry_delay.has_value();
    // How gRPC reports a connection or stream that broke under a call. The server's own errors carry details.
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
      return !details.present;
    default:
      return false;
  }
}

}  // namespace tome::client
