#include "client/client.h"

#include <random>
#include <utility>

#include "engine/base/status.h"

namespace tome::client {
namespace {

constexpr int kPageSize = 200;

std::string RandomId() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

// One Ask call. `begun`: whether any event came.
absl::StatusOr<v1::AskResult> AskOnce(const Connection& connection, const v1::AskRequest& request,
                                      const AskCallbacks& callbacks, const CallOptions& options, bool* begun) {
  CallContext context(options);
  const auto reader = connection.sessions->Ask(context.get(), request);
  v1::AskResponse response;
  std::optional<v1::AskResult> result;
  while (reader->Read(&response)) {
    *begun = *begun || response.has_delta();
    if (response.has_progress() && callbacks.on_progress) callbacks.on_progress(response.progress());
    if (response.has_delta() && callbacks.on_delta) callbacks.on_delta(response.delta());
    if (response.has_result()) result = std::move(*response.mutable_result());
  }
  TOME_RETURN_IF_ERROR(CallStatus(reader->Finish(), options));
  if (!result.has_value()) return DataLoss("the server ended the answer without its last message");
  return *std::move(result);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(ConnectOptions options) {
  TOME_ASSIGN_OR_RETURN(auto connection, Connection::Open(std::move(options)));
  return std::unique_ptr<Client>(new Client(std::move(connection)));
}

absl::StatusOr<v1::Session> Client::CreateSession(v1::CreateSessionRequest request, const CallOptions& options) {
  if (request.request_id().empty()) request.set_request_id(RandomId());
  return CallUnary<v1::Session>(*connection_, options, *connection_->sessions, &v1::SessionService::Stub::CreateSession,
                                request);
}

absl::StatusOr<v1::Session> Client::GetSession(const std::string& name, const CallOptions& options) {
  v1::GetSessionRequest request;
  request.set_name(name);
  return CallUnary<v1::Session>(*connection_, options, *connection_->sessions, &v1::SessionService::Stub::GetSession,
                                request);
}

absl::StatusOr<std::vector<v1::Session>> Client::ListSessions(const v1::ListSessionsRequest& query,
                                                              const CallOptions& options) {
  std::vector<v1::Session> sessions;
  v1::ListSessionsRequest request;
  request.set_filter(query.filter());
  request.set_order_by(query.order_by());
  request.set_page_size(kPageSize);
  while (true) {
    TOME_ASSIGN_OR_RETURN(auto page,
                          CallUnary<v1::ListSessionsResponse>(*connection_, options, *connection_->sessions,
                                                              &v1::SessionService::Stub::ListSessions, request));
    for (v1::Session& session : *page.mutable_sessions()) sessions.push_back(std::move(session));
    if (page.next_page_token().empty()) return sessions;
    if (page.next_page_token() == request.page_token()) return Internal("the server gave the same page twice");
    request.set_page_token(page.next_page_token());
  }
}

absl::StatusOr<v1::Session> Client::UpdateSession(const v1::UpdateSessionRequest& request, const CallOptions& options) {
  return CallUnary<v1::Session>(*connection_, options, *connection_->sessions, &v1::SessionService::Stub::UpdateSession,
                                request);
}

absl::StatusOr<v1::Snapshot> Client::SnapshotSession(const std::string& name, const CallOptions& options) {
  v1::SnapshotSessionRequest request;
  request.set_name(name);
  return CallWithin<v1::Snapshot>(std::nullopt, *connection_, options, *connection_->sessions,
                                  &v1::SessionService::Stub::SnapshotSession, request);
}

absl::StatusOr<v1::Session> Client::RereadSession(const std::string& name, const CallOptions& options) {
  v1::RereadSessionRequest request;
  request.set_name(name);
  return CallUnary<v1::Session>(*connection_, options, *connection_->sessions, &v1::SessionService::Stub::RereadSession,
                                request);
}

absl::StatusOr<v1::Session> Client::ForkSession(v1::ForkSessionRequest request, const CallOptions& options) {
  if (request.request_id().empty()) request.set_request_id(RandomId());
  return CallUnary<v1::Session>(*connection_, options, *connection_->sessions, &v1::SessionService::Stub::ForkSession,
                                request);
}

absl::Status Client::ExportSession(const v1::ExportSessionRequest& request, const BundleSink& sink,
                                   const CallOptions& options) {
  return ExportBundle(*connection_, request, sink, options);
}

absl::StatusOr<v1::Session> Client::ImportSession(const std::string& session_id, ByteSource& source,
                                                  const std::function<void(std::uint64_t)>& on_sent,
                                                  const CallOptions& options) {
  return ImportBundle(*connection_, session_id, source, on_sent, options);
}

absl::Status Client::DeleteSession(const std::string& name, const CallOptions& options) {
  v1::DeleteSessionRequest request;
  request.set_name(name);
  int attempts = 0;
  return RunWithRetries(*connection_, options, [&] {
    CallContext context(options, connection_->options.unary_deadline);
    google::protobuf::Empty response;
    absl::Status status = CallStatus(connection_->sessions->DeleteSession(context.get(), request, &response), options);
    if (++attempts > 1 && absl::IsNotFound(status)) status = absl::OkStatus();
    return status;
  });
}

absl::Status Client::Append(ByteSource& source, const AppendOptions& append_options, AppendReport* report,
                            const CallOptions& options) {
  return AppendDocument(*connection_, source, append_options, options, report);
}

absl::Status Client::Watch(const v1::WatchRequest& request, const WatchCallback& on_report,
                           const CallOptions& options) {
  return WatchSession(*connection_, request, on_report, connection_->options.retry, options);
}

absl::StatusOr<v1::AskResult> Client::Ask(const v1::AskRequest& request, const AskCallbacks& callbacks,
                                          const CallOptions& options) {
  Backoff backoff(connection_->options.retry, connection_->options.seed);
  while (true) {
    bool begun = false;
    auto result = AskOnce(*connection_, request, callbacks, options, &begun);
    if (result.ok() || begun || !IsTransient(result.status())) return result;
    TOME_RETURN_IF_ERROR(WaitBeforeRetry(*connection_, options, backoff, result.status()));
  }
}

absl::StatusOr<v1::SearchResponse> Client::Search(const v1::SearchRequest& request, const CallOptions& options) {
  return CallWithin<v1::SearchResponse>(std::nullopt, *connection_, options, *connection_->sessions,
                                        &v1::SessionService::Stub::Search, request);
}

absl::StatusOr<v1::ScoreResponse> Client::Score(const v1::ScoreRequest& request, const CallOptions& options) {
  return CallWithin<v1::ScoreResponse>(std::nullopt, *connection_, options, *connection_->sessions,
                                       &v1::SessionService::Stub::Score, request);
}

absl::StatusOr<v1::Model> Client::GetModel(const v1::GetModelRequest& request, const CallOptions& options) {
  return CallUnary<v1::Model>(*connection_, options, *connection_->models, &v1::ModelService::Stub::GetModel, request);
}

absl::StatusOr<v1::TokenizeResponse> Client::Tokenize(const std::string& text, const CallOptions& options) {
  v1::TokenizeRequest request;
  request.set_text(text);
  return CallUnary<v1::TokenizeResponse>(*connection_, options, *connection_->models, &v1::ModelService::Stub::Tokenize,
                                         request);
}

}  // namespace tome::client
