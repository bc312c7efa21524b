#include "server/rpc/wire/field_violations.h"

#include "absl/strings/cord.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "google/rpc/error_details.pb.h"
#include "server/base/errors.h"

namespace tome::server {
namespace {

constexpr char kPayloadType[] = "type.googleapis.com/google.rpc.BadRequest";

}  // namespace

absl::Status FieldViolations::ToStatus() const {
  if (violations_.empty()) return absl::OkStatus();
  const FieldViolation& first = violations_.front();
  return WithFieldViolations(
      MakeError(absl::StatusCode::kInvalidArgument, fmt::format("{}: {}", first.field, first.description),
                {.reason = "INVALID_FIELD", .metadata = {{"field", first.field}}}),
      violations_);
}

absl::Status WithFieldViolations(absl::Status status, const std::vector<FieldViolation>& violations) {
  google::rpc::BadRequest bad_request;
  for (const FieldViolation& violation : violations) {
    auto* added = bad_request.add_field_violations();
    added->set_field(ReplaceInvalidUtf8(violation.field));
    added->set_description(ReplaceInvalidUtf8(violation.description));
  }
  status.SetPayload(kPayloadType, absl::Cord(bad_request.SerializeAsString()));
  return status;
}

std::vector<FieldViolation> GetFieldViolations(const absl::Status& status) {
  std::vector<FieldViolation> violations;
  google::rpc::BadRequest bad_request;
  const auto payload = status.GetPayload(kPayloadType);
  if (!payload || !bad_request.ParseFromString(std::string(*payload))) return violations;
  for (const auto& violation : bad_request.field_violations()) {
    violations.push_back({violation.field(), violation.description()});
  }
  return violations;
}

}  // namespace tome::server
