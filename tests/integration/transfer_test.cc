// Sessions out of a real server and into one, over connections that are cut.
#include <limits>
#include <memory>
#include <string>

#include "client/client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/cutting_proxy.h"
#include "tests/integration/server_fixture.h"
#include "tests/server/tiny_server_model.h"

namespace tome::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kUncut = std::numeric_limits<std::size_t>::max();

class TransferTest : public ServerFixture {
 protected:
  static std::unique_ptr<client::Client> Connect(const std::string& address) {
    client::ConnectOptions options{.address = address};
    options.sleeper = [](std::chrono::milliseconds, const client::Cancellation*) {};  // cuts pass at once
    return client::Client::Connect(std::move(options)).value();
  }

  std::string Export(client::Client& from) {
    v1::ExportSessionRequest request;
    request.set_name("sessions/book");
    std::string bundle;
    const auto take = [&](std::string_view bytes) {
      bundle += bytes;
      return absl::OkStatus();
    };
    const auto restart = []() -> absl::Status { return absl::InternalError("it began anew"); };
    const absl::Status status = from.ExportSession(request, {.take = take, .restart = restart});
    EXPECT_TRUE(status.ok()) << status;
    return bundle;
  }

  std::unique_ptr<client::FileSource> Source(const std::string& bytes) {
    return client::FileSource::Open(folder_.Write("bundle", bytes)).value();
  }

  std::string DirectAddress() const { return "127.0.0.1:" + std::to_string(port_); }
};

TEST_F(TransferTest, ExportOverAConnectionThatIsCutAgainAndAgain) {
  Start({"--snapshot-segments=0", "--snapshot-seconds=0"});  // the one in the bundle stays
  CreateSession("book");
  AppendDocument("sessions/book", "doc", SomeText(60'000));
  WatchToTheEnd("sessions/book");
  AppendDocument("sessions/book", "long", SomeText(2'000'000), 1 << 20);
  const std::string whole = Export(*Connect(DirectAddress()));
  const CuttingProxy proxy(port_, /*max_from_server=*/300'000, kUncut);
  // The session is being read all the while, and gets more text in between.
  AppendDocument("sessions/book", "more", SomeText(1000));
  const std::string bundle = Export(*Connect(proxy.address()));
  EXPECT_GT(proxy.connections(), 6);
  EXPECT_GE(bundle.size(), whole.size());

  const auto session = Connect(DirectAddress())->ImportSession("copy", *Source(bundle), nullptr);
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(session->documents_size(), 3);
}

TEST_F(TransferTest, ImportOverAConnectionThatIsCutLeavesNothingAndSaysSo) {
  Start();
  CreateSession("book");
  AppendDocument("sessions/book", "doc", SomeText(8'000'000), 1 << 20);
  const std::string bundle = Export(*Connect(DirectAddress()));
  {
    const CuttingProxy proxy(port_, kUncut, /*max_from_client=*/1'500'000);
    const absl::Status status = Connect(proxy.address())->ImportSession("copy", *Source(bundle), nullptr).status();
    // Which of the two depends on whether the server has noticed the cut before the last try.
    EXPECT_THAT(std::string(status.message()),
                ::testing::AnyOf(HasSubstr("of which the server keeps none"), HasSubstr("may not have noticed yet")));
    EXPECT_GE(proxy.connections(), 2);
  }
  // Once the server has noticed the last cut the name is free.
  absl::StatusOr<v1::Session> session = absl::UnknownError("");
  do {
    session = Connect(DirectAddress())->ImportSession("copy", *Source(bundle), nullptr);
  } while (absl::IsAlreadyExists(session.status()));
  ASSERT_TRUE(session.ok()) << session.status();
}

}  // namespace
}  // namespace tome::testing
