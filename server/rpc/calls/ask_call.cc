#include "server/rpc/calls/ask_call.h"

#include <utility>

#include "engine/base/status.h"
#include "server/rpc/wire/question_conversion.h"
#include "server/rpc/wire/validation.h"

namespace tome::server {

void AskCall::Begin(const grpc::ByteBuffer* request) {
  if (const absl::Status status = Ask(*request); !status.ok()) End(status);
}

absl::Status AskCall::Ask(const grpc::ByteBuffer& bytes) {
  v1::AskRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(bytes, &request));
  SetSession(request.session());
  TOME_RETURN_IF_ERROR(Validate(request));
  TOME_ASSIGN_OR_RETURN(SessionManager* const sessions, environment_.backend.sessions());
  tokenizer_ = sessions->model()->tokenizer();
  StartQuestion([&] { return sessions->StartQuestion(FromProto(request), shared_from_this()); });
  return absl::OkStatus();
}

void AskCall::OnProgress(const QuestionProgress& progress) {
  const std::lock_guard lock(mutex_);
  progress_ = progress;
  Advance();
}

void AskCall::OnDelta(const AnswerDelta& delta) {
  const std::lock_guard lock(mutex_);
  if (!delta_) delta_.emplace();
  MergeDelta(delta, *tokenizer_, &*delta_);
  Advance();
}

void AskCall::OnDone(const absl::StatusOr<QuestionResult>& result) {
  const std::lock_guard lock(mutex_);
  if (result.ok()) result_ = *result;
  LetGo(result.status());
}

std::optional<grpc::ByteBuffer> AskCall::NextMessage() {
  v1::AskResponse response;
  if (progress_) {
    *response.mutable_progress() = ToProto(*std::exchange(progress_, std::nullopt));
  } else if (delta_) {
    *response.mutable_delta() = *std::exchange(delta_, std::nullopt);
  } else if (result_) {
    *response.mutable_result() = ToProto(*std::exchange(result_, std::nullopt));
  } else {
    return std::nullopt;
  }
  return SerializeMessage(response);
}

}  // namespace tome::server
