// tome-server on a tiny model, a folder of its own and free ports, and what a client does with it.
#ifndef TOME_TESTS_INTEGRATION_SERVER_FIXTURE_H_
#define TOME_TESTS_INTEGRATION_SERVER_FIXTURE_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "tests/integration/server_process.h"
#include "tests/server/rpc/raw_call.h"
#include "tests/support/temp_dir.h"
#include "tome/v1/tome.grpc.pb.h"

namespace tome::testing {

class ServerFixture : public ::testing::Test {
 protected:
  ServerFixture();

  // Flags for a server on this test's model and folder; options at the end win.
  std::vector<std::string> Flags(const std::vector<std::string>& more = {}) const;

  // Starts the server, waits until it is ready, and connects. Call it again after Stop.
  void Start(const std::vector<std::string>& more = {}, const std::map<std::string, std::string>& environment = {});
  // Ends it with a signal: its exit code.
  int Stop(int signal);

  // --- What a client does. Errors fail the test where the return type shows none. ---
  std::string CreateSession(const std::string& id);
  v1::Session GetSession(const std::string& name);
  // One stream with these messages; waits for its end. `last`: the last reply.
  grpc::Status Append(const std::vector<v1::AppendRequest>& messages, v1::AppendResponse* last = nullptr);
  // Appends `text` in messages of `chunk` bytes and seals the document.
  void AppendDocument(const std::string& session, const std::string& document, const std::string& text,
                      std::size_t chunk = 1000);
  // Waits until every byte of a session with only sealed documents is read.
  v1::WatchResponse WatchToTheEnd(const std::string& session);
  // The answer of a question, whose deltas must add up to it.
  grpc::Status Ask(const v1::AskRequest& request, v1::AskResult* result);

  TempDir folder_;
  bool has_memory_flags_ = true;  // whether Flags() choose a small memory
  std::optional<ServerProcess> server_;
  int port_ = 0;
  int metrics_port_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::SessionService::Stub> stub_;
  std::unique_ptr<v1::ModelService::Stub> model_stub_;
};

v1::AppendRequest AppendMessage(const std::string& session, const std::string& document, std::uint64_t offset,
                                const std::string& data);
v1::AskRequest Question(const std::string& session, const std::string& question, int max_tokens = 8);

}  // namespace tome::testing

#endif  // TOME_TESTS_INTEGRATION_SERVER_FIXTURE_H_
