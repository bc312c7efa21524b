#include "server/rpc/score_call.h"

#include <utility>

#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "server/rpc/question_conversion.h"
#include "server/rpc/validation.h"
#include "server/session/errors.h"

namespace tome::server {

grpc::ServerUnaryReactor* ScoreCall::Start(const CallEnvironment& environment, grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  const std::shared_ptr<ScoreCall> call(new ScoreCall(environment, context, response));
  call->self_ = call;
  if (absl::Status status = call->Score(*request); !status.ok()) call->OnDone(std::move(status));
  return call.get();
}

ScoreCall::ScoreCall(const CallEnvironment& environment, grpc::CallbackServerContext* context,
                     grpc::ByteBuffer* response)
    : environment_(environment), response_(response), trace_("Score", *context, environment) {}

absl::Status ScoreCall::Score(const grpc::ByteBuffer& bytes) {
  v1::ScoreRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(bytes, &request));
  {
    const std::lock_guard lock(mutex_);
    trace_.set_session(request.session());
  }
  TOME_RETURN_IF_ERROR(Validate(request));
  TOME_ASSIGN_OR_RETURN(SessionManager* const sessions, environment_.backend.sessions());
  tokenizer_ = sessions->model()->tokenizer();
  std::shared_ptr<Question> work = sessions->StartQuestion(FromProto(request), shared_from_this());
  {
    const std::lock_guard lock(mutex_);
    if (!finished_) work_ = std::move(work);
  }
  CancelWork();
  return absl::OkStatus();
}

void ScoreCall::OnDelta(const AnswerDelta& delta) {
  const std::lock_guard lock(mutex_);
  for (const ScoredToken& token : delta.scored) {
    v1::TokenScore& added = *reply_.add_tokens();
    added.set_token(token.id);
    added.set_piece(ReplaceInvalidUtf8(tokenizer_->PieceText(token.id)));
    if (!token.log_probability.has_value()) continue;
    added.set_log_probability(*token.log_probability);
    reply_.set_log_probability(reply_.log_probability() + *token.log_probability);
    reply_.set_scored_tokens(reply_.scored_tokens() + 1);
  }
}

void ScoreCall::OnDone(const absl::StatusOr<QuestionResult>& result) {
  const std::lock_guard lock(mutex_);
  work_.reset();
  finished_ = true;
  if (!result.ok()) return Finish(trace_.Finished(WithField(result.status(), "question", "text")));
  reply_.set_ingested_bytes(result->coverage.ingested_bytes);
  reply_.set_pending_bytes(result->coverage.pending_bytes);
  *response_ = SerializeMessage(reply_);
  Finish(trace_.Finished(absl::OkStatus()));
}

void ScoreCall::CancelWork() {
  std::shared_ptr<Question> work;
  {
    const std::lock_guard lock(mutex_);
    if (client_gone_) work = std::move(work_);
  }
  if (work != nullptr) work->Cancel();
}

void ScoreCall::OnCancel() {
  {
    const std::lock_guard lock(mutex_);
    client_gone_ = true;
  }
  CancelWork();
}

void ScoreCall::OnDone() {
  const std::shared_ptr<ScoreCall> self = std::move(self_);
  const std::lock_guard lock(mutex_);
  trace_.Done();
}

}  // namespace tome::server
