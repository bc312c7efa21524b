// A Tome server in memory, for tests of the client: it keeps the contract's rules about offsets, repeats and sealing,
// and fails where a test tells it to.
#ifndef TOME_TESTS_CLIENT_FAKE_SERVER_H_
#define TOME_TESTS_CLIENT_FAKE_SERVER_H_

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "grpcpp/grpcpp.h"
#include "tome/v1/tome.grpc.pb.h"

namespace tome::client {

// A status with google.rpc details.
grpc::Status MakeError(grpc::StatusCode code, const std::string& message, const std::string& reason,
                       const std::map<std::string, std::string>& metadata = {},
                       std::optional<std::chrono::milliseconds> retry_delay = std::nullopt);

// How one Append call goes wrong.
struct AppendFault {
  enum class Kind {
    kDrop,         // the stream breaks, without details
    kUnavailable,  // UNAVAILABLE with RetryInfo
    kAborted,      // ABORTED with the committed offset
    kExhausted,    // RESOURCE_EXHAUSTED with RetryInfo
    kEndsEarly,    // OK, though the client was not done
  };
  Kind kind = Kind::kDrop;
  int after_messages = 0;      // this many are handled well before
  bool store_message = false;  // the message that meets the fault is stored, but not acknowledged
};

struct FakeDocument {
  std::string name;
  std::string bytes;
  bool sealed = false;
  std::uint64_t ingested = 0;
};

class FakeServer : public v1::SessionService::Service, public v1::ModelService::Service {
 public:
  FakeServer();
  ~FakeServer() override;

  // Listens on a free port of the loopback; after Stop, on the same port again.
  void Start();
  void Stop();
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // --- What happens ---
  void AddSession(const std::string& id);
  void AddDocument(const std::string& id, FakeDocument document);
  // One for each coming Append call.
  void AddFault(const AppendFault& fault);
  void ClearFaults();
  // One for each coming call that is not Append.
  void AddCallFault(const grpc::Status& status);
  // While held, nothing that is stored gets read.
  void HoldReading(bool held);
  void SetPageSize(int size);
  void SetAnswer(std::vector<std::string> deltas, grpc::Status end);
  // Ask waits after its deltas until it is cancelled.
  void HoldAnswer();

  // --- What happened ---
  std::string Bytes(const std::string& id, const std::string& document);
  bool Sealed(const std::string& id, const std::string& document);
  // Messages whose bytes, or whose seal, were new.
  int messages_stored();
  int append_calls();
  v1::AskRequest last_question();
  v1::SearchRequest last_search();
  v1::GetModelRequest last_model_request();
  v1::CreateSessionRequest last_create();
  v1::ForkSessionRequest last_fork();
  v1::ListSessionsRequest last_list();
  v1::UpdateSessionRequest last_update();
  // The bytes of an archive in messages, and after which of them (counted from 0) the call ends with an error, once.
  void SetArchive(std::vector<std::string> messages, std::optional<int> fault_after = std::nullopt);
  int export_calls();
  std::string imported_bytes();
  std::vector<v1::InvalidUtf8Policy> policies();
  // Waits (at most a minute) until the condition, called under the server's lock, holds.
  bool WaitUntil(const std::function<bool()>& condition);
  // For conditions of WaitUntil.
  std::uint64_t DurableLocked(const std::string& id);
  int asks_waiting_locked() const { return asks_waiting_; }

  // --- The services ---
  grpc::Status CreateSession(grpc::ServerContext*, const v1::CreateSessionRequest*, v1::Session*) override;
  grpc::Status GetSession(grpc::ServerContext*, const v1::GetSessionRequest*, v1::Session*) override;
  grpc::Status ListSessions(grpc::ServerContext*, const v1::ListSessionsRequest*, v1::ListSessionsResponse*) override;
  grpc::Status UpdateSession(grpc::ServerContext*, const v1::UpdateSessionRequest*, v1::Session*) override;
  grpc::Status DeleteSession(grpc::ServerContext*, const v1::DeleteSessionRequest*, google::protobuf::Empty*) override;
  grpc::Status SnapshotSession(grpc::ServerContext*, const v1::SnapshotSessionRequest*, v1::Snapshot*) override;
  grpc::Status RereadSession(grpc::ServerContext*, const v1::RereadSessionRequest*, v1::Session*) override;
  grpc::Status ForkSession(grpc::ServerContext*, const v1::ForkSessionRequest*, v1::Session*) override;
  grpc::Status ExportSession(grpc::ServerContext*, const v1::ExportSessionRequest*,
                             grpc::ServerWriter<v1::ExportSessionResponse>*) override;
  // Any bytes but "bad" are an archive, of the session "imported".
  grpc::Status ImportSession(grpc::ServerContext*, grpc::ServerReader<v1::ImportSessionRequest>*,
                             v1::Session*) override;
  grpc::Status Append(grpc::ServerContext*,
                      grpc::ServerReaderWriter<v1::AppendResponse, v1::AppendRequest>* stream) override;
  grpc::Status Watch(grpc::ServerContext*, const v1::WatchRequest*, grpc::ServerWriter<v1::WatchResponse>*) override;
  grpc::Status Ask(grpc::ServerContext*, const v1::AskRequest*, grpc::ServerWriter<v1::AskResponse>*) override;
  // Finds the same three regions of "book" whatever is asked.
  grpc::Status Search(grpc::ServerContext*, const v1::SearchRequest*, v1::SearchResponse*) override;
  grpc::Status Score(grpc::ServerContext*, const v1::ScoreRequest*, v1::ScoreResponse*) override;
  grpc::Status GetModel(grpc::ServerContext*, const v1::GetModelRequest*, v1::Model*) override;
  grpc::Status Tokenize(grpc::ServerContext*, const v1::TokenizeRequest*, v1::TokenizeResponse*) override;

 private:
  struct FakeSession {
    std::string display_name;
    std::map<std::string, std::string> labels;
    std::vector<FakeDocument> documents;
    std::int64_t time_to_live_seconds = 0;
    bool pinned = false;
  };

  grpc::Status NextCallFault();
  v1::Session Describe(const std::string& id) const;
  v1::WatchResponse Progress(const std::string& id) const;
  bool AllReadAndSealed(const std::string& id) const;
  void ReadStored();
  grpc::Status Store(const v1::AppendRequest& request, const std::string& id, const std::string& name,
                     FakeDocument** document);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  // All guarded by mutex_.
  bool stopping_ = false;
  std::map<std::string, FakeSession> sessions_;
  std::deque<AppendFault> faults_;
  std::deque<grpc::Status> call_faults_;
  bool reading_held_ = false;
  int page_size_ = 2;
  std::vector<std::string> deltas_ = {"In the ", "beginning"};
  grpc::Status answer_end_;
  bool answer_held_ = false;
  int asks_waiting_ = 0;
  int messages_stored_ = 0;
  int append_calls_ = 0;
  v1::AskRequest last_question_;
  v1::SearchRequest last_search_;
  v1::GetModelRequest last_model_request_;
  v1::CreateSessionRequest last_create_;
  v1::ForkSessionRequest last_fork_;
  v1::ListSessionsRequest last_list_;
  v1::UpdateSessionRequest last_update_;
  std::vector<std::string> archive_ = {"some ", "bytes"};
  std::optional<int> archive_fault_after_;
  int export_calls_ = 0;
  std::string imported_bytes_;
  std::vector<v1::InvalidUtf8Policy> policies_;
};

}  // namespace tome::client

#endif  // TOME_TESTS_CLIENT_FAKE_SERVER_H_
