#include "server/telemetry/memory_watch.h"

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "engine/base/process_memory.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"

namespace tome::server {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(TrimPolicyTest, TriesWhenMuchMoreIsHeldThanAccounted) {
  TrimPolicy policy;
  const absl::Time now = absl::UnixEpoch();
  EXPECT_FALSE(policy.ShouldTrim(100 * kMiB, 100 * kMiB, now));
  EXPECT_FALSE(policy.ShouldTrim(90 * kMiB, 100 * kMiB, now)) << "less than accounted";
  EXPECT_FALSE(policy.ShouldTrim(23 * kMiB, 20 * kMiB, now)) << "too little to be worth it";
  EXPECT_TRUE(policy.ShouldTrim(24 * kMiB, 20 * kMiB, now));
  EXPECT_FALSE(policy.ShouldTrim(1040 * kMiB, 1000 * kMiB, now)) << "within a twentieth";
  EXPECT_TRUE(policy.ShouldTrim(1051 * kMiB, 1000 * kMiB, now));
}

TEST(TrimPolicyTest, AfterAnAttemptThatDidNotHelpItWaitsForMoreOrAWhile) {
  TrimPolicy policy;
  absl::Time now = absl::UnixEpoch();
  ASSERT_TRUE(policy.ShouldTrim(300 * kMiB, 100 * kMiB, now));
  policy.OnTrimmed(290 * kMiB, 100 * kMiB, now);
  now += absl::Seconds(5);
  EXPECT_FALSE(policy.ShouldTrim(293 * kMiB, 100 * kMiB, now));
  EXPECT_TRUE(policy.ShouldTrim(294 * kMiB, 100 * kMiB, now)) << "more came together";
  EXPECT_TRUE(policy.ShouldTrim(300 * kMiB, 100 * kMiB, now + absl::Seconds(10)));
  policy.OnTrimmed(100 * kMiB, 100 * kMiB, now);
  EXPECT_TRUE(policy.ShouldTrim(116 * kMiB, 100 * kMiB, now)) << "the last attempt helped";
}

double Value(const Metrics& metrics, const std::string& kind) {
  const std::string text = prometheus::TextSerializer().Serialize(metrics.registry()->Collect());
  const std::string key = "tome_process_memory_bytes{kind=\"" + kind + "\"} ";
  return std::stod(text.substr(text.find(key) + key.size()));
}

// The allocator keeps pages between blocks that are still in use, and at the end of its heaps, until it is asked.
TEST(MemoryWatchTest, GivesBackWhatWasFreed) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's allocator keeps what was freed";
#endif
  Metrics metrics({.version = "1", .revision = "a"});
  std::vector<std::unique_ptr<std::string>> kept;
  const std::size_t before = AnonymousBytes();
  const MemoryWatch watch(metrics, absl::Milliseconds(5));
  std::thread([&kept] {
    std::vector<std::unique_ptr<std::string>> freed;
    for (int i = 0; i < 4000; ++i) {
      freed.push_back(std::make_unique<std::string>(40'000, 'x'));
      if (i % 100 == 0) kept.push_back(std::make_unique<std::string>(100, 'x'));
    }
  }).join();
  const absl::Time end = absl::Now() + absl::Seconds(30);
  while (AnonymousBytes() > before + 30 * kMiB && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_LE(AnonymousBytes(), before + 30 * kMiB);
}

TEST(MemoryWatchTest, AccountsForWhatSessionsHold) {
  Metrics metrics({.version = "1", .revision = "a"});
  metrics.OnStateBytes(/*reserved=*/500 * kMiB, /*held=*/300 * kMiB);
  const std::size_t own = AnonymousBytes();
  const MemoryWatch watch(metrics, absl::Milliseconds(5));
  const absl::Time end = absl::Now() + absl::Seconds(30);
  while (Value(metrics, "accounted") == 0 && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_NEAR(Value(metrics, "accounted"), static_cast<double>(own + 308 * kMiB), 10 * kMiB);
}

}  // namespace
}  // namespace tome::server
