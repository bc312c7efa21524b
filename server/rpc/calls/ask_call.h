// One Ask stream.
#ifndef TOME_SERVER_RPC_CALLS_ASK_CALL_H_
#define TOME_SERVER_RPC_CALLS_ASK_CALL_H_

#include <memory>
#include <optional>

#include "server/rpc/calls/stream_call.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

// Hands a question to the session layer and streams what comes of it. What waits for a slow client is one progress (the
// latest), one delta (merged) and the end, so it is never more than the answer itself. A drain of the server lets it
// come to its end.
class AskCall final : public QuestionCall<WritingCall<StreamCall<AskCall, grpc::ServerWriteReactor<grpc::ByteBuffer>>>>,
                      public QuestionObserver {
 public:
  // Of the question.
  void OnProgress(const QuestionProgress& progress) override;
  void OnDelta(const AnswerDelta& delta) override;
  void OnDone(const absl::StatusOr<QuestionResult>& result) override;
  using QuestionCall::OnDone;  // of gRPC

 private:
  friend StreamCall;

  AskCall(const CallEnvironment& environment, grpc::CallbackServerContext* context)
      : QuestionCall("Ask", environment, context) {}

  void Begin(const grpc::ByteBuffer* request);
  std::optional<grpc::ByteBuffer> NextMessage() override;

  absl::Status Ask(const grpc::ByteBuffer& bytes);

  std::shared_ptr<const Tokenizer> tokenizer_;

  // Guarded by mutex_. Not sent yet:
  std::optional<QuestionProgress> progress_;
  std::optional<v1::AskDelta> delta_;
  std::optional<QuestionResult> result_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_CALLS_ASK_CALL_H_
