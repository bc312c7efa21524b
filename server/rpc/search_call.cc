#include "server/rpc/search_call.h"

#include <utility>

#include "engine/base/status.h"
#include "server/rpc/question_conversion.h"
#include "server/rpc/validation.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

grpc::ServerUnaryReactor* SearchCall::Start(const CallEnvironment& environment, grpc::CallbackServerContext* context,
                                            const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  const std::shared_ptr<SearchCall> call(new SearchCall(environment, context, response));
  call->self_ = call;
  if (absl::Status status = call->Search(*request); !status.ok()) call->Reply(std::move(status));
  return call.get();
}

SearchCall::SearchCall(const CallEnvironment& environment, grpc::CallbackServerContext* context,
                       grpc::ByteBuffer* response)
    : environment_(environment), response_(response), trace_("Search", *context, environment) {}

absl::Status SearchCall::Search(const grpc::ByteBuffer& bytes) {
  v1::SearchRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(bytes, &request));
  {
    const std::lock_guard lock(mutex_);
    trace_.set_session(request.session());
  }
  TOME_RETURN_IF_ERROR(Validate(request));
  TOME_ASSIGN_OR_RETURN(SessionManager* const sessions, environment_.backend.sessions());
  std::shared_ptr<Question> search = sessions->StartSearch(
      FromProto(request), [self = shared_from_this()](const absl::StatusOr<SearchPage>& page) { self->Reply(page); });
  {
    const std::lock_guard lock(mutex_);
    if (!finished_) search_ = std::move(search);
  }
  CancelSearch();
  return absl::OkStatus();
}

void SearchCall::Reply(const absl::StatusOr<SearchPage>& page) {
  const std::lock_guard lock(mutex_);
  search_.reset();
  finished_ = true;
  if (page.ok()) *response_ = SerializeMessage(ToProto(*page));
  Finish(trace_.Finished(page.status()));
}

void SearchCall::CancelSearch() {
  std::shared_ptr<Question> search;
  {
    const std::lock_guard lock(mutex_);
    if (client_gone_) search = std::move(search_);
  }
  if (search != nullptr) search->Cancel();
}

void SearchCall::OnCancel() {
  {
    const std::lock_guard lock(mutex_);
    client_gone_ = true;
  }
  CancelSearch();
}

void SearchCall::OnDone() {
  const std::shared_ptr<SearchCall> self = std::move(self_);
  const std::lock_guard lock(mutex_);
  trace_.Done();
}

}  // namespace tome::server
