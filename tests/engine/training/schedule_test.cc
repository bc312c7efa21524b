#include "engine/training/schedule.h"

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tome {
namespace {

TEST(Schedule, RisesAndThenFollowsItsKind) {
  const auto at = [](ScheduleKind kind, std::int64_t step) {
    return Schedule{.kind = kind, .learning_rate = 1, .warmup_steps = 4, .steps = 12}.At(step);
  };
  for (const ScheduleKind kind : {ScheduleKind::kConstant, ScheduleKind::kLinear, ScheduleKind::kCosine}) {
    for (std::int64_t step = 0; step < 4; ++step) EXPECT_DOUBLE_EQ(at(kind, step), 0.25 * (step + 1));
    EXPECT_DOUBLE_EQ(at(kind, 4), 1);
  }
  EXPECT_DOUBLE_EQ(at(ScheduleKind::kConstant, 11), 1);
  EXPECT_DOUBLE_EQ(at(ScheduleKind::kLinear, 8), 0.5);
  EXPECT_DOUBLE_EQ(at(ScheduleKind::kLinear, 11), 0.125);
  EXPECT_NEAR(at(ScheduleKind::kCosine, 8), 0.5, 1e-12);
  EXPECT_NEAR(at(ScheduleKind::kCosine, 10), 0.146447, 1e-6);
}

TEST(Schedule, WorksWithoutWarmUpAndForOneStep) {
  EXPECT_DOUBLE_EQ((Schedule{.kind = ScheduleKind::kLinear, .learning_rate = 3, .warmup_steps = 0, .steps = 1}.At(0)),
                   3);
  EXPECT_DOUBLE_EQ((Schedule{.learning_rate = 3, .warmup_steps = 9, .steps = 2}.At(1)), 3 * 2.0 / 9);
}

TEST(Schedule, KindsHaveNames) {
  for (const ScheduleKind kind : {ScheduleKind::kConstant, ScheduleKind::kLinear, ScheduleKind::kCosine}) {
    EXPECT_EQ(*ParseScheduleKind(ScheduleKindName(kind)), kind);
  }
  EXPECT_THAT(ParseScheduleKind("step"), testing::StatusIs(absl::StatusCode::kInvalidArgument,
                                                           ::testing::HasSubstr("constant, linear or cosine")));
}

}  // namespace
}  // namespace tome
