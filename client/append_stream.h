// One Append call: messages out, replies in.
#ifndef TOME_CLIENT_APPEND_STREAM_H_
#define TOME_CLIENT_APPEND_STREAM_H_

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "client/connection.h"

namespace tome::client {

// One thread writes and finishes; replies are taken on a thread of the stream's own.
class AppendStream {
 public:
  // `on_reply` gets every reply; `on_end` is called once when the last has come, also when the connection broke.
  AppendStream(const Connection& connection, const CallOptions& options,
               std::function<void(const v1::AppendResponse&)> on_reply, std::function<void()> on_end);
  // Cancels what is not finished.
  ~AppendStream();

  // Blocks while the server takes no more. False when the stream is over; Finish tells why.
  bool Write(const v1::AppendRequest& request) { return stream_->Write(request); }
  // Half-closes, waits for the last reply and returns the call's result.
  absl::Status Finish();
  // Ends the call without waiting for what was sent.
  void Cancel();

  // True once no reply can come any more.
  const std::atomic<bool>& ended() const { return ended_; }

 private:
  const CallOptions& options_;
  CallContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::AppendRequest, v1::AppendResponse>> stream_;
  std::atomic<bool> ended_ = false;
  std::thread replies_;
};

}  // namespace tome::client

#endif  // TOME_CLIENT_APPEND_STREAM_H_
