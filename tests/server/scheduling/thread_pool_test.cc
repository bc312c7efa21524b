#include "server/scheduling/thread_pool.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "server/scheduling/dropped.h"
#include "tests/server/waiting.h"

namespace tome::server {
namespace {

using tome::testing::Awaited;
using tome::testing::Watched;

TEST(ThreadPoolTest, RunsJobsSideBySide) {
  ThreadPool pool(2);
  Watched<int> started;
  for (int i = 0; i < 2; ++i) {
    pool.Post([&] {
      started.Update([](int& count) { ++count; });
      started.WaitUntil([](int count) { return count == 2; });  // needs the other one
    });
  }
  pool.Finish();
  EXPECT_EQ(started.Get(), 2);
}

TEST(ThreadPoolTest, FinishRunsAllJobsAlsoThoseThatJobsPost) {
  ThreadPool pool(3);
  std::atomic<int> runs = 0;
  for (int i = 0; i < 50; ++i) {
    pool.Post([&] {
      ++runs;
      pool.Post([&] {
        ++runs;
        pool.Post([&] { ++runs; });
      });
    });
  }
  pool.Finish();
  EXPECT_EQ(runs, 150);
  EXPECT_FALSE(pool.Post([&] { ++runs; }));
  pool.Finish();
  EXPECT_EQ(runs, 150);
}

TEST(SerialQueueTest, RunsOneJobAtATimeInOrder) {
  ThreadPool pool(4);
  std::vector<int> order;  // no lock: that is the point
  {
    SerialQueue queue(pool);
    for (int i = 0; i < 1000; ++i) queue.Post([&order, i] { order.push_back(i); });
  }
  pool.Finish();
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[i], i);
}

TEST(SerialQueueTest, QueuesTakeTurns) {
  ThreadPool pool(1);
  SerialQueue first(pool), second(pool);
  std::vector<char> order;
  Awaited<int> go;
  pool.Post([&] { go.Get(); });  // both queues fill up first
  for (int i = 0; i < 3; ++i) first.Post([&] { order.push_back('a'); });
  for (int i = 0; i < 3; ++i) second.Post([&] { order.push_back('b'); });
  go.callback()(1);
  pool.Finish();
  EXPECT_EQ(std::string(order.begin(), order.end()), "ababab");
}

TEST(ThreadPoolTest, WaitsUntilIdleAlsoWhileOthersPostWithoutEnd) {
  ThreadPool pool(2);
  pool.WaitUntilIdle();
  std::atomic<int> runs = 0;
  pool.Post([&] {
    pool.Post([&] { ++runs; });
    ++runs;
  });
  pool.WaitUntilIdle();
  EXPECT_EQ(runs, 2);
  std::atomic<bool> stop = false;
  std::thread others([&] {
    while (!stop) pool.Post([&] { ++runs; });
  });
  pool.WaitUntilIdle();
  stop = true;
  others.join();
  pool.Finish();
  pool.WaitUntilIdle();
}

TEST(SerialQueueTest, DropsWhatThePoolTakesNoMore) {
  ThreadPool pool(1);
  SerialQueue queue(pool);
  EXPECT_TRUE(queue.Post([] {}));
  pool.Finish();
  const auto held = std::make_shared<int>(1);
  EXPECT_FALSE(queue.Post([held] {}));
  EXPECT_FALSE(queue.Post([held] {}));
  EXPECT_EQ(held.use_count(), 1) << "what the jobs held is free";
}

TEST(AnsweredTest, IsCalledOnceWhetherTheJobRunsOrNot) {
  ThreadPool callbacks(1), pool(1);
  SerialQueue answers(callbacks), queue(pool);
  std::atomic<int> ok = 0, failed = 0;
  const std::function<void(absl::Status)> done = [&](const absl::Status& status) { ++(status.ok() ? ok : failed); };
  const auto post = [&] {
    queue.Post([done = Answered(done, answers, absl::UnavailableError("over"))] { done(absl::OkStatus()); });
  };
  post();
  pool.Finish();
  post();
  callbacks.WaitUntilIdle();
  EXPECT_EQ(ok, 1);
  EXPECT_EQ(failed, 1);
}

}  // namespace
}  // namespace tome::server
