#include "client/errors.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/client/fake_server.h"

namespace tome::client {
namespace {

TEST(ErrorsTest, ReadsTheDetailsOfAServersError) {
  google::rpc::Status wire;
  google::rpc::ErrorInfo info;
  info.set_reason("OFFSET_MISMATCH");
  (*info.mutable_metadata())["committed_offset"] = "4096";
  (*info.mutable_metadata())["session"] = "sessions/x";
  wire.add_details()->PackFrom(info);
  google::rpc::BadRequest request;
  auto* violation = request.add_field_violations();
  violation->set_field("write_offset");
  violation->set_description("is past the end");
  wire.add_details()->PackFrom(request);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  retry.mutable_retry_delay()->set_nanos(500'000'000);
  wire.add_details()->PackFrom(retry);

  const absl::Status status = FromGrpc({grpc::StatusCode::ABORTED, "no", wire.SerializeAsString()});
  EXPECT_TRUE(absl::IsAborted(status));
  const ErrorDetails details = DetailsOf(status);
  EXPECT_TRUE(details.present);
  EXPECT_EQ(details.reason, "OFFSET_MISMATCH");
  EXPECT_EQ(details.Number("committed_offset"), 4096);
  EXPECT_EQ(details.Number("session"), std::nullopt);
  EXPECT_EQ(details.Number("byte_offset"), std::nullopt);
  ASSERT_EQ(details.field_violations.size(), 1);
  EXPECT_EQ(details.field_violations[0].field, "write_offset");
  EXPECT_EQ(details.field_violations[0].description, "is past the end");
  EXPECT_EQ(details.retry_delay, std::chrono::milliseconds(2500));
}

TEST(ErrorsTest, TakesDetailsThatDoNotParseAsAbsent) {
  const absl::Status status = FromGrpc({grpc::StatusCode::INTERNAL, "no", "\xFFnonsense"});
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(DetailsOf(status).present);
  EXPECT_FALSE(DetailsOf(absl::OkStatus()).present);
}

TEST(ErrorsTest, KeepsAbsurdDelaysInRange) {
  google::rpc::Status wire;
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(std::numeric_limits<std::int64_t>::max());
  wire.add_details()->PackFrom(retry);
  const ErrorDetails long_wait = DetailsOf(FromGrpc({grpc::StatusCode::UNAVAILABLE, "", wire.SerializeAsString()}));
  EXPECT_GT(*long_wait.retry_delay, std::chrono::hours(24));
  retry.mutable_retry_delay()->set_seconds(-5);
  wire.clear_details();
  wire.add_details()->PackFrom(retry);
  const ErrorDetails negative = DetailsOf(FromGrpc({grpc::StatusCode::UNAVAILABLE, "", wire.SerializeAsString()}));
  EXPECT_EQ(negative.retry_delay, std::chrono::milliseconds(0));
}

TEST(ErrorsTest, TellsErrorsThatMayPassFromThoseThatStay) {
  struct Case {
    grpc::Status status;
    bool transient;
  };
  const std::chrono::milliseconds delay(1);
  const Case cases[] = {
      {{grpc::StatusCode::UNAVAILABLE, "connection refused"}, true},
      {MakeError(grpc::StatusCode::UNAVAILABLE, "", "DRAINING", {}, delay), true},
      {{grpc::StatusCode::UNKNOWN, "Stream removed"}, true},
      {{grpc::StatusCode::CANCELLED, "reset"}, true},
      {MakeError(grpc::StatusCode::CANCELLED, "", "SESSION_DELETED"), false},
      {MakeError(grpc::StatusCode::INTERNAL, "", "BUG"), false},
      {MakeError(grpc::StatusCode::RESOURCE_EXHAUSTED, "", "STATE_MEMORY", {}, delay), true},
      {MakeError(grpc::StatusCode::RESOURCE_EXHAUSTED, "", "DISK_FULL"), false},
      {{grpc::StatusCode::NOT_FOUND, ""}, false},
      {{grpc::StatusCode::DEADLINE_EXCEEDED, ""}, false},
      {{grpc::StatusCode::INVALID_ARGUMENT, ""}, false},
  };
  for (const Case& test : cases) {
    const absl::Status status = FromGrpc(test.status);
    EXPECT_EQ(IsTransient(status), test.transient) << status;
  }
}

}  // namespace
}  // namespace tome::client
