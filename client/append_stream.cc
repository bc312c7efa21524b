#include "client/append_stream.h"

#include <utility>

namespace tome::client {

AppendStream::AppendStream(const Connection& connection, const CallOptions& options,
                           std::function<void(const v1::AppendResponse&)> on_reply, std::function<void()> on_end)
    : options_(options), context_(options), stream_(connection.sessions->Append(context_.get())) {
  replies_ = std::thread([this, on_reply = std::move(on_reply), on_end = std::move(on_end)] {
    v1::AppendResponse reply;
    while (stream_->Read(&reply)) on_reply(reply);
    ended_ = true;
    on_end();
  });
}

AppendStream::~AppendStream() {
  if (replies_.joinable()) Cancel();
}

absl::Status AppendStream::Finish() {
  stream_->WritesDone();
  replies_.join();
  return CallStatus(stream_->Finish(), options_);
}

void AppendStream::Cancel() {
  context_.Cancel();
  replies_.join();
  stream_->Finish();
}

}  // namespace tome::client
