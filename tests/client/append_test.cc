#include "client/append.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "client/client.h"
#include "tests/client/fake_server.h"

namespace tome::client {
namespace {

using ::testing::HasSubstr;

// Gives the bytes of a text in pieces of the sizes that a random generator draws.
std::unique_ptr<ByteSource> TextSource(std::string text, std::uint64_t seed = 1, bool tell_size = true) {
  const std::uint64_t size = text.size();
  auto read = [text = std::move(text), at = std::size_t{0}, random = std::mt19937_64(seed)](
                  char* buffer, std::size_t room) mutable -> absl::StatusOr<std::size_t> {
    const std::size_t count = std::min({room, text.size() - at, std::size_t{1} + random() % 100'000});
    std::copy_n(text.data() + at, count, buffer);
    at += count;
    return count;
  };
  return std::make_unique<CallbackSource>(std::move(read), tell_size ? std::optional(size) : std::nullopt);
}

std::string RandomText(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string text(size, ' ');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

class AppendTest : public ::testing::Test {
 protected:
  AppendTest() { server_.AddSession("s"); }

  absl::Status Append(ByteSource& source, AppendOptions options = {}) {
    auto client = Client::Connect({.address = server_.address(),
                                   .sleeper =
                                       [this](std::chrono::milliseconds delay, const Cancellation*) {
                                         delays_.push_back(delay);
                                         if (on_sleep_) on_sleep_();
                                       },
                                   .seed = 1});
    if (options.session.empty()) options.session = "sessions/s";
    options.document = "book";
    return (*client)->Append(source, options, &report_, {.cancellation = &cancellation_});
  }
  absl::Status Append(const std::string& text, const AppendOptions& options = {}) {
    return Append(*TextSource(text), options);
  }

  FakeServer server_;
  Cancellation cancellation_;
  AppendReport report_;
  std::vector<std::chrono::milliseconds> delays_;
  std::function<void()> on_sleep_;
};

TEST_F(AppendTest, StoresSealsAndWaitsUntilRead) {
  const std::string text = RandomText(1'000'000, 1);
  std::vector<AppendProgress> seen;
  ASSERT_EQ(Append(text, {.on_progress = [&](const AppendProgress& progress) { seen.push_back(progress); }}),
            absl::OkStatus());
  EXPECT_EQ(server_.Bytes("s", "book"), text);
  EXPECT_TRUE(server_.Sealed("s", "book"));
  EXPECT_EQ(report_.durable_bytes, text.size());
  EXPECT_EQ(report_.ingested_bytes, text.size());
  EXPECT_TRUE(report_.sealed);
  EXPECT_FALSE(report_.already_there);
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().phase, AppendPhase::kReading);
  EXPECT_EQ(seen.back().total_bytes, text.size());
  EXPECT_EQ(seen.back().ingested_bytes, text.size());
  EXPECT_EQ(seen.back().tokens_per_second, 1500);
  for (std::size_t i = 1; i < seen.size(); ++i) EXPECT_GE(seen[i].durable_bytes, seen[i - 1].durable_bytes);
}

TEST_F(AppendTest, SealsAnEmptyDocument) {
  ASSERT_EQ(Append(""), absl::OkStatus());
  EXPECT_TRUE(server_.Sealed("s", "book"));
}

TEST_F(AppendTest, WaitsOnlyForWhatCanBeReadOfAnOpenDocument) {
  ASSERT_EQ(Append(RandomText(1000, 1), {.finish = false}), absl::OkStatus());
  EXPECT_FALSE(server_.Sealed("s", "book"));
  EXPECT_EQ(report_.ingested_bytes, 512);
}

TEST_F(AppendTest, GoesOnWhereAnOpenDocumentEnds) {
  ASSERT_EQ(Append("first, ", {.finish = false}), absl::OkStatus());
  ASSERT_EQ(Append("second", {.continue_document = true}), absl::OkStatus());
  EXPECT_EQ(server_.Bytes("s", "book"), "first, second");
  EXPECT_EQ(report_.resumed_at, 7);
  EXPECT_EQ(Append("third", {.continue_document = true}).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(AppendTest, ResumesAfterWhatIsStoredAlready) {
  const std::string text = RandomText(700'000, 2);
  server_.AddDocument("s", {.name = "book", .bytes = text.substr(0, 300'001)});
  // A small buffer makes several calls of the comparison.
  ASSERT_EQ(Append(text, {.chunk_bytes = 10'000, .buffer_bytes = 100'000}), absl::OkStatus());
  EXPECT_EQ(server_.Bytes("s", "book"), text);
  EXPECT_EQ(report_.resumed_at, 300'001);
  EXPECT_FALSE(report_.already_there);
}

TEST_F(AppendTest, FindsASealedDocumentWithTheSameBytesAlreadyThere) {
  const std::string text = RandomText(300'000, 3);
  ASSERT_EQ(Append(text), absl::OkStatus());
  const int stored = server_.messages_stored();
  ASSERT_EQ(Append(text), absl::OkStatus());
  EXPECT_TRUE(report_.already_there);
  ASSERT_EQ(Append(*TextSource(text, 1, /*tell_size=*/false)), absl::OkStatus());
  EXPECT_TRUE(report_.already_there);
  EXPECT_EQ(server_.messages_stored(), stored);
}

TEST_F(AppendTest, RefusesADocumentThatHoldsOtherBytes) {
  const std::string text = RandomText(300'000, 4);
  std::string other = text;
  other[123'456] ^= 1;
  struct Case {
    std::string name;
    FakeDocument stored;
    std::string sent;
    absl::StatusCode code;
  };
  const Case cases[] = {
      {"a byte of an open document", {.bytes = other}, text, absl::StatusCode::kAborted},
      {"a byte of a sealed document", {.bytes = other, .sealed = true}, text, absl::StatusCode::kAborted},
      {"shorter", {.bytes = text}, text.substr(0, 1000), absl::StatusCode::kFailedPrecondition},
      {"shorter, sealed", {.bytes = text, .sealed = true}, text.substr(0, 9), absl::StatusCode::kFailedPrecondition},
      {"longer, sealed", {.bytes = text, .sealed = true}, text + "x", absl::StatusCode::kFailedPrecondition},
  };
  for (const Case& test : cases) {
    for (const bool tell_size : {true, false}) {
      server_.AddSession(test.name);
      FakeDocument stored = test.stored;
      stored.name = "book";
      server_.AddDocument(test.name, stored);
      const absl::Status status = Append(*TextSource(test.sent, 1, tell_size), {.session = "sessions/" + test.name});
      EXPECT_EQ(status.code(), test.code) << test.name << ": " << status;
      EXPECT_EQ(server_.Bytes(test.name, "book"), test.stored.bytes) << test.name;
      EXPECT_FALSE(report_.already_there);
    }
  }
  EXPECT_TRUE(delays_.empty());
}

TEST_F(AppendTest, SaysWhatDocumentAndInputShare) {
  const std::string text = RandomText(300'000, 5);
  const auto changed = [&](std::size_t at) {
    std::string other = text;
    other[at] ^= 1;
    return other;
  };
  struct Case {
    std::string name;
    bool sealed;
    std::string sent;
    AppendConflict conflict;
    std::uint64_t same_bytes;
    std::string message;  // a part of it
  };
  const Case cases[] = {
      {"grown", true, text + "more", AppendConflict::kLonger, text.size(), "sealed with 300000 bytes"},
      {"grown and changed", true, changed(250'000) + "more", AppendConflict::kDiffers, 250'000, "the first 250000 are"},
      {"changed", true, changed(0), AppendConflict::kDiffers, 0, "the first 0 are"},
      {"changed at the end", true, changed(299'999), AppendConflict::kDiffers, 299'999, "the first 299999 are"},
      {"changed, open", false, changed(7), AppendConflict::kDiffers, 7, "the first 7 are"},
      {"shorter", true, text.substr(0, 100'001), AppendConflict::kShorter, 100'001, "the input ends after 100001"},
      {"shorter, open", false, text.substr(0, 9), AppendConflict::kShorter, 9, "the input ends after 9"},
      {"shorter and changed", true, changed(5).substr(0, 9), AppendConflict::kDiffers, 5, "the first 5 are"},
      {"empty", true, "", AppendConflict::kShorter, 0, "the input ends after 0"},
  };
  for (const Case& test : cases) {
    for (const bool tell_size : {true, false}) {
      SCOPED_TRACE(test.name);
      server_.AddSession(test.name);
      server_.AddDocument(test.name, {.name = "book", .bytes = text, .sealed = test.sealed});
      // A small buffer makes several calls of the comparison.
      const absl::Status status =
          Append(*TextSource(test.sent, 1, tell_size),
                 {.session = "sessions/" + test.name, .chunk_bytes = 10'000, .buffer_bytes = 50'000});
      EXPECT_FALSE(status.ok());
      EXPECT_THAT(std::string(status.message()), HasSubstr(test.message));
      EXPECT_EQ(report_.conflict, test.conflict);
      EXPECT_EQ(report_.same_bytes, test.same_bytes);
      EXPECT_EQ(server_.Bytes(test.name, "book"), text);
    }
  }
  ASSERT_EQ(Append(text), absl::OkStatus());
  EXPECT_EQ(report_.conflict, AppendConflict::kNone);
}

TEST_F(AppendTest, TellsThatTheSessionDoesNotExistWithoutTryingAgain) {
  EXPECT_EQ(Append("text", {.session = "sessions/none"}).code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(report_.begun);
  EXPECT_TRUE(delays_.empty());
}

TEST_F(AppendTest, TellsWhereTheTextIsNotUtf8AndStoresItWhenTold) {
  const absl::Status status = Append("good \xFF bad");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailsOf(status).Number("byte_offset"), 5);
  EXPECT_TRUE(delays_.empty());
  ASSERT_EQ(Append("good \xFF bad", {.invalid_utf8 = v1::INVALID_UTF8_POLICY_REPLACE}), absl::OkStatus());
  EXPECT_EQ(server_.policies().back(), v1::INVALID_UTF8_POLICY_REPLACE);
}

TEST_F(AppendTest, WaitsAsLongAsTheServerWants) {
  server_.AddFault({.kind = AppendFault::Kind::kExhausted});
  server_.AddFault({.kind = AppendFault::Kind::kUnavailable});
  ASSERT_EQ(Append("text"), absl::OkStatus());
  EXPECT_EQ(delays_, (std::vector{std::chrono::milliseconds(2500), std::chrono::milliseconds(1500)}));
  EXPECT_EQ(report_.retries, 2);
}

TEST_F(AppendTest, GivesUpWhenNothingMovesForTooLong) {
  for (int i = 0; i < 100; ++i) server_.AddFault({.kind = AppendFault::Kind::kDrop});
  EXPECT_FALSE(Append("text", {.retry = {.give_up_after = std::chrono::seconds(3)}}).ok());
  EXPECT_TRUE(report_.begun);
  EXPECT_LT(server_.append_calls(), 10);
}

TEST_F(AppendTest, NeverGivesUpWhileItMovesOn) {
  const std::string text = RandomText(100'000, 5);
  for (int i = 0; i < 50; ++i) server_.AddFault({.kind = AppendFault::Kind::kDrop, .after_messages = 1});
  ASSERT_EQ(Append(text, {.chunk_bytes = 1000, .retry = {.give_up_after = std::chrono::milliseconds(150)}}),
            absl::OkStatus());
  EXPECT_EQ(server_.Bytes("s", "book"), text);
}

TEST_F(AppendTest, SendsTheFinishAgainWhenItsReplyWasLost) {
  server_.AddFault({.kind = AppendFault::Kind::kDrop, .store_message = true});
  ASSERT_EQ(Append(""), absl::OkStatus());
  EXPECT_EQ(server_.messages_stored(), 1);
  EXPECT_TRUE(report_.sealed);
  EXPECT_FALSE(report_.already_there);
}

TEST_F(AppendTest, TellsWhenTheServerHasLostAcknowledgedBytes) {
  const std::string text = RandomText(100'000, 6);
  server_.AddFault({.kind = AppendFault::Kind::kDrop, .after_messages = 5});
  // While the client waits, the session is made anew: everything is gone.
  on_sleep_ = [this] {
    auto client = Client::Connect({.address = server_.address()});
    ASSERT_TRUE((*client)->DeleteSession("sessions/s").ok());
    server_.AddSession("s");
  };
  const absl::Status status = Append(text, {.chunk_bytes = 1000});
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

TEST_F(AppendTest, GoesOnAfterTheServerWasRestarted) {
  const std::string text = RandomText(2'000'000, 7);
  server_.AddFault({.kind = AppendFault::Kind::kDrop, .after_messages = 10, .store_message = true});
  on_sleep_ = [this] {
    server_.Stop();
    server_.Start();
    on_sleep_ = nullptr;
  };
  ASSERT_EQ(Append(text, {.chunk_bytes = 10'000}), absl::OkStatus());
  EXPECT_EQ(server_.Bytes("s", "book"), text);
}

TEST_F(AppendTest, CountsOnlyItsOwnBytesBesideEarlierDocuments) {
  server_.AddDocument("s", {.name = "earlier", .bytes = std::string(5000, 'x'), .sealed = true});
  ASSERT_EQ(Append("text"), absl::OkStatus());
  EXPECT_EQ(report_.durable_bytes, 4);
  EXPECT_EQ(report_.ingested_bytes, 4);
}

TEST_F(AppendTest, PassesOnTheErrorOfItsSourceAndDoesNotSeal) {
  bool first = true;
  CallbackSource source([&](char* buffer, std::size_t) -> absl::StatusOr<std::size_t> {
    if (!std::exchange(first, false)) return absl::InternalError("the disk broke");
    *buffer = 'x';
    return 1;
  });
  EXPECT_EQ(Append(source), absl::InternalError("the disk broke"));
  EXPECT_TRUE(delays_.empty());
  EXPECT_FALSE(server_.Sealed("s", "book"));
}

TEST_F(AppendTest, StopsWhenCancelledThoughItsSourceIsSilent) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  auto source = FileSource::Open("/dev/fd/" + std::to_string(ends[0]));
  ASSERT_TRUE(source.ok()) << source.status();
  ASSERT_EQ(write(ends[1], "some text", 9), 9);
  absl::Status status;
  std::thread appending([&] { status = Append(**source); });
  EXPECT_TRUE(server_.WaitUntil([this] { return server_.DurableLocked("s") == 9; }));
  cancellation_.Cancel();
  appending.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(report_.begun);
  EXPECT_FALSE(server_.Sealed("s", "book"));
  close(ends[0]);
  close(ends[1]);
}

TEST_F(AppendTest, StopsWaitingForTheReadingWhenCancelled) {
  server_.HoldReading(true);
  std::thread cancelling([this] {
    EXPECT_TRUE(server_.WaitUntil([this] { return server_.DurableLocked("s") == 4; }));
    cancellation_.Cancel();
  });
  EXPECT_EQ(Append("text").code(), absl::StatusCode::kCancelled);
  cancelling.join();
}

// Whatever breaks, and whenever: every byte arrives once, in order.
TEST_F(AppendTest, DeliversEveryByteOnceThroughRandomFailures) {
  using Kind = AppendFault::Kind;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const std::string id = "r" + std::to_string(seed);
    const std::string text = RandomText(random() % 400'000, seed);
    server_.AddSession(id);
    if (random() % 2 == 0) {
      server_.AddDocument(id, {.name = "book", .bytes = text.substr(0, random() % (text.size() + 1))});
    }
    const int faults = static_cast<int>(random() % 12);
    for (int i = 0; i < faults; ++i) {
      const Kind kinds[] = {Kind::kDrop, Kind::kUnavailable, Kind::kAborted, Kind::kExhausted, Kind::kEndsEarly};
      server_.AddFault({.kind = kinds[random() % 5],
                        .after_messages = static_cast<int>(random() % 6),
                        .store_message = random() % 2 == 0});
    }
    const std::size_t chunk = 1 + random() % 50'000;
    const int before = server_.messages_stored();
    const auto source = TextSource(text, seed, random() % 2 == 0);
    const absl::Status status = Append(*source, {.session = "sessions/" + id,
                                                 .finish = random() % 4 != 0,
                                                 .chunk_bytes = chunk,
                                                 .buffer_bytes = chunk * (1 + random() % 4)});
    ASSERT_EQ(status, absl::OkStatus());
    // The server refuses gaps, overlaps and changed repeats, so equal bytes mean that each was accepted once.
    ASSERT_EQ(server_.Bytes(id, "book"), text);
    EXPECT_EQ(report_.durable_bytes, text.size());
    EXPECT_LE(server_.messages_stored() - before, static_cast<int>(text.size()) + 1);
    // Faults that were not met must not wait for the next round.
    server_.ClearFaults();
  }
}

}  // namespace
}  // namespace tome::client
