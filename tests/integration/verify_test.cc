// The offline check of a data folder, by both programs.
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server_fixture.h"
#include "tests/server/tiny_server_model.h"

namespace tome::testing {
namespace {

using ::testing::HasSubstr;

class VerifyTest : public ServerFixture {
 protected:
  // The exit code of "tome verify", and what it prints.
  int Verify(std::string* output) {
    const std::string tome = std::filesystem::path(TOME_SERVER_BINARY).parent_path() / "tome";
    FILE* const pipe = popen((tome + " verify " + folder_.File("data") + " 2>&1").c_str(), "r");
    char part[4096];
    output->clear();
    for (std::size_t size; (size = fread(part, 1, sizeof part, pipe)) > 0;) output->append(part, size);
    return WEXITSTATUS(pclose(pipe));
  }
};

TEST_F(VerifyTest, TellsProblemsOfAFolderThatNoServerHasOpen) {
  Start();
  CreateSession("book");
  AppendDocument("sessions/book", "doc", SomeText(5000));
  WatchToTheEnd("sessions/book");
  std::string output;
  EXPECT_EQ(Verify(&output), 1);
  EXPECT_THAT(output, HasSubstr("in use by another tome-server"));
  EXPECT_EQ(Stop(SIGTERM), 0);
  EXPECT_EQ(Verify(&output), 0);
  EXPECT_THAT(output, HasSubstr("1 sessions, 1 documents of 5000 bytes, 1 snapshots: 0 problems"));
  for (const auto& entry : std::filesystem::directory_iterator(folder_.File("data") + "/sessions/book")) {
    if (entry.path().filename().string().starts_with("snapshot-")) std::filesystem::resize_file(entry.path(), 1000);
  }
  EXPECT_EQ(Verify(&output), 1);
  EXPECT_THAT(output, HasSubstr("book: snapshot 1: "));
  EXPECT_THAT(output, HasSubstr("1 problems"));
}

}  // namespace
}  // namespace tome::testing
