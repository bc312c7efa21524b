// One Score call.
#ifndef TOME_SERVER_RPC_CALLS_SCORE_CALL_H_
#define TOME_SERVER_RPC_CALLS_SCORE_CALL_H_

#include <memory>

#include "server/rpc/calls/stream_call.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

// Hands a text to the session layer as a question that is scored, gathers its tokens and replies. A drain of the server
// lets it come to its end.
class ScoreCall final : public QuestionCall<StreamCall<ScoreCall, grpc::ServerUnaryReactor>>, public QuestionObserver {
 public:
  // QuestionObserver.
  void OnProgress(const QuestionProgress&) override {}
  void OnDelta(const AnswerDelta& delta) override;
  void OnDone(const absl::StatusOr<QuestionResult>& result) override;
  using QuestionCall::OnDone;  // of gRPC

 private:
  friend StreamCall;

  ScoreCall(const CallEnvironment& environment, grpc::CallbackServerContext* context)
      : QuestionCall("Score", environment, context) {}

  void Begin(const grpc::ByteBuffer* request, grpc::ByteBuffer* response);
  absl::Status Score(const grpc::ByteBuffer& bytes);

  grpc::ByteBuffer* response_ = nullptr;
  std::shared_ptr<const Tokenizer> tokenizer_;
  v1::ScoreResponse reply_;  // guarded by mutex_
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_CALLS_SCORE_CALL_H_
