// A server that cannot start says why in one line, and changes nothing.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/integration/server_fixture.h"
#include "tests/server/http_get.h"

namespace tome::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class StartupTest : public ServerFixture {
 protected:
  // Expects the program to end with this code, this text in its one line, and nothing made.
  void ExpectRefused(const std::vector<std::string>& more, int exit_code, const std::string& text) {
    const Finished finished = RunServer(Flags(more));
    EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
    EXPECT_THAT(finished.err, AllOf(StartsWith("tome-server: "), HasSubstr(text)));
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
    EXPECT_EQ(finished.out, "");
    EXPECT_FALSE(std::filesystem::exists(folder_.File("data"))) << text;
    EXPECT_FALSE(std::filesystem::exists(folder_.File("ports"))) << text;
  }
};

TEST_F(StartupTest, MissingModel) {
  ExpectRefused({"--model=" + folder_.File("missing.gguf")}, 1, folder_.File("missing.gguf"));
}

TEST_F(StartupTest, BrokenModels) {
  const std::vector<std::pair<std::string, std::string>> files = {
      {"empty.gguf", ""}, {"garbage.gguf", std::string(1000, 'x')}, {"cut.gguf", "GGUF\x03"}, {"text.bin", "hello"}};
  for (const auto& [name, bytes] : files) ExpectRefused({"--model=" + folder_.Write(name, bytes)}, 1, name);
  std::filesystem::create_directory(folder_.path() / "nothing");
  ExpectRefused({"--model=" + folder_.File("nothing")}, 1, "nothing");
}

TEST_F(StartupTest, CudaThatIsNotThere) { ExpectRefused({"--device=cuda"}, 1, "cuda"); }

TEST_F(StartupTest, UnknownFlagAndValue) {
  ExpectRefused({"--frobnicate"}, 2, "--frobnicate");
  ExpectRefused({"--device=gpu"}, 2, "gpu");
}

TEST_F(StartupTest, MemoryThatDoesNotFitTheModel) {
  ExpectRefused({"--window-tokens=1000000"}, 1, "window_tokens");
  ExpectRefused({"--window-tokens=0"}, 1, "window_tokens");
  ExpectRefused({"--window-tokens=1000000"}, 1, "--window-tokens=1000000");
}

TEST_F(StartupTest, DataFolderThatCannotBe) {
  const std::string file = folder_.Write("file", "not a folder");
  ExpectRefused({"--data-dir=" + file}, 1, file);
  ExpectRefused({"--data-dir=" + file + "/below"}, 1, file);
  ExpectRefused({"--data-dir=/proc/tome"}, 1, "/proc/tome");
  ExpectRefused({"--data-dir=" + folder_.File("missing/deep")}, 1, "missing");
}

TEST_F(StartupTest, ArchiveFolderThatCannotBe) {
  const std::string file = folder_.Write("file", "not a folder");
  for (const std::string& path : {file, folder_.File("missing/deep")}) {
    const Finished finished = RunServer(Flags({"--archive-folder=" + path}));
    EXPECT_EQ(finished.exit_code, 1);
    EXPECT_THAT(finished.err, AllOf(HasSubstr("archive folder"), HasSubstr(path)));
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
  }
}

TEST_F(StartupTest, AddressesThatCannotBe) {
  ExpectRefused({"--listen=192.0.2.1:7440"}, 1, "192.0.2.1:7440");
  ExpectRefused({"--metrics-listen=192.0.2.1:7441"}, 1, "192.0.2.1:7441");
}

TEST_F(StartupTest, TlsFilesThatAreNone) {
  const std::string file = folder_.Write("cert.pem", "nonsense");
  ExpectRefused({"--tls-cert=" + file, "--tls-key=" + file}, 1, file);
}

TEST_F(StartupTest, IsKnownByItsName) {
  Start();
  EXPECT_EQ(server_->Name(), "tome-server");
}

TEST_F(StartupTest, PortsAndFolderInUse) {
  Start();
  const auto refused = [&](const std::vector<std::string>& more, const std::string& text) {
    std::vector<std::string> flags = more;
    flags.push_back("--port-file=" + folder_.File("other-ports"));
    const Finished finished = RunServer(Flags(flags));
    EXPECT_EQ(finished.exit_code, 1);
    EXPECT_THAT(finished.err, HasSubstr(text));
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
    EXPECT_FALSE(std::filesystem::exists(folder_.File("other")));
  };
  const std::string port = std::to_string(port_);
  refused({"--listen=127.0.0.1:" + port, "--data-dir=" + folder_.File("other")}, port);
  const std::string metrics_port = std::to_string(metrics_port_);
  refused({"--metrics-listen=127.0.0.1:" + metrics_port, "--data-dir=" + folder_.File("other")}, metrics_port);
  refused({}, folder_.File("data"));
  EXPECT_EQ(Health(channel_, ""), 1);
}

TEST_F(StartupTest, PortFileThatCannotBeWritten) {
  const Finished finished = RunServer(Flags({"--port-file=" + folder_.File("missing/ports")}));
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, HasSubstr("missing/ports"));
}

TEST_F(StartupTest, HealthReflectionAndMetricsAreThere) {
  Start();
  for (const char* service : {"", "tome.v1.SessionService", "tome.v1.ModelService", "liveness"}) {
    EXPECT_EQ(Health(channel_, service), 1) << service;
  }
  EXPECT_EQ(Health(channel_, "no.such.Service"), 0);

  // ServerReflectionRequest {string list_services = 7}.
  std::string services;
  const grpc::Status reflection = RawCall(channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                          std::string("\x3A\x01*"), &services);
  EXPECT_TRUE(reflection.ok()) << reflection.error_message();
  EXPECT_THAT(services, AllOf(HasSubstr("tome.v1.SessionService"), HasSubstr("tome.v1.ModelService"),
                              HasSubstr("grpc.health.v1.Health")));

  EXPECT_THAT(HttpGet(metrics_port_, "/metrics"), AllOf(HasSubstr("tome_build_info{"), HasSubstr("tome_sessions 0")));
}

TEST_F(StartupTest, MetricsCanBeOff) {
  Start({"--metrics-listen="});
  EXPECT_EQ(metrics_port_, 0);
  EXPECT_EQ(Health(channel_, ""), 1);
}

TEST_F(StartupTest, JsonLogsAreJsonLineByLine) {
  Start({"--log-format=json"});
  CreateSession("book");
  grpc::ClientContext context;
  v1::GetSessionRequest get;
  get.set_name("sessions/\"quoted\"\n\x01");
  v1::Session session;
  EXPECT_EQ(stub_->GetSession(&context, get, &session).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(Stop(SIGTERM), 0);
  std::istringstream lines(server_->Errors());
  std::vector<std::string> messages;
  int calls = 0;
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json event = nlohmann::json::parse(line, nullptr, false);
    ASSERT_FALSE(event.is_discarded()) << line;
    messages.push_back(event["message"]);
    if (event["message"] != "call") continue;
    ++calls;
    EXPECT_TRUE(event["duration_ms"].is_number());
    if (event["method"] == "GetSession") {
      EXPECT_EQ(event["code"], "INVALID_ARGUMENT");
      EXPECT_EQ(event["session"], get.name());
    }
  }
  EXPECT_EQ(calls, 2);
  EXPECT_THAT(messages, ::testing::IsSupersetOf({"configuration", "model", "ready", "session", "draining", "stopped"}));
}

}  // namespace
}  // namespace tome::testing
