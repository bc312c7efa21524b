// GoogleTest matchers for absl::Status and absl::StatusOr.
#ifndef TOME_TESTS_SUPPORT_STATUS_MATCHERS_H_
#define TOME_TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <ostream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tome::testing {

inline const absl::Status& GetStatus(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& GetStatus(const absl::StatusOr<T>& result) {
  return result.status();
}

// EXPECT_THAT(Open(path), IsOk())
MATCHER(IsOk, negation ? "is an error" : "is OK") {
  const absl::Status& status = GetStatus(arg);
  *result_listener << "which is " << status.ToString();
  return status.ok();
}

// EXPECT_THAT(Open(path), StatusIs(absl::StatusCode::kNotFound, HasSubstr("no such file")))
MATCHER_P2(StatusIs, code, message_matcher,
           "has the code " + absl::StatusCodeToString(code) + " and a message that " +
               ::testing::DescribeMatcher<std::string>(message_matcher)) {
  const absl::Status& status = GetStatus(arg);
  *result_listener << "which is " << status.ToString();
  return status.code() == code && ::testing::Matches(message_matcher)(std::string(status.message()));
}

}  // namespace tome::testing

// Unwraps an absl::StatusOr in a test, or fails the test and leaves it.
#define TOME_ASSERT_OK_AND_ASSIGN(declaration, expression) \
  TOME_ASSERT_OK_AND_ASSIGN_INNER_(TOME_TEST_CONCAT_(tome_result_, __LINE__), declaration, expression)
#define TOME_ASSERT_OK_AND_ASSIGN_INNER_(holder, declaration, expression) \
  auto holder = (expression);                                             \
  ASSERT_THAT(holder, ::tome::testing::IsOk());                           \
  declaration = *std::move(holder)
#define TOME_TEST_CONCAT_INNER_(a, b) a##b
#define TOME_TEST_CONCAT_(a, b) TOME_TEST_CONCAT_INNER_(a, b)

#endif  // TOME_TESTS_SUPPORT_STATUS_MATCHERS_H_
