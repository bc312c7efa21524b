#include "server/rpc/session_service.h"

#include <algorithm>

#include "google/protobuf/empty.pb.h"
#include "server/rpc/calls/append_call.h"
#include "server/rpc/calls/ask_call.h"
#include "server/rpc/calls/export_call.h"
#include "server/rpc/calls/import_call.h"
#include "server/rpc/calls/score_call.h"
#include "server/rpc/calls/search_call.h"
#include "server/rpc/calls/watch_call.h"
#include "server/rpc/wire/conversion.h"
#include "server/rpc/wire/limits.h"
#include "server/rpc/wire/session_name.h"
#include "server/rpc/wire/validation.h"

namespace tome::server {
namespace {

absl::StatusOr<v1::Session> ToReply(const absl::StatusOr<SessionInfo>& info) {
  if (!info.ok()) return info.status();
  return ToProto(*info);
}

absl::StatusOr<v1::ListSessionsResponse> ToReply(const absl::StatusOr<SessionPage>& page) {
  if (!page.ok()) return page.status();
  v1::ListSessionsResponse response;
  for (const SessionInfo& info : page->sessions) *response.add_sessions() = ToProto(info);
  response.set_next_page_token(page->next_page_token);
  return response;
}

}  // namespace

grpc::ServerUnaryReactor* SessionService::CreateSession(Context* context, const Bytes* request, Bytes* response) {
  return RunUnary<v1::CreateSessionRequest, v1::Session>(
      "CreateSession", environment_, context, request, response,
      [](SessionManager& sessions, const v1::CreateSessionRequest& create, ReplyFunction<v1::Session> reply) {
        sessions.Create(FromProto(create), [reply](const absl::StatusOr<SessionInfo>& info) { reply(ToReply(info)); });
      });
}

grpc::ServerUnaryReactor* SessionService::GetSession(Context* context, const Bytes* request, Bytes* response) {
  return RunUnary<v1::GetSessionRequest, v1::Session>(
      "GetSession", environment_, context, request, response,
      [](SessionManager& sessions, const v1::GetSessionRequest& get, const ReplyFunction<v1::Session>& reply) {
        reply(ToReply(sessions.Get(*ParseSessionName(get.name()))));
      });
}

grpc::ServerUnaryReactor* SessionService::ListSessions(Context* context, const Bytes* request, Bytes* response) {
  return RunUnary<v1::ListSessionsRequest, v1::ListSessionsResponse>(
      "ListSessions", environment_, context, request, response,
      [](SessionManager& sessions, const v1::ListSessionsRequest& list,
         const ReplyFunction<v1::ListSessionsResponse>& reply) {
        const int page_size = list.page_size() == 0 ? kDefaultPageSize : std::min(list.page_size(), kMaxPageSize);
        reply(ToReply(sessions.List({.page_size = page_size,
                                     .page_token = list.page_token(),
                                     .filter = list.filter(),
                                     .order_by = list.order_by()})));
      });
}

grpc::ServerUnaryReactor* SessionService::UpdateSession(Context* context, const Bytes* request, Bytes* response) {
  return RunUnary<v1::UpdateSessionRequest, v1::Session>(
      "UpdateSession", environment_, context, request, response,
      [](SessionManager& sessions, const v1::UpdateSessionRequest& update, ReplyFunction<v1::Session> reply) {
        sessions.Update(FromProto(update), [reply](const absl::StatusOr<SessionInfo>& info) { reply(ToReply(info)); });
      });
}

grpc::ServerUnaryReactor* SessionService::DeleteSession(Context* context, const Bytes* request, Bytes* response) {
  return RunUnary<v1::DeleteSessionRequest, google::protobuf::Empty>(
      "DeleteSession", environment_, context, request, response,
      [](SessionManager& sessions, const v1::DeleteSessionRequest& remove,
         ReplyFunction<google::protobuf::Empty> reply) {
        sessions.Delete(*ParseSessionName(remove.name()), remove.etag(), [reply](const absl::Status& status) {
          if (status.ok()) return reply(google::protobuf::Empty());
          reply(status);
        });
      });
}

grpc::ServerUnaryReactor* SessionService::SnapshotSession(Context* context, const Bytes* request, Bytes* response) {
  return RunUnary<v1::SnapshotSessionRequest, v1::Snapshot>(
      "SnapshotSession", environment_, context, request, response,
      [](SessionManager& sessions, const v1::SnapshotSessionRequest& snapshot, ReplyFunction<v1::Snapshot> reply) {
        sessions.Snapshot(*ParseSessionName(snapshot.name()), [reply](const absl::StatusOr<SnapshotInfo>& info) {
          if (!info.ok()) return reply(info.status());
          reply(ToProto(*info));
        });
      });
}

grpc::ServerUnaryReactor* SessionService::RereadSession(Context* context, const Bytes* request, Bytes* response) {
  return RunUnary<v1::RereadSessionRequest, v1::Session>(
      "RereadSession", environment_, context, request, response,
      [](SessionManager& sessions, const v1::RereadSessionRequest& reread, ReplyFunction<v1::Session> reply) {
        sessions.Reread(*ParseSessionName(reread.name()),
                        [reply](const absl::StatusOr<SessionInfo>& info) { reply(ToReply(info)); });
      });
}

grpc::ServerUnaryReactor* SessionService::ForkSession(Context* context, const Bytes* request, Bytes* response) {
  return RunUnary<v1::ForkSessionRequest, v1::Session>(
      "ForkSession", environment_, context, request, response,
      [](SessionManager& sessions, const v1::ForkSessionRequest& fork, ReplyFunction<v1::Session> reply) {
        sessions.Fork(FromProto(fork), [reply](const absl::StatusOr<SessionInfo>& info) { reply(ToReply(info)); });
      });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* SessionService::ExportSession(Context* context, const Bytes* request) {
  return ExportCall::Start(environment_, context, request);
}

grpc::ServerReadReactor<grpc::ByteBuffer>* SessionService::ImportSession(Context* context, Bytes* response) {
  return ImportCall::Start(environment_, context, response);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* SessionService::Append(Context* context) {
  return AppendCall::Start(environment_, context);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* SessionService::Watch(Context* context, const Bytes* request) {
  return WatchCall::Start(environment_, context, request);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* SessionService::Ask(Context* context, const Bytes* request) {
  return AskCall::Start(environment_, context, request);
}

grpc::ServerUnaryReactor* SessionService::Search(Context* context, const Bytes* request, Bytes* response) {
  return SearchCall::Start(environment_, context, request, response);
}

grpc::ServerUnaryReactor* SessionService::Score(Context* context, const Bytes* request, Bytes* response) {
  return ScoreCall::Start(environment_, context, request, response);
}

}  // namespace tome::server
