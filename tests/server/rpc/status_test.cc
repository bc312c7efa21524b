#include "server/rpc/wire/status.h"

#include <string>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "server/base/errors.h"
#include "server/rpc/calls/backend.h"
#include "server/rpc/wire/field_violations.h"

namespace tome::server {
namespace {

using ::testing::SizeIs;

google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), status.error_code());
  EXPECT_EQ(details.message(), status.error_message());
  return details;
}

// The detail of this type, or an empty one.
template <typename Detail>
Detail Find(const grpc::Status& status) {
  Detail detail;
  const google::rpc::Status proto = Details(status);
  for (const auto& any : proto.details()) {
    if (any.UnpackTo(&detail)) return detail;
  }
  return {};
}

TEST(StatusTest, OkIsOk) { EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok()); }

TEST(StatusTest, EveryCodeHasItsGrpcCodeAndReason) {
  const struct {
    absl::StatusCode code;
    grpc::StatusCode expected;
    const char* reason;
    bool retry;
  } rows[] = {
      {absl::StatusCode::kCancelled, grpc::CANCELLED, "CANCELLED", false},
      {absl::StatusCode::kUnknown, grpc::UNKNOWN, "UNKNOWN", false},
      {absl::StatusCode::kInvalidArgument, grpc::INVALID_ARGUMENT, "INVALID_ARGUMENT", false},
      {absl::StatusCode::kDeadlineExceeded, grpc::DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", false},
      {absl::StatusCode::kNotFound, grpc::NOT_FOUND, "NOT_FOUND", false},
      {absl::StatusCode::kAlreadyExists, grpc::ALREADY_EXISTS, "ALREADY_EXISTS", false},
      {absl::StatusCode::kPermissionDenied, grpc::INTERNAL, "STORAGE_NOT_PERMITTED", false},
      {absl::StatusCode::kUnauthenticated, grpc::UNAUTHENTICATED, "UNAUTHENTICATED", false},
      {absl::StatusCode::kResourceExhausted, grpc::RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED", true},
      {absl::StatusCode::kFailedPrecondition, grpc::FAILED_PRECONDITION, "FAILED_PRECONDITION", false},
      {absl::StatusCode::kAborted, grpc::ABORTED, "ABORTED", false},
      {absl::StatusCode::kOutOfRange, grpc::OUT_OF_RANGE, "OUT_OF_RANGE", false},
      {absl::StatusCode::kUnimplemented, grpc::UNIMPLEMENTED, "UNIMPLEMENTED", false},
      {absl::StatusCode::kInternal, grpc::INTERNAL, "INTERNAL", false},
      {absl::StatusCode::kUnavailable, grpc::UNAVAILABLE, "UNAVAILABLE", true},
      {absl::StatusCode::kDataLoss, grpc::DATA_LOSS, "DATA_LOSS", false},
  };
  for (const auto& row : rows) {
    const grpc::Status status = ToGrpcStatus(absl::Status(row.code, "what happened"));
    SCOPED_TRACE(row.reason);
    EXPECT_EQ(status.error_code(), row.expected);
    EXPECT_EQ(status.error_message(), "what happened");
    EXPECT_EQ(Find<google::rpc::ErrorInfo>(status).reason(), row.reason);
    EXPECT_EQ(Find<google::rpc::ErrorInfo>(status).domain(), "tome");
    EXPECT_EQ(Find<google::rpc::RetryInfo>(status).retry_delay().seconds(), row.retry ? 1 : 0);
  }
}

TEST(StatusTest, OffsetMismatchTellsTheCommittedOffset) {
  const grpc::Status status = ToGrpcStatus(
      MakeError(absl::StatusCode::kAborted, "gap",
                {.reason = "OFFSET_MISMATCH", .metadata = {{"session", "abcd"}, {"committed_offset", "4096"}}}));
  const auto info = Find<google::rpc::ErrorInfo>(status);
  EXPECT_EQ(info.reason(), "OFFSET_MISMATCH");
  EXPECT_EQ(info.metadata().at("committed_offset"), "4096");
  EXPECT_EQ(info.metadata().at("session"), "sessions/abcd");
}

TEST(StatusTest, NotFoundNamesTheResource) {
  const auto resource = Find<google::rpc::ResourceInfo>(
      ToGrpcStatus(MakeError(absl::StatusCode::kNotFound, "no session abcd",
                             {.reason = "SESSION_NOT_FOUND", .metadata = {{"session", "abcd"}}})));
  EXPECT_EQ(resource.resource_type(), "tome.v1.Session");
  EXPECT_EQ(resource.resource_name(), "sessions/abcd");
}

TEST(StatusTest, FailedPreconditionNamesWhatFailed) {
  const auto failure = Find<google::rpc::PreconditionFailure>(
      ToGrpcStatus(MakeError(absl::StatusCode::kFailedPrecondition, "sealed",
                             {.reason = "DOCUMENT_SEALED", .metadata = {{"session", "abcd"}}})));
  ASSERT_EQ(failure.violations_size(), 1);
  EXPECT_EQ(failure.violations(0).type(), "DOCUMENT_SEALED");
  EXPECT_EQ(failure.violations(0).subject(), "sessions/abcd");
}

TEST(StatusTest, RetryDelayOfTheErrorWins) {
  const auto retry = Find<google::rpc::RetryInfo>(ToGrpcStatus(
      MakeError(absl::StatusCode::kUnavailable, "", {.reason = "X", .retry_delay = absl::Milliseconds(2500)})));
  EXPECT_EQ(retry.retry_delay().seconds(), 2);
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
}

TEST(StatusTest, FieldViolationsBecomeBadRequest) {
  FieldViolations violations;
  violations.Add("session.labels", "too many");
  violations.Add("request_id", "too long");
  const grpc::Status status = ToGrpcStatus(violations.ToStatus());
  EXPECT_EQ(status.error_message(), "session.labels: too many");
  const auto bad_request = Find<google::rpc::BadRequest>(status);
  ASSERT_THAT(bad_request.field_violations(), SizeIs(2));
  EXPECT_EQ(bad_request.field_violations(1).field(), "request_id");
  EXPECT_EQ(bad_request.field_violations(1).description(), "too long");
}

TEST(StatusTest, FieldInMetadataBecomesBadRequest) {
  const auto bad_request = Find<google::rpc::BadRequest>(
      ToGrpcStatus(MakeError(absl::StatusCode::kInvalidArgument, "too long",
                             {.reason = "QUESTION_TOO_LONG", .metadata = {{"field", "question"}}})));
  ASSERT_THAT(bad_request.field_violations(), SizeIs(1));
  EXPECT_EQ(bad_request.field_violations(0).field(), "question");
}

TEST(StatusTest, WhateverAnErrorSaysItFitsAHeaderAndIsUtf8) {
  FieldViolations violations;
  for (int i = 0; i < 1000; ++i) violations.Add(std::string(1000, 'f'), std::string(5000, '\xE4'));
  const grpc::Status status = ToGrpcStatus(WithDetails(
      violations.ToStatus(), {.reason = "X", .metadata = {{"field", std::string(100'000, '\xFF')}, {"b", "\xC3"}}}));
  // Base64 adds a third; clients take 8 KiB of headers.
  EXPECT_LT((status.error_message().size() + status.error_details().size()) * 4 / 3, 8192u);
  EXPECT_GT(Details(status).details_size(), 1);
}

TEST(StatusTest, StartingAndDrainingAreToBeRetried) {
  for (const absl::Status& error : {StartingError(), DrainingError()}) {
    const grpc::Status status = ToGrpcStatus(error);
    EXPECT_EQ(status.error_code(), grpc::UNAVAILABLE);
    EXPECT_GT(Find<google::rpc::RetryInfo>(status).retry_delay().seconds(), 0);
  }
}

}  // namespace
}  // namespace tome::server
