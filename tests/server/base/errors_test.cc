#include "server/base/errors.h"

#include <cerrno>

#include "engine/base/status.h"
#include "gtest/gtest.h"

namespace tome::server {
namespace {

TEST(ErrorsTest, DetailsSurviveTheStatusAndItsAnnotation) {
  const ErrorDetails cases[] = {
      {},
      {.reason = "OFFSET_MISMATCH", .metadata = {{"committed_offset", "42"}, {"document", std::string("a\0\xFF", 3)}}},
      {.reason = "QUESTION_LIMIT", .retry_delay = absl::Milliseconds(1500)},
      {.reason = "NOW", .retry_delay = absl::ZeroDuration()},
  };
  for (const ErrorDetails& details : cases) {
    const absl::Status status = MakeError(absl::StatusCode::kAborted, "no", details);
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    EXPECT_EQ(GetErrorDetails(status), details);
    EXPECT_EQ(GetErrorDetails(Annotate(status, "session x")), details);
  }
}

TEST(ErrorsTest, OtherStatusesHaveNoDetails) {
  EXPECT_EQ(GetErrorDetails(absl::OkStatus()), std::nullopt);
  EXPECT_EQ(GetErrorDetails(absl::InternalError("x")), std::nullopt);
  EXPECT_TRUE(WithDetails(absl::OkStatus(), {.reason = "X"}).ok());
}

TEST(ErrorsTest, TellsWhatTheStorageCouldNotDoFromWhatIsWrongWithIt) {
  struct Case {
    int error;
    absl::StatusCode code;
    bool storage_failure;
  };
  for (const Case& test :
       {Case{ENOSPC, absl::StatusCode::kResourceExhausted, true},
        Case{EDQUOT, absl::StatusCode::kResourceExhausted, true}, Case{EIO, absl::StatusCode::kDataLoss, true},
        Case{EROFS, absl::StatusCode::kPermissionDenied, false}, Case{ENOENT, absl::StatusCode::kNotFound, false},
        Case{EMFILE, absl::StatusCode::kInternal, false}}) {
    const absl::Status status = StorageError(test.error, "file: what");
    EXPECT_EQ(status.code(), test.code) << test.error;
    EXPECT_EQ(status.message(), "file: what");
    EXPECT_EQ(IsStorageFailure(status), test.storage_failure) << test.error;
    EXPECT_EQ(IsStorageFailure(Annotate(status, "more")), test.storage_failure) << test.error;
  }
  EXPECT_FALSE(IsStorageFailure(MakeError(absl::StatusCode::kDataLoss, "", {.reason = "STORED_DATA_DAMAGED"})));
  EXPECT_FALSE(IsStorageFailure(absl::OkStatus()));
}

TEST(ErrorsTest, AFieldIsNamedOtherwiseWhereItIsTheOneMeant) {
  const absl::Status status =
      MakeError(absl::StatusCode::kInvalidArgument, "too long",
                {.reason = "INVALID_FIELD", .metadata = {{"field", "question"}, {"limit", "8"}}});
  const ErrorDetails renamed = {.reason = "INVALID_FIELD", .metadata = {{"field", "text"}, {"limit", "8"}}};
  EXPECT_EQ(GetErrorDetails(WithField(status, "question", "text")), renamed);
  EXPECT_EQ(WithField(status, "question", "text").message(), "too long");
  EXPECT_EQ(WithField(status, "query", "text"), status);
  EXPECT_EQ(WithField(absl::InternalError("x"), "question", "text"), absl::InternalError("x"));
  EXPECT_TRUE(WithField(absl::OkStatus(), "question", "text").ok());
}

}  // namespace
}  // namespace tome::server
