#include "server/scheduling/timer.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/waiting.h"

namespace tome::server {
namespace {

using ::testing::ElementsAre;
using tome::testing::Awaited;
using tome::testing::Watched;

TEST(TimerTest, RunsJobsInTheOrderOfTheirTimes) {
  Watched<std::vector<int>> ran;
  Timer timer;
  const auto add = [&](int number) { return [&ran, number] { ran.Update([&](auto& r) { r.push_back(number); }); }; };
  timer.Post(absl::Milliseconds(30), add(3));
  timer.Post(absl::Milliseconds(1), add(1));
  timer.Post(absl::Milliseconds(15), add(2));
  EXPECT_THAT(ran.WaitUntil([](const auto& r) { return r.size() == 3; }), ElementsAre(1, 2, 3));
}

TEST(TimerTest, WaitsForTheDelay) {
  Timer timer;
  Awaited<bool> ran;
  const auto begin = std::chrono::steady_clock::now();
  timer.Post(absl::Milliseconds(20), [&] { ran.callback()(true); });
  ran.Get();
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(20));
}

TEST(TimerTest, FinishRunsWhatWaitsAndLaterJobsRunAtOnce) {
  std::vector<int> ran;
  Timer timer;
  timer.Post(absl::Hours(2), [&] {
    ran.push_back(2);
    timer.Post(absl::Hours(1), [&] { ran.push_back(3); });
  });
  timer.Post(absl::Hours(1), [&] { ran.push_back(1); });
  timer.Finish();
  EXPECT_THAT(ran, ElementsAre(1, 2, 3));
  timer.Post(absl::Hours(1), [&] { ran.push_back(4); });
  EXPECT_THAT(ran, ElementsAre(1, 2, 3, 4));
}

}  // namespace
}  // namespace tome::server
