#include "server/rpc/wire/status.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/base/errors.h"
#include "server/rpc/wire/field_violations.h"

namespace tome::server {
namespace {

// Details travel in a header, and clients take 8 KiB of headers by default.
constexpr std::size_t kMaxMessageBytes = 512;
constexpr std::size_t kMaxTextBytes = 256;
constexpr std::size_t kMaxViolations = 4;

struct Row {
  absl::StatusCode code;
  grpc::StatusCode grpc_code;
  const char* reason;          // of an error without details
  absl::Duration retry_delay;  // of an error without one; zero: none
};

const std::array<Row, 16>& Table() {
  static const absl::Duration none = absl::ZeroDuration();
  static const std::array<Row, 16> table = {{
      {absl::StatusCode::kCancelled, grpc::StatusCode::CANCELLED, "CANCELLED", none},
      {absl::StatusCode::kUnknown, grpc::StatusCode::UNKNOWN, "UNKNOWN", none},
      {absl::StatusCode::kInvalidArgument, grpc::StatusCode::INVALID_ARGUMENT, "INVALID_ARGUMENT", none},
      {absl::StatusCode::kDeadlineExceeded, grpc::StatusCode::DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", none},
      {absl::StatusCode::kNotFound, grpc::StatusCode::NOT_FOUND, "NOT_FOUND", none},
      {absl::StatusCode::kAlreadyExists, grpc::StatusCode::ALREADY_EXISTS, "ALREADY_EXISTS", none},
      // The server's own files, not the client's rights: the client cannot mend it.
      {absl::StatusCode::kPermissionDenied, grpc::StatusCode::INTERNAL, "STORAGE_NOT_PERMITTED", none},
      {absl::StatusCode::kUnauthenticated, grpc::StatusCode::UNAUTHENTICATED, "UNAUTHENTICATED", none},
      {absl::StatusCode::kResourceExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED",
       absl::Seconds(1)},
      {absl::StatusCode::kFailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, "FAILED_PRECONDITION", none},
      {absl::StatusCode::kAborted, grpc::StatusCode::ABORTED, "ABORTED", none},
      {absl::StatusCode::kOutOfRange, grpc::StatusCode::OUT_OF_RANGE, "OUT_OF_RANGE", none},
      {absl::StatusCode::kUnimplemented, grpc::StatusCode::UNIMPLEMENTED, "UNIMPLEMENTED", none},
      {absl::StatusCode::kInternal, grpc::StatusCode::INTERNAL, "INTERNAL", none},
      {absl::StatusCode::kUnavailable, grpc::StatusCode::UNAVAILABLE, "UNAVAILABLE", absl::Seconds(1)},
      {absl::StatusCode::kDataLoss, grpc::StatusCode::DATA_LOSS, "DATA_LOSS", none},
  }};
  return table;
}

const Row& FindRow(absl::StatusCode code) {
  static const Row unknown = {absl::StatusCode::kUnknown, grpc::StatusCode::UNKNOWN, "UNKNOWN", absl::ZeroDuration()};
  for (const Row& row : Table()) {
    if (row.code == code) return row;
  }
  return unknown;
}

template <typename Message>
void AddDetail(const Message& message, google::rpc::Status* status) {
  status->add_details()->PackFrom(message);
}

// Well-formed and short enough for a header.
std::string ClientText(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return ReplaceInvalidUtf8(text);
  while (max_bytes > 0 && (text[max_bytes] & 0xC0) == 0x80) --max_bytes;  // not within a character
  return ReplaceInvalidUtf8(text.substr(0, max_bytes)) + "...";
}

void AddBadRequest(const absl::Status& status, const ErrorDetails& details, google::rpc::Status* proto) {
  std::vector<FieldViolation> violations = GetFieldViolations(status);
  if (const auto field = details.metadata.find("field"); violations.empty() && field != details.metadata.end()) {
    violations.push_back({field->second, std::string(status.message())});
  }
  if (violations.empty()) return;
  if (violations.size() > kMaxViolations) violations.resize(kMaxViolations);
  google::rpc::BadRequest bad_request;
  for (const FieldViolation& violation : violations) {
    auto* added = bad_request.add_field_violations();
    added->set_field(ClientText(violation.field, kMaxTextBytes));
    added->set_description(ClientText(violation.description, kMaxTextBytes));
  }
  AddDetail(bad_request, proto);
}

void AddResourceInfo(const ErrorDetails& details, const std::string& message, google::rpc::Status* proto) {
  const auto session = details.metadata.find("session");
  if (session == details.metadata.end()) return;
  google::rpc::ResourceInfo resource;
  resource.set_resource_type("tome.v1.Session");
  resource.set_resource_name(session->second);
  resource.set_description(message);
  AddDetail(resource, proto);
}

void AddPreconditionFailure(const ErrorDetails& details, const std::string& message, google::rpc::Status* proto) {
  google::rpc::PreconditionFailure failure;
  auto* violation = failure.add_violations();
  violation->set_type(details.reason);
  if (const auto session = details.metadata.find("session"); session != details.metadata.end()) {
    violation->set_subject(session->second);
  }
  violation->set_description(message);
  AddDetail(failure, proto);
}

// Sessions are known to clients by their resource names.
void UseResourceNames(ErrorDetails* details) {
  const auto session = details->metadata.find("session");
  if (session != details->metadata.end() && session->second.rfind("sessions/", 0) != 0) {
    session->second = "sessions/" + session->second;
  }
}

void AddErrorInfo(const ErrorDetails& details, google::rpc::Status* proto) {
  google::rpc::ErrorInfo info;
  info.set_reason(details.reason);
  info.set_domain(kErrorDomain);
  for (const auto& [key, value] : details.metadata) (*info.mutable_metadata())[key] = ClientText(value, kMaxTextBytes);
  AddDetail(info, proto);
}

void AddRetryInfo(absl::Duration delay, google::rpc::Status* proto) {
  google::rpc::RetryInfo retry;
  const std::int64_t nanoseconds = absl::ToInt64Nanoseconds(delay);
  retry.mutable_retry_delay()->set_seconds(nanoseconds / 1'000'000'000);
  retry.mutable_retry_delay()->set_nanos(static_cast<int>(nanoseconds % 1'000'000'000));
  AddDetail(retry, proto);
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const Row& row = FindRow(status.code());
  ErrorDetails details = GetErrorDetails(status).value_or(ErrorDetails{});
  if (details.reason.empty()) details.reason = row.reason;
  if (!details.retry_delay && row.retry_delay > absl::ZeroDuration()) details.retry_delay = row.retry_delay;
  UseResourceNames(&details);

  const std::string message = ClientText({status.message().data(), status.message().size()}, kMaxMessageBytes);
  google::rpc::Status proto;
  proto.set_code(row.grpc_code);
  proto.set_message(message);
  AddErrorInfo(details, &proto);
  if (row.grpc_code == grpc::StatusCode::INVALID_ARGUMENT) AddBadRequest(status, details, &proto);
  if (row.grpc_code == grpc::StatusCode::NOT_FOUND || row.grpc_code == grpc::StatusCode::ALREADY_EXISTS) {
    AddResourceInfo(details, message, &proto);
  }
  if (row.grpc_code == grpc::StatusCode::FAILED_PRECONDITION) AddPreconditionFailure(details, message, &proto);
  if (details.retry_delay) AddRetryInfo(*details.retry_delay, &proto);
  return grpc::Status(row.grpc_code, message, proto.SerializeAsString());
}

}  // namespace tome::server
