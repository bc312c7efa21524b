// Commits that wait for more bytes.
#include "server/reading/append_queue.h"
#include "tests/server/session/manager_fixture.h"

namespace tome::server {
namespace {

using ::testing::SizeIs;
using tome::testing::Awaited;
using tome::testing::IsOk;

PendingWrite Message(std::size_t bytes, bool finish = false) {
  return {.writer = nullptr,
          .request = {.data = std::string(bytes, 'x'), .finish = finish},
          .done = nullptr,
          .activity = nullptr};
}

TEST(AppendQueueTest, TellsTheFirstWriteAndTheOneThatEndsTheWait) {
  AppendQueue queue(/*max_bytes=*/1000, /*batch_bytes=*/100);
  EXPECT_FALSE(queue.HasTime()) << "there is nothing";
  EXPECT_TRUE(queue.Push(Message(40)));
  EXPECT_TRUE(queue.HasTime());
  EXPECT_FALSE(queue.Push(Message(40)));
  EXPECT_TRUE(queue.HasTime());
  EXPECT_TRUE(queue.Push(Message(40))) << "enough for a commit";
  EXPECT_FALSE(queue.HasTime());
  EXPECT_FALSE(queue.Push(Message(40)));
  EXPECT_THAT(queue.Take(), SizeIs(2));
  EXPECT_TRUE(queue.HasTime());
  EXPECT_TRUE(queue.Push(Message(0, /*finish=*/true))) << "nothing follows for which to wait";
  EXPECT_FALSE(queue.HasTime());
  EXPECT_THAT(queue.Take(), SizeIs(3));
  EXPECT_THAT(queue.Take(), SizeIs(0));
  EXPECT_TRUE(queue.Push(Message(1000))) << "larger than a batch";
  EXPECT_FALSE(queue.HasTime());
  EXPECT_THAT(queue.Take(), SizeIs(1));
}

class GroupCommitTest : public tome::testing::ManagerFixture {
 protected:
  using Result = Awaited<absl::StatusOr<WriteResult>>;

  void Begin(absl::Duration max_commit_delay) {
    options_.max_commit_delay = max_commit_delay;
    options_.max_commit_bytes = 100;
    Open();
    CreateSession("session");
    writer_ = manager_->OpenDocument("session", "doc", Utf8Policy::kRefuse).value();
  }
  Result Send(std::size_t bytes, bool finish = false) {
    Result result;
    writer_->Write({.offset = offset_, .data = std::string(bytes, 'x'), .finish = finish}, result.callback());
    offset_ += bytes;
    return result;
  }
  int Commits() { return events_.counts.Get().commits; }

  std::unique_ptr<DocumentWriter> writer_;
  ByteOffset offset_ = 0;
};

TEST_F(GroupCommitTest, WaitsForEnoughBytesOrTheEnd) {
  Begin(absl::Hours(1));
  EXPECT_THAT(Send(10).Get(), IsOk()) << "there was no commit before";
  EXPECT_EQ(Commits(), 1);
  const Result first = Send(40), second = Send(40);
  EXPECT_FALSE(first.Has());
  const Result third = Send(40);
  EXPECT_EQ(first.Get()->durable_offset, 50u);
  EXPECT_EQ(second.Get()->durable_offset, 90u);
  EXPECT_EQ(Commits(), 2) << "of two that are less than 100 bytes";
  EXPECT_FALSE(third.Has());
  const Result end = Send(5, /*finish=*/true);
  EXPECT_THAT(third.Get(), IsOk());
  EXPECT_THAT(end.Get(), IsOk());
  EXPECT_EQ(Commits(), 3);
}

TEST_F(GroupCommitTest, WaitsNoLongerThanTheDelay) {
  Begin(absl::Milliseconds(2));
  for (int i = 0; i < 10; ++i) EXPECT_THAT(Send(1).Get(), IsOk());
  EXPECT_EQ(Commits(), 10);
}

TEST_F(GroupCommitTest, AStopCommitsWhatWaits) {
  Begin(absl::Hours(1));
  EXPECT_THAT(Send(10).Get(), IsOk());
  const Result last = Send(10);
  writer_.reset();
  manager_->Shutdown();
  EXPECT_EQ(last.Get()->durable_offset, 20u);
  options_.max_commit_delay = absl::ZeroDuration();
  Open();
  EXPECT_EQ(manager_->Get("session")->durable_bytes, 20u);
}

TEST_F(GroupCommitTest, AfterTheDelayNothingWaits) {
  Begin(absl::Hours(1));
  EXPECT_THAT(Send(10).Get(), IsOk());
  clock_.Advance(absl::Hours(2));
  EXPECT_THAT(Send(10).Get(), IsOk());
}

}  // namespace
}  // namespace tome::server
