#include "engine/base/status.h"

#include "absl/strings/cord.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::tome::testing::IsOk;
using ::tome::testing::StatusIs;

TEST(StatusTest, HelpersFormatTheirMessages) {
  EXPECT_THAT(InvalidArgument("{} of {}", 1, "two"), StatusIs(absl::StatusCode::kInvalidArgument, "1 of two"));
  EXPECT_THAT(NotFound("x"), StatusIs(absl::StatusCode::kNotFound, "x"));
  EXPECT_THAT(FailedPrecondition("x"), StatusIs(absl::StatusCode::kFailedPrecondition, "x"));
  EXPECT_THAT(OutOfRange("x"), StatusIs(absl::StatusCode::kOutOfRange, "x"));
  EXPECT_THAT(ResourceExhausted("x"), StatusIs(absl::StatusCode::kResourceExhausted, "x"));
  EXPECT_THAT(DataLoss("x"), StatusIs(absl::StatusCode::kDataLoss, "x"));
  EXPECT_THAT(Internal("x"), StatusIs(absl::StatusCode::kInternal, "x"));
}

TEST(StatusTest, AnnotateKeepsCodeAndPayloads) {
  absl::Status status = DataLoss("broken");
  status.SetPayload("type.example/detail", absl::Cord("bytes"));
  const absl::Status annotated = Annotate(status, "file.db");
  EXPECT_THAT(annotated, StatusIs(absl::StatusCode::kDataLoss, "file.db: broken"));
  EXPECT_EQ(annotated.GetPayload("type.example/detail"), absl::Cord("bytes"));
  EXPECT_THAT(Annotate(absl::OkStatus(), "file.db"), IsOk());
}

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("{} is odd", value);
  return value / 2;
}

absl::StatusOr<int> Quarter(int value) {
  TOME_ASSIGN_OR_RETURN(const int half, Half(value));
  TOME_ASSIGN_OR_RETURN(const int quarter, Half(half));
  TOME_RETURN_IF_ERROR(absl::OkStatus());
  return quarter;
}

TEST(StatusTest, MacrosPassErrorsOn) {
  EXPECT_EQ(Quarter(12).value(), 3);
  EXPECT_THAT(Quarter(6), StatusIs(absl::StatusCode::kInvalidArgument, "3 is odd"));
}

}  // namespace
}  // namespace tome
