// The frame of a call that lasts: one that streams, or that waits for work of the session layer. What is the same in
// all of them is here, so that a new call says only what it reads, what it sends and when it is done:
//   class ExportCall : public WritingCall<StreamCall<ExportCall, grpc::ServerWriteReactor<grpc::ByteBuffer>>>
//
// Three parties speak to a call, each on threads of its own: gRPC, the session layer, and the server when it drains.
// Whatever they say changes what the call knows, under its lock; Advance then starts the next operation of gRPC or ends
// the call. The session layer is called without the lock, because it may answer at once.
//
// gRPC keeps a call alive until OnDone, callbacks of the session layer for as long as they need. Nothing is asked of
// gRPC once the call is finished.
#ifndef TOME_SERVER_RPC_CALLS_STREAM_CALL_H_
#define TOME_SERVER_RPC_CALLS_STREAM_CALL_H_

#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/calls/backend.h"
#include "server/rpc/calls/call.h"
#include "server/session/session_manager.h"

namespace tome::server {

// `Call`: the class itself. `Reactor`: that of gRPC for its kind of call.
template <typename Call, typename Reactor>
class StreamCall : public Reactor, public DrainListener, public std::enable_shared_from_this<Call> {
 public:
  // Makes a call that owns itself until OnDone, and calls its Begin.
  template <typename... Arguments>
  static Reactor* Start(const CallEnvironment& environment, grpc::CallbackServerContext* context,
                        Arguments... arguments) {
    const std::shared_ptr<Call> call(new Call(environment, context));
    call->self_ = call;
    call->Begin(arguments...);
    return call.get();
  }

  void OnCancel() final {
    {
      const std::lock_guard lock(mutex_);
      LoseClient();
    }
    OnClientGone();
  }

  void OnDrain() final {
    const std::lock_guard lock(mutex_);
    if (!ending_ && EndsOnDrain()) ending_ = DrainingError();
    Advance();
  }

  void OnDone() final {
    const std::shared_ptr<Call> self = std::move(self_);
    environment_.backend.Remove(this);
    Release();
    const std::lock_guard lock(mutex_);
    trace_.Done();
  }

 protected:
  StreamCall(std::string_view method, const CallEnvironment& environment, grpc::CallbackServerContext* context)
      : environment_(environment), trace_(method, *context, environment) {}

  // --- What a call says of itself, without mutex_ ---

  // The client is gone: what the session layer does for the call may end. Also called when nothing was begun, and
  // perhaps again.
  virtual void OnClientGone() {}
  // The call is over: drops what it holds of the session layer.
  virtual void Release() {}

  // --- The same, with mutex_ held ---

  // Starts to write, if something is to be sent. Whether an operation is under way.
  virtual bool StartNext() { return false; }
  // Whether something that was begun must come to its end before the call may.
  virtual bool IsBusy() const { return false; }
  // Whether a drain of the server ends the call, if it listens.
  virtual bool EndsOnDrain() const { return true; }

  // --- What a call does ---

  // From now on the call ends with DRAINING when the server drains. Calls that do not listen are waited for. Without
  // mutex_.
  void ListenToDrain() { environment_.backend.Add(this->shared_from_this()); }

  void SetSession(std::string session) {
    const std::lock_guard lock(mutex_);
    trace_.set_session(std::move(session));
  }

  // Nothing more is begun: the call ends with `status` once what was begun and must be waited for has ended. The first
  // error counts. Without mutex_.
  void End(const absl::Status& status) {
    const std::lock_guard lock(mutex_);
    EndLocked(status);
  }
  void EndLocked(const absl::Status& status) {
    if (!ending_ || (ending_->ok() && !status.ok())) ending_ = status;
    Advance();
  }

  // Starts the next operation or the end, if it is time. With mutex_ held.
  void Advance() {
    if (finished_) return;
    if (StartNext() || !ending_ || IsBusy()) return;
    finished_ = true;
    this->Finish(trace_.Finished(*ending_));
  }

  // With mutex_ held.
  void LoseClient() {
    client_gone_ = true;
    EndLocked(absl::CancelledError("the client is gone"));
  }
  bool ended() const { return ending_.has_value(); }

  const CallEnvironment environment_;
  std::mutex mutex_;
  // Guarded by mutex_.
  CallTrace trace_;
  bool client_gone_ = false;            // cancelled, or a write failed
  std::optional<absl::Status> ending_;  // nothing more is begun
  bool finished_ = false;

 private:
  std::shared_ptr<Call> self_;  // until OnDone
};

// A call that sends messages, one after the other.
template <typename Base>
class WritingCall : public Base {
 public:
  void OnWriteDone(bool ok) final {
    {
      const std::lock_guard lock(this->mutex_);
      writing_ = false;
      ok ? this->Advance() : this->LoseClient();
    }
    ok ? OnWritten() : this->OnClientGone();
  }

 protected:
  using Base::Base;

  // The next message, if one is due. With mutex_ held.
  virtual std::optional<grpc::ByteBuffer> NextMessage() = 0;
  // It is on its way. Without mutex_.
  virtual void OnWritten() {}

 private:
  bool StartNext() final {
    if (writing_) return true;
    if (this->client_gone_) return false;
    std::optional<grpc::ByteBuffer> message = NextMessage();
    if (!message) return false;
    writing_ = true;
    outgoing_ = *std::move(message);
    this->StartWrite(&outgoing_);
    return true;
  }

  grpc::ByteBuffer outgoing_;
  bool writing_ = false;  // guarded by mutex_
};

// A call that takes messages, one after the other, each when it asks for it.
template <typename Base>
class ReadingCall : public Base {
 public:
  void OnReadDone(bool ok) final {
    {
      const std::lock_guard lock(this->mutex_);
      if (this->ended()) return;
    }
    ok ? OnMessage(std::exchange(incoming_, {})) : OnHalfClose();
  }

 protected:
  using Base::Base;

  // Unless the call is ending. These two never run at the same time. Without mutex_.
  virtual void OnMessage(grpc::ByteBuffer message) = 0;
  virtual void OnHalfClose() = 0;

  // Asks for the next message, unless the call is ending. Without mutex_.
  void ReadNext() {
    const std::lock_guard lock(this->mutex_);
    if (!this->ended()) this->StartRead(&incoming_);
  }

 private:
  grpc::ByteBuffer incoming_;
};

// A call that waits for a question of the session layer. When the client cancels or its deadline passes, the question
// is cancelled, and the call ends once the session layer has let go of it.
template <typename Base>
class QuestionCall : public Base {
 protected:
  using Base::Base;

  // `start` gives the question to the session layer, which answers in any case. Without mutex_.
  template <typename StartFunction>
  void StartQuestion(StartFunction start) {
    {
      const std::lock_guard lock(this->mutex_);
      asked_ = true;
    }
    std::shared_ptr<RunningQuestion> question = start();
    bool gone;
    {
      const std::lock_guard lock(this->mutex_);
      if (asked_) question_ = std::move(question);
      gone = this->client_gone_;
    }
    if (gone) OnClientGone();
  }

  // The session layer has let go of the question. With mutex_ held.
  void LetGo(const absl::Status& status) {
    asked_ = false;
    question_.reset();
    this->EndLocked(status);
  }

 private:
  bool IsBusy() const final { return asked_; }

  void OnClientGone() final {
    std::shared_ptr<RunningQuestion> question;
    {
      const std::lock_guard lock(this->mutex_);
      question = std::move(question_);
    }
    if (question != nullptr) question->Cancel();
  }

  // Guarded by mutex_.
  bool asked_ = false;
  std::shared_ptr<RunningQuestion> question_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_CALLS_STREAM_CALL_H_
