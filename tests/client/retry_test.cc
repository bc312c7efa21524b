#include "client/retry.h"

#include <gtest/gtest.h>

namespace tome::client {
namespace {

using std::chrono::milliseconds;

TEST(BackoffTest, GrowsToItsLimitWithinTheJitter) {
  const RetryPolicy policy{.initial_delay = milliseconds(100),
                           .multiplier = 2,
                           .max_delay = milliseconds(1000),
                           .jitter = 0.25,
                           .give_up_after = std::chrono::hours(1)};
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Backoff backoff(policy, seed);
    for (const int nominal : {100, 200, 400, 800, 1000, 1000}) {
      const auto delay = backoff.Next(std::nullopt);
      ASSERT_TRUE(delay.has_value());
      EXPECT_GE(delay->count(), nominal * 3 / 4);
      EXPECT_LE(delay->count(), nominal * 5 / 4);
    }
  }
}

TEST(BackoffTest, DrawsDifferentDelaysForDifferentSeeds) {
  EXPECT_NE(Backoff({}, 1).Next(std::nullopt), Backoff({}, 2).Next(std::nullopt));
  EXPECT_EQ(Backoff({}, 1).Next(std::nullopt), Backoff({}, 1).Next(std::nullopt));
}

TEST(BackoffTest, NeverComesBeforeTheServerWantsIt) {
  Backoff backoff({.give_up_after = std::chrono::minutes(1)}, 1);
  EXPECT_EQ(backoff.Next(milliseconds(7000)), milliseconds(7000));
  // The server's smaller wish does not shorten our own delay.
  EXPECT_GT(*backoff.Next(milliseconds(1)), milliseconds(100));
}

TEST(BackoffTest, GivesUpWhenTheDelaysAddUpToTooMuch) {
  Backoff backoff(
      {.initial_delay = milliseconds(100), .multiplier = 1, .jitter = 0, .give_up_after = milliseconds(250)}, 1);
  EXPECT_TRUE(backoff.Next(std::nullopt).has_value());
  EXPECT_TRUE(backoff.Next(std::nullopt).has_value());
  EXPECT_FALSE(backoff.Next(std::nullopt).has_value());
  backoff.Reset();
  EXPECT_TRUE(backoff.Next(std::nullopt).has_value());
}

TEST(BackoffTest, GivesUpAtOnceWhenTheServerWantsTooLongAWait) {
  EXPECT_FALSE(Backoff({}, 1).Next(std::chrono::hours(300)).has_value());
}

TEST(BackoffTest, IsMorePatientWithAServerThatAnswers) {
  const RetryPolicy policy{.give_up_after = milliseconds(500), .server_patience = milliseconds(3000)};
  Backoff backoff(policy, 1);
  EXPECT_TRUE(backoff.Next(milliseconds(1000)).has_value());
  EXPECT_TRUE(backoff.Next(milliseconds(1000)).has_value());
  EXPECT_FALSE(backoff.Next(std::nullopt).has_value());
  EXPECT_TRUE(backoff.Next(milliseconds(1000)).has_value());
  EXPECT_FALSE(backoff.Next(milliseconds(1000)).has_value());
}

TEST(CancellationTest, RunsCallbacksOnceAndOnlyWhileRegistered) {
  Cancellation cancellation;
  int kept = 0, dropped = 0, late = 0;
  const auto registration = cancellation.OnCancel([&] { ++kept; });
  {
    const auto gone = cancellation.OnCancel([&] { ++dropped; });
  }
  EXPECT_FALSE(cancellation.cancelled());
  cancellation.Cancel();
  cancellation.Cancel();
  const auto after = cancellation.OnCancel([&] { ++late; });
  EXPECT_TRUE(cancellation.cancelled());
  EXPECT_TRUE(cancellation.WaitFor(std::chrono::hours(1)));
  EXPECT_EQ(kept, 1);
  EXPECT_EQ(dropped, 0);
  EXPECT_EQ(late, 1);
}

}  // namespace
}  // namespace tome::client
