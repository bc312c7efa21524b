// The C++ client of a Tome server.
//
//   auto client = tome::client::Client::Connect({.address = "127.0.0.1:7440"});
//   auto session = (*client)->CreateSession({});
//   auto source = tome::client::FileSource::Open("book.txt");
//   tome::client::AppendReport report;
//   (*client)->Append(**source, {.session = session->name(), .document = "book.txt"}, &report);
//   tome::v1::AskRequest question;  // session, question, ...
//   auto answer = (*client)->Ask(question, {});
//
// Errors are absl::Status with the server's code and message; DetailsOf() (errors.h) reads its google.rpc details.
// Calls that can be repeated without harm are, after errors that may pass: with exponential backoff and jitter, and not
// before the server wants it. A client is thread-safe; calls block.
#ifndef TOME_CLIENT_CLIENT_H_
#define TOME_CLIENT_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/append.h"
#include "client/connection.h"
#include "client/source.h"
#include "client/transfer.h"
#include "client/watch.h"

namespace tome::client {

// What comes before an answer's result. Called on the calling thread; each may be empty.
struct AskCallbacks {
  std::function<void(const v1::AskProgress&)> on_progress;
  std::function<void(const v1::AskDelta&)> on_delta;
};

class Client {
 public:
  // Does not contact the server yet. INVALID_ARGUMENT for options that cannot work.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(ConnectOptions options);

  // --- Sessions ---

  // A request_id is made up when there is none, so that a repeated call makes one session.
  absl::StatusOr<v1::Session> CreateSession(v1::CreateSessionRequest request, const CallOptions& options = {});
  absl::StatusOr<v1::Session> GetSession(const std::string& name, const CallOptions& options = {});
  // All pages. `query`: filter and order; the rest of it is ignored.
  absl::StatusOr<std::vector<v1::Session>> ListSessions(const v1::ListSessionsRequest& query = {},
                                                        const CallOptions& options = {});
  absl::StatusOr<v1::Session> UpdateSession(const v1::UpdateSessionRequest& request, const CallOptions& options = {});
  // What has been read, on disk. Without the deadline of short calls: a large state takes its time.
  absl::StatusOr<v1::Snapshot> SnapshotSession(const std::string& name, const CallOptions& options = {});
  absl::StatusOr<v1::Session> RereadSession(const std::string& name, const CallOptions& options = {});
  // A request_id is made up when there is none, so that a repeated call makes one session.
  absl::StatusOr<v1::Session> ForkSession(v1::ForkSessionRequest request, const CallOptions& options = {});
  // See transfer.h.
  absl::Status ExportSession(const v1::ExportSessionRequest& request, const BundleSink& sink,
                             const CallOptions& options = {});
  absl::StatusOr<v1::Session> ImportSession(const std::string& session_id, ByteSource& source,
                                            const std::function<void(std::uint64_t)>& on_sent,
                                            const CallOptions& options = {});
  // OK also when the session was gone at the second try, because the reply to the first was lost.
  absl::Status DeleteSession(const std::string& name, const CallOptions& options = {});

  // --- Documents and questions ---

  // See append.h.
  absl::Status Append(ByteSource& source, const AppendOptions& append_options, AppendReport* report,
                      const CallOptions& options = {});
  // See watch.h.
  absl::Status Watch(const v1::WatchRequest& request, const WatchCallback& on_report, const CallOptions& options = {});
  // Repeated only while nothing has come yet: half an answer is never begun anew.
  absl::StatusOr<v1::AskResult> Ask(const v1::AskRequest& request, const AskCallbacks& callbacks,
                                    const CallOptions& options = {});
  // One page. Without the deadline of short calls: a search may wait until text is read.
  absl::StatusOr<v1::SearchResponse> Search(const v1::SearchRequest& request, const CallOptions& options = {});
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request, const CallOptions& options = {});

  // --- Model ---

  // The session cost in it is that of request.session_options.
  absl::StatusOr<v1::Model> GetModel(const v1::GetModelRequest& request = {}, const CallOptions& options = {});
  absl::StatusOr<v1::TokenizeResponse> Tokenize(const std::string& text, const CallOptions& options = {});

 private:
  explicit Client(std::unique_ptr<const Connection> connection) : connection_(std::move(connection)) {}

  const std::unique_ptr<const Connection> connection_;
};

}  // namespace tome::client

#endif  // TOME_CLIENT_CLIENT_H_
