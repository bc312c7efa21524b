// A server in this process, over gRPC, on a small model whose vocabulary lacks some bytes.
#ifndef TOME_TESTS_SWEEP_SWEEP_SERVER_H_
#define TOME_TESTS_SWEEP_SWEEP_SERVER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "google/protobuf/message.h"
#include "grpcpp/grpcpp.h"
#include "server/rpc/rpc_server.h"
#include "server/session/session_manager.h"
#include "server/telemetry/telemetry.h"
#include "tests/server/fake_clock.h"
#include "tests/support/temp_dir.h"
#include "tome/v1/tome.grpc.pb.h"

namespace tome::testing {

// Longer than any call of a sweep takes, also with sanitizers on a busy machine.
inline constexpr std::chrono::seconds kSweepHangs(120);

struct CallResult {
  grpc::Status status;
  std::vector<std::string> replies;
};

class SweepServer {
 public:
  SweepServer(std::shared_ptr<const Model> model, const MemoryOptions& options);
  ~SweepServer();

  // A call of any kind: sends the messages, half-closes, takes all replies. `what` is printed when it ends the process.
  CallResult Call(const std::string& method, const std::vector<std::string>& messages, const std::string& what,
                  std::chrono::milliseconds deadline = kSweepHangs);

  v1::SessionService::Stub& stub() { return *stub_; }

  // --- What a client does. Errors fail the test. ---
  void CreateSession(const std::string& id);
  // Appends a whole document.
  void Append(const std::string& session, const std::string& document, const std::string& data);
  // Seals the last document, whatever is in it, and waits until all is read, as Watch does.
  void FinishReading(const std::string& session);
  v1::Session GetSession(const std::string& session);
  std::string Export(const std::string& session);
  // Whether an ordinary question is answered.
  grpc::Status AskAsUsual(const std::string& session);
  // Deletes all but those.
  void DeleteOthers(const std::vector<std::string>& kept);
  // The document is at an end after that.
  grpc::Status TryAppend(const std::string& session, const std::string& document, const std::string& data,
                         std::uint64_t offset);

 private:
  TempDir folder_;
  FakeClock clock_;  // of the sessions, so that none expires
  server::Telemetry telemetry_;
  std::unique_ptr<server::SessionManager> sessions_;
  std::unique_ptr<server::RpcServer> rpc_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::SessionService::Stub> stub_;
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SWEEP_SWEEP_SERVER_H_
