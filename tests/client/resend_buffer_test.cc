#include "client/resend_buffer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "client/source.h"
#include "fmt/format.h"

namespace tome::client {
namespace {

const std::atomic<bool> kNever = false;

std::string Data(const absl::StatusOr<std::optional<ResendBuffer::Piece>>& piece) {
  return piece.ok() && piece->has_value() ? (*piece)->data : "(none)";
}

TEST(ResendBufferTest, GivesBytesAgainUntilTheyAreReleased) {
  ResendBuffer buffer(8, 100);
  ASSERT_TRUE(buffer.Push("abcdef"));
  EXPECT_EQ(Data(buffer.Take(100, 4, kNever)), "abcd");
  EXPECT_EQ(Data(buffer.Take(102, 100, kNever)), "cdef");
  buffer.Release(103);
  EXPECT_EQ(buffer.first_offset(), 103);
  buffer.Release(101);
  EXPECT_EQ(buffer.first_offset(), 103);
  ASSERT_TRUE(buffer.Push("ghijk"));  // goes around the ring's end
  EXPECT_EQ(Data(buffer.Take(103, 100, kNever)), "defghijk");
  buffer.Release(1000);
  EXPECT_EQ(buffer.first_offset(), 111);
}

TEST(ResendBufferTest, MarksTheLastPiece) {
  ResendBuffer buffer(8, 0);
  ASSERT_TRUE(buffer.Push("abcd"));
  EXPECT_FALSE((*buffer.Take(0, 4, kNever))->last);
  buffer.End(absl::OkStatus());
  EXPECT_FALSE((*buffer.Take(0, 2, kNever))->last);
  EXPECT_TRUE((*buffer.Take(2, 2, kNever))->last);
  const auto end = buffer.Take(4, 2, kNever);
  EXPECT_EQ(Data(end), "");
  EXPECT_TRUE((*end)->last);
}

TEST(ResendBufferTest, GivesTheSourcesErrorAfterItsBytes) {
  ResendBuffer buffer(8, 0);
  ASSERT_TRUE(buffer.Push("ab"));
  buffer.End(absl::DataLossError("broken"));
  EXPECT_EQ(Data(buffer.Take(0, 8, kNever)), "ab");
  EXPECT_EQ(buffer.Take(2, 8, kNever).status(), absl::DataLossError("broken"));
}

TEST(ResendBufferTest, MakesTheSourceWaitWhenFull) {
  ResendBuffer buffer(4, 0);
  std::thread pushing([&] {
    EXPECT_TRUE(buffer.Push("abcdefghij"));
    buffer.End(absl::OkStatus());
  });
  std::string all;
  for (bool last = false; !last;) {
    const auto piece = buffer.Take(all.size(), 3, kNever);
    ASSERT_TRUE(piece.ok() && piece->has_value());
    all += (*piece)->data;
    last = (*piece)->last;
    buffer.Release(all.size());
  }
  pushing.join();
  EXPECT_EQ(all, "abcdefghij");
}

TEST(ResendBufferTest, LetsGoOfWaitersWhenStoppedOrClosed) {
  ResendBuffer buffer(4, 0);
  std::atomic<bool> stop = false;
  std::thread taking([&] { EXPECT_EQ(Data(buffer.Take(0, 1, stop)), "(none)"); });
  stop = true;
  buffer.Wake();
  taking.join();
  std::thread pushing([&] { EXPECT_FALSE(buffer.Push("abcdefgh")); });
  buffer.Close();
  pushing.join();
  EXPECT_EQ(Data(buffer.Take(0, 1, kNever)), "(none)");
}

TEST(FileSourceTest, ReadsAFileAndKnowsItsSize) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / fmt::format("source-{}", getpid());
  std::ofstream(path) << "some text";
  auto source = FileSource::Open(path);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->size(), 9);
  char buffer[5];
  EXPECT_EQ((*source)->Read(buffer, 5).value(), 5);
  EXPECT_EQ((*source)->Read(buffer, 5).value(), 4);
  EXPECT_EQ((*source)->Read(buffer, 5).value(), 0);
  std::filesystem::remove(path);
}

TEST(FileSourceTest, NamesWhatItCannotOpen) {
  EXPECT_EQ(FileSource::Open("/no/such/file").status().message(),
            "cannot open /no/such/file: No such file or directory");
  EXPECT_EQ(FileSource::Open("/").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(FileSourceTest, CanBeInterrupted) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  auto source = FileSource::Open(fmt::format("/dev/fd/{}", ends[0]));
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->size(), std::nullopt);
  std::thread interrupting([&] { (*source)->Interrupt(); });
  char byte;
  EXPECT_EQ((*source)->Read(&byte, 1).status().code(), absl::StatusCode::kCancelled);
  interrupting.join();
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace tome::client
