#include "client/transfer.h"

#include <utility>

#include "engine/base/status.h"

namespace tome::client {
namespace {

constexpr std::size_t kMessageBytes = std::size_t{1} << 20;

// `begun`: whether anything came. `failure`: the sink's own error.
absl::Status ExportOnce(const Connection& connection, const v1::ExportSessionRequest& request, const ArchiveSink& sink,
                        const CallOptions& options, bool* begun, absl::Status* failure) {
  CallContext context(options);
  const auto reader = connection.sessions->ExportSession(context.get(), request);
  v1::ExportSessionResponse response;
  while (failure->ok() && reader->Read(&response)) {
    *begun = true;
    *failure = sink.take(response.data());
  }
  if (!failure->ok()) context.Cancel();
  return CallStatus(reader->Finish(), options);
}

}  // namespace

absl::Status ExportArchive(const Connection& connection, const v1::ExportSessionRequest& request,
                           const ArchiveSink& sink, const CallOptions& options) {
  Backoff backoff(connection.options.retry, connection.options.seed);
  while (true) {
    bool begun = false;
    absl::Status failure;
    const absl::Status status = ExportOnce(connection, request, sink, options, &begun, &failure);
    if (!failure.ok()) return failure;
    if (status.ok() || !IsTransient(status) || (begun && !sink.restart)) return status;
    if (begun) backoff.Reset();
    TOME_RETURN_IF_ERROR(WaitBeforeRetry(connection, options, backoff, status));
    if (begun) TOME_RETURN_IF_ERROR(sink.restart());
  }
}

absl::StatusOr<v1::Session> ImportArchive(const Connection& connection, const std::string& session_id,
                                          ByteSource& source, const std::function<void(std::uint64_t)>& on_sent,
                                          const CallOptions& options) {
  CallContext context(options);
  Cancellation::Registration interrupting;
  if (options.cancellation != nullptr) {
    interrupting = options.cancellation->OnCancel([&source] { source.Interrupt(); });
  }
  v1::Session session;
  const auto writer = connection.sessions->ImportSession(context.get(), &session);
  absl::Status failure;
  std::string buffer(kMessageBytes, '\0');
  std::uint64_t sent = 0;
  while (true) {
    const absl::StatusOr<std::size_t> size = source.Read(buffer.data(), buffer.size());
    if (!size.ok()) {
      failure = size.status();
      context.Cancel();
      break;
    }
    if (*size == 0) break;
    v1::ImportSessionRequest request;
    if (sent == 0) request.set_session_id(session_id);
    request.set_data(buffer.data(), *size);
    if (!writer->Write(request)) break;  // Finish tells why
    sent += *size;
    if (on_sent) on_sent(sent);
  }
  writer->WritesDone();
  const absl::Status status = CallStatus(writer->Finish(), options);
  if (absl::IsCancelled(status) && !failure.ok()) return failure;
  if (!status.ok()) return status;
  return session;
}

}  // namespace tome::client
