#include "server/rpc/ask_call.h"

#include <utility>

#include "engine/base/status.h"
#include "server/rpc/question_conversion.h"
#include "server/rpc/validation.h"

namespace tome::server {

grpc::ServerWriteReactor<grpc::ByteBuffer>* AskCall::Start(const CallEnvironment& environment,
                                                           grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer* request) {
  const std::shared_ptr<AskCall> call(new AskCall(environment, context));
  call->self_ = call;
  const absl::Status status = call->Ask(*request);
  if (!status.ok()) {
    const std::lock_guard lock(call->mutex_);
    call->ending_ = status;
    call->Advance();
  }
  return call.get();
}

AskCall::AskCall(const CallEnvironment& environment, grpc::CallbackServerContext* context)
    : environment_(environment), trace_("Ask", *context, environment) {}

absl::Status AskCall::Ask(const grpc::ByteBuffer& bytes) {
  v1::AskRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(bytes, &request));
  trace_.set_session(request.session());
  TOME_RETURN_IF_ERROR(Validate(request));
  TOME_ASSIGN_OR_RETURN(SessionManager* const sessions, environment_.backend.sessions());
  tokenizer_ = sessions->model()->tokenizer();
  std::shared_ptr<Question> question = sessions->StartQuestion(FromProto(request), shared_from_this());
  {
    const std::lock_guard lock(mutex_);
    if (!ending_) question_ = std::move(question);
  }
  CancelQuestion();
  return absl::OkStatus();
}

void AskCall::CancelQuestion() {
  std::shared_ptr<Question> question;
  {
    const std::lock_guard lock(mutex_);
    if (client_gone_) question = std::move(question_);
  }
  if (question != nullptr) question->Cancel();
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
  question_.reset();
  ending_ = result.status();
  if (result.ok()) result_ = *result;
  Advance();
}

void AskCall::Advance() {
  if (finished_ || writing_) return;
  if (!client_gone_) {
    v1::AskResponse response;
    if (progress_) {
      *response.mutable_progress() = ToProto(*std::exchange(progress_, std::nullopt));
      return Write(response);
    }
    if (delta_) {
      *response.mutable_delta() = *std::exchange(delta_, std::nullopt);
      return Write(response);
    }
    if (result_) {
      *response.mutable_result() = ToProto(*std::exchange(result_, std::nullopt));
      return Write(response);
    }
  }
  if (!ending_) return;
  finished_ = true;
  Finish(trace_.Finished(*ending_));
}

void AskCall::Write(const v1::AskResponse& response) {
  writing_ = true;
  outgoing_ = SerializeMessage(response);
  StartWrite(&outgoing_);
}

void AskCall::OnWriteDone(bool ok) {
  {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    client_gone_ = client_gone_ || !ok;
    Advance();
  }
  CancelQuestion();
}

void AskCall::OnCancel() {
  {
    const std::lock_guard lock(mutex_);
    client_gone_ = true;
    Advance();
  }
  CancelQuestion();
}

void AskCall::OnDone() {
  const std::shared_ptr<AskCall> self = std::move(self_);
  const std::lock_guard lock(mutex_);
  trace_.Done();
}

}  // namespace tome::server
