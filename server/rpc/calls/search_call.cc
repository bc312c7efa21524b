#include "server/rpc/calls/search_call.h"

#include "engine/base/status.h"
#include "server/rpc/wire/question_conversion.h"
#include "server/rpc/wire/validation.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

void SearchCall::Begin(const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  response_ = response;
  if (const absl::Status status = Search(*request); !status.ok()) End(status);
}

absl::Status SearchCall::Search(const grpc::ByteBuffer& bytes) {
  v1::SearchRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(bytes, &request));
  SetSession(request.session());
  TOME_RETURN_IF_ERROR(Validate(request));
  TOME_ASSIGN_OR_RETURN(SessionManager* const sessions, environment_.backend.sessions());
  StartQuestion([&] {
    return sessions->StartSearch(
        FromProto(request), [self = shared_from_this()](const absl::StatusOr<SearchPage>& page) { self->Reply(page); });
  });
  return absl::OkStatus();
}

void SearchCall::Reply(const absl::StatusOr<SearchPage>& page) {
  const std::lock_guard lock(mutex_);
  if (page.ok()) *response_ = SerializeMessage(ToProto(*page));
  LetGo(page.status());
}

}  // namespace tome::server
