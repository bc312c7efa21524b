// Archives beyond their share of memory, in the real server.
#include <csignal>
#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server_fixture.h"
#include "tests/server/http_get.h"
#include "tests/server/tiny_server_model.h"

namespace tome::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ArchiveTest : public ServerFixture {
 protected:
  // The value of a metric.
  double Metric(const std::string& name) {
    const std::string page = HttpGet(metrics_port_, "/metrics");
    const std::size_t at = page.find("\n" + name + " ");
    if (at == std::string::npos) ADD_FAILURE() << name << " is not there";
    return at == std::string::npos ? -1 : std::stod(page.substr(at + name.size() + 2));
  }

  v1::AskResult Answer() {
    v1::AskRequest request = Question("sessions/book", "What did the lord say unto Moses?");
    request.set_effort(v1::EFFORT_BALANCED);
    v1::AskResult result;
    const grpc::Status status = Ask(request, &result);
    EXPECT_TRUE(status.ok()) << status.error_message();
    result.clear_timings();
    return result;
  }
};

TEST_F(ArchiveTest, SpillsBeyondItsBudgetAndAnswersStayTheSame) {
  Start({"--segment-tokens=256"});
  CreateSession("book");
  AppendDocument("sessions/book", "doc", SomeText(24'000), 10'000);
  WatchToTheEnd("sessions/book");
  EXPECT_EQ(Metric("tome_archive_bytes{kind=\"spilled\"}"), 0);
  const v1::Session in_memory = GetSession("sessions/book");
  EXPECT_GT(in_memory.archive_resident_bytes(), in_memory.archive_bytes());
  const v1::AskResult expected = Answer();
  EXPECT_GT(expected.citations_size(), 0);

  EXPECT_EQ(Stop(SIGTERM), 0);
  Start({"--segment-tokens=256", "--archive-resident-bytes=64KiB"});
  WatchToTheEnd("sessions/book");  // the stored bytes are read again
  const v1::Session spilled = GetSession("sessions/book");
  EXPECT_EQ(spilled.archive_bytes(), in_memory.archive_bytes());
  EXPECT_LE(spilled.archive_resident_bytes(), 64u << 10);
  EXPECT_GT(Metric("tome_archive_bytes{kind=\"spilled\"}"), 0);
  EXPECT_EQ(Metric("tome_archive_bytes{kind=\"resident\"}"), spilled.archive_resident_bytes());
  EXPECT_GE(Metric("tome_state_bytes{kind=\"reserved\"}"), Metric("tome_state_bytes{kind=\"held\"}"));
  EXPECT_EQ(Metric("tome_archive_spill_failures_total"), 0);
  EXPECT_EQ(Answer().SerializeAsString(), expected.SerializeAsString());
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() / "data" / "archive"));
  EXPECT_EQ(Stop(SIGKILL), -SIGKILL);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() / "data" / "archive")) << "nothing is left behind";
}

TEST_F(ArchiveTest, FolderThatIsGoneIsLoggedAndCounted) {
  Start({"--segment-tokens=256", "--archive-resident-bytes=64KiB", "--archive-folder=" + folder_.File("spill")});
  std::filesystem::remove(folder_.path() / "spill");
  CreateSession("book");
  AppendDocument("sessions/book", "doc", SomeText(24'000), 10'000);
  WatchToTheEnd("sessions/book");
  EXPECT_GT(Metric("tome_archive_spill_failures_total"), 0);
  EXPECT_GT(GetSession("sessions/book").archive_resident_bytes(), 64u << 10);
  EXPECT_THAT(Answer().answer(), Not(HasSubstr("error")));
  EXPECT_THAT(server_->Errors(), HasSubstr("archive_spill_failed"));
}

}  // namespace
}  // namespace tome::testing
