// One Ask stream.
#ifndef TOME_SERVER_RPC_ASK_CALL_H_
#define TOME_SERVER_RPC_ASK_CALL_H_

#include <memory>
#include <mutex>
#include <optional>

#include "grpcpp/support/server_callback.h"
#include "server/rpc/call.h"
#include "server/session/session_manager.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

// Hands a question to the session layer and streams what comes of it. What waits for a slow client is one progress (the
// latest), one delta (merged) and the end, so it is never more than the answer itself. When the client cancels or its
// deadline passes, the question is cancelled, and the call ends once the session layer has let go of it.
// Lifetime as of AppendCall.
class AskCall final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                      public QuestionObserver,
                      public std::enable_shared_from_this<AskCall> {
 public:
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(const CallEnvironment& environment,
                                                           grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer* request);

  // Of gRPC.
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // Of the question.
  void OnProgress(const QuestionProgress& progress) override;
  void OnDelta(const AnswerDelta& delta) override;
  void OnDone(const absl::StatusOr<QuestionResult>& result) override;

 private:
  AskCall(const CallEnvironment& environment, grpc::CallbackServerContext* context);

  absl::Status Ask(const grpc::ByteBuffer& request);
  // Cancels the question, if it has been started and the client is gone. Without mutex_.
  void CancelQuestion();
  // Starts the next write or the end, if it is time. Needs mutex_.
  void Advance();
  void Write(const v1::AskResponse& response);

  CallEnvironment environment_;
  std::shared_ptr<AskCall> self_;  // until OnDone
  std::shared_ptr<const Tokenizer> tokenizer_;

  std::mutex mutex_;
  // Guarded by mutex_.
  CallTrace trace_;
  std::shared_ptr<Question> question_;
  std::optional<QuestionProgress> progress_;  // these four: not sent yet
  std::optional<v1::AskDelta> delta_;
  std::optional<QuestionResult> result_;
  std::optional<absl::Status> ending_;
  grpc::ByteBuffer outgoing_;
  bool writing_ = false;
  bool client_gone_ = false;
  bool finished_ = false;
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_ASK_CALL_H_
