// One Score call.
#ifndef TOME_SERVER_RPC_SCORE_CALL_H_
#define TOME_SERVER_RPC_SCORE_CALL_H_

#include <memory>
#include <mutex>

#include "grpcpp/support/server_callback.h"
#include "server/rpc/call.h"
#include "server/session/session_manager.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

// Hands a text to the session layer as a question that is scored, gathers its tokens and replies. When the client
// cancels or its deadline passes, the work is cancelled, and the call ends once the session layer has let go of it.
// Owns itself until OnDone of gRPC.
class ScoreCall final : public grpc::ServerUnaryReactor,
                        public QuestionObserver,
                        public std::enable_shared_from_this<ScoreCall> {
 public:
  static grpc::ServerUnaryReactor* Start(const CallEnvironment& environment, grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request, grpc::ByteBuffer* response);

  // QuestionObserver.
  void OnProgress(const QuestionProgress&) override {}
  void OnDelta(const AnswerDelta& delta) override;
  void OnDone(const absl::StatusOr<QuestionResult>& result) override;

  // Of gRPC.
  void OnCancel() override;
  void OnDone() override;

 private:
  ScoreCall(const CallEnvironment& environment, grpc::CallbackServerContext* context, grpc::ByteBuffer* response);

  absl::Status Score(const grpc::ByteBuffer& bytes);
  // Cancels the work, if it has been started and the client is gone. Without mutex_.
  void CancelWork();

  CallEnvironment environment_;
  grpc::ByteBuffer* response_;
  std::shared_ptr<ScoreCall> self_;  // until OnDone
  std::shared_ptr<const Tokenizer> tokenizer_;

  std::mutex mutex_;
  // Guarded by mutex_.
  CallTrace trace_;
  std::shared_ptr<Question> work_;
  v1::ScoreResponse reply_;
  bool client_gone_ = false;
  bool finished_ = false;
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_SCORE_CALL_H_
