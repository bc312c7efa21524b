#include "server/rpc/calls/score_call.h"

#include <utility>

#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "server/base/errors.h"
#include "server/rpc/wire/question_conversion.h"
#include "server/rpc/wire/validation.h"

namespace tome::server {

void ScoreCall::Begin(const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  response_ = response;
  if (const absl::Status status = Score(*request); !status.ok()) End(WithField(status, "question", "text"));
}

absl::Status ScoreCall::Score(const grpc::ByteBuffer& bytes) {
  v1::ScoreRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(bytes, &request));
  SetSession(request.session());
  TOME_RETURN_IF_ERROR(Validate(request));
  TOME_ASSIGN_OR_RETURN(SessionManager* const sessions, environment_.backend.sessions());
  tokenizer_ = sessions->model()->tokenizer();
  StartQuestion([&] { return sessions->StartScore(FromProto(request), shared_from_this()); });
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
  if (result.ok()) {
    reply_.set_ingested_bytes(result->coverage.ingested_bytes);
    reply_.set_pending_bytes(result->coverage.pending_bytes);
    *response_ = SerializeMessage(reply_);
  }
  LetGo(WithField(result.status(), "question", "text"));
}

}  // namespace tome::server
