#include "client/append.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "client/append_stream.h"
#include "client/append_tracker.h"
#include "client/resend_buffer.h"
#include "client/watch.h"
#include "engine/base/crc32c.h"
#include "engine/base/status.h"

namespace tome::client {
namespace {

// Moves a source's bytes into a buffer, on a thread of its own, until the end or until it is destroyed.
class SourcePump {
 public:
  SourcePump(ByteSource& source, ResendBuffer& buffer) : source_(source), buffer_(buffer) {
    thread_ = std::thread([this] { Run(); });
  }
  ~SourcePump() {
    source_.Interrupt();
    buffer_.Close();
    thread_.join();
  }

 private:
  void Run() {
    std::vector<char> bytes(64 << 10);
    while (true) {
      const auto got = source_.Read(bytes.data(), bytes.size());
      if (!got.ok() || *got == 0) return buffer_.End(got.status());
      if (!buffer_.Push({bytes.data(), *got})) return;
    }
  }

  ByteSource& source_;
  ResendBuffer& buffer_;
  std::thread thread_;
};

// Reports how the session is read while a document is still being sent. What goes wrong here does not matter: sending
// finds out itself.
class ReadingMonitor {
 public:
  ReadingMonitor(const Connection& connection, const std::string& session, const RetryPolicy& policy,
                 const CallOptions& call, AppendTracker& tracker) {
    if (call.cancellation != nullptr) follow_ = call.cancellation->OnCancel([this] { stop_.Cancel(); });
    thread_ = std::thread([this, &connection, &tracker, session, policy, deadline = call.deadline] {
      v1::WatchRequest request;
      request.set_session(session);
      const auto take = [&tracker](const v1::WatchResponse& report) {
        tracker.OnReading(report);
        return true;
      };
      const CallOptions own{.cancellation = &stop_, .deadline = deadline};
      WatchSession(connection, request, take, policy, own).IgnoreError();
    });
  }
  ~ReadingMonitor() {
    stop_.Cancel();
    thread_.join();
  }

 private:
  Cancellation stop_;
  Cancellation::Registration follow_;
  std::thread thread_;
};

class Appender {
 public:
  Appender(const Connection& connection, ByteSource& source, const AppendOptions& options, const CallOptions& call,
           AppendReport& report)
      : connection_(connection),
        source_(source),
        options_(options),
        call_(call),
        report_(report),
        tracker_(options.on_progress) {}

  absl::Status Run();

 private:
  absl::Status Look();
  absl::Status Look(const CallOptions& call, std::chrono::milliseconds limit);
  void LookOnceMore();
  absl::Status TransferAll();
  absl::Status Transfer();
  absl::Status VerifyNext();
  // Errors of a source that is not what the document holds; they fill in the report.
  absl::Status Differs(const absl::Status& mismatch);
  absl::Status Longer();
  absl::Status Shorter(std::uint64_t input_bytes);
  absl::Status Upload();
  absl::Status CheckUploaded(std::uint64_t end, bool sent_all) const;
  absl::Status WaitUntilDocumentIsRead();

  void OnReply(const v1::AppendResponse& reply);
  void Expect(std::uint64_t end);
  bool replied();
  v1::AppendRequest Message(std::uint64_t offset, ResendBuffer::Piece piece) const;
  bool MayTryAgain(const absl::Status& status) const;
  bool cancelled() const { return call_.cancellation != nullptr && call_.cancellation->cancelled(); }
  std::unique_ptr<AppendStream> OpenStream(std::function<void(const v1::AppendResponse&)> on_reply);

  const Connection& connection_;
  ByteSource& source_;
  const AppendOptions& options_;
  const CallOptions& call_;
  AppendReport& report_;
  AppendTracker tracker_;
  std::unique_ptr<ResendBuffer> buffer_;

  // As the server last told.
  std::uint64_t committed_ = 0;
  bool sealed_ = false;
  std::uint64_t earlier_bytes_ = 0;
  bool source_failed_ = false;
  // Guards, while an upload runs, what its replies touch: report_ and what follows.
  std::mutex mutex_;
  // Bytes before it were sent by this call, or found equal: what is committed beyond it must be compared.
  std::uint64_t known_ = 0;
  bool replied_ = false;
};

absl::Status Appender::Run() {
  const std::optional<std::uint64_t> size = source_.size();
  if (size.has_value() && !options_.continue_document) tracker_.SetTotal(*size);
  // Nothing has begun yet: who reads the notes of retries need not know of these.
  const CallOptions quiet{.cancellation = call_.cancellation, .deadline = call_.deadline};
  TOME_RETURN_IF_ERROR(RunWithRetries(connection_, quiet, [this] { return Look(); }));
  const bool began_sealed = sealed_;
  report_.begun = true;
  report_.resumed_at = committed_;
  if (options_.continue_document) {
    if (sealed_) {
      return FailedPrecondition(
          "document '{}' is sealed with {} bytes, and nothing can follow; append the text as another "
          "document",
          options_.document, committed_);
    }
    known_ = committed_;
  }
  if (size.has_value()) tracker_.SetTotal(known_ + *size);
  buffer_ = std::make_unique<ResendBuffer>(std::max(options_.buffer_bytes, options_.chunk_bytes), known_);
  absl::Status status;
  {
    Cancellation::Registration closing;
    if (call_.cancellation != nullptr) closing = call_.cancellation->OnCancel([this] { buffer_->Close(); });
    SourcePump pump(source_, *buffer_);
    status = TransferAll();
  }
  report_.already_there = status.ok() && began_sealed;
  if (status.ok() && options_.wait_until_read) status = WaitUntilDocumentIsRead();
  if (cancelled()) LookOnceMore();
  report_.ingested_bytes = tracker_.progress().ingested_bytes;
  return status;
}

// Asks what the document holds.
absl::Status Appender::Look() { return Look(call_, connection_.options.unary_deadline); }

absl::Status Appender::Look(const CallOptions& call, std::chrono::milliseconds limit) {
  CallContext context(call, limit);
  v1::GetSessionRequest request;
  request.set_name(options_.session);
  v1::Session session;
  TOME_RETURN_IF_ERROR(CallStatus(connection_.sessions->GetSession(context.get(), request, &session), call));
  committed_ = 0;
  sealed_ = false;
  for (const v1::Document& document : session.documents()) {
    if (document.name() != options_.document) continue;
    committed_ = document.durable_bytes();
    sealed_ = document.sealed();
  }
  earlier_bytes_ = session.durable_bytes() - std::min(session.durable_bytes(), committed_);
  if (committed_ < report_.durable_bytes) {
    return DataLoss("the server had acknowledged {} bytes of {} and now holds {}", report_.durable_bytes,
                    options_.document, committed_);
  }
  report_.durable_bytes = committed_;
  report_.sealed = sealed_;
  tracker_.SetEarlierBytes(earlier_bytes_);
  tracker_.OnDurable(committed_);
  return absl::OkStatus();
}

// After a cancellation: what was on its way has arrived or not, and the caller will want to know where to go on.
// Without an answer the report keeps what was acknowledged.
void Appender::LookOnceMore() { Look(CallOptions(), std::chrono::seconds(1)).IgnoreError(); }

absl::Status Appender::Differs(const absl::Status& mismatch) {
  const std::optional<std::uint64_t> at = DetailsOf(mismatch).Number("byte_offset");
  report_.conflict = AppendConflict::kDiffers;
  if (!at.has_value()) return mismatch;
  report_.same_bytes = *at;
  return Annotate(mismatch, fmt::format("document '{}' has {} bytes, of which the first {} are those of the input and "
                                        "the next one is not",
                                        options_.document, committed_, *at));
}

absl::Status Appender::Longer() {
  report_.conflict = AppendConflict::kLonger;
  report_.same_bytes = committed_;
  const std::string more = source_.size().has_value() ? std::to_string(*source_.size() - committed_) : "more";
  return FailedPrecondition(
      "document '{}' is sealed with {} bytes, which are the first of the input; {} bytes follow in it. A sealed "
      "document "
      "takes no more: append what follows as another document",
      options_.document, committed_, more);
}

absl::Status Appender::Shorter(std::uint64_t input_bytes) {
  report_.conflict = AppendConflict::kShorter;
  report_.same_bytes = input_bytes;
  return FailedPrecondition(
      "document '{}' has {} bytes, and the input ends after {}, which are the first of the document. What is stored "
      "stays: "
      "append a shorter text as another document",
      options_.document, committed_, input_bytes);
}

absl::Status Appender::TransferAll() {
  Backoff backoff(options_.retry, connection_.options.seed);
  std::uint64_t reached = std::max(report_.durable_bytes, known_);
  absl::Status status = Transfer();
  while (!status.ok() && MayTryAgain(status)) {
    const std::uint64_t now = std::max(report_.durable_bytes, buffer_->first_offset());
    if (now > reached) backoff.Reset();
    reached = std::max(reached, now);
    TOME_RETURN_IF_ERROR(WaitBeforeRetry(connection_, call_, backoff, status));
    ++report_.retries;
    status = Look();
    if (status.ok()) status = Transfer();
  }
  return status;
}

bool Appender::MayTryAgain(const absl::Status& status) const {
  if (source_failed_ || cancelled()) return false;
  if (IsTransient(status)) return true;
  // The offset was taken from under us, for instance by what an earlier connection still had on its way.
  const ErrorDetails details = DetailsOf(status);
  return absl::IsAborted(status) && details.reason != "CONTENT_MISMATCH" &&
         details.Number("committed_offset").has_value();
}

absl::Status Appender::Transfer() {
  if (known_ < committed_) {
    tracker_.SetPhase(AppendPhase::kVerifying);
    while (known_ < committed_) TOME_RETURN_IF_ERROR(VerifyNext());
  }
  buffer_->Release(committed_);
  if (!sealed_) return Upload();
  const std::atomic<bool> never = false;
  const auto piece = buffer_->Take(committed_, 1, never);
  source_failed_ = !piece.ok();
  TOME_RETURN_IF_ERROR(piece.status());
  if (!piece->has_value()) return absl::CancelledError("cancelled");
  return (*piece)->data.empty() ? absl::OkStatus() : Longer();
}

std::unique_ptr<AppendStream> Appender::OpenStream(std::function<void(const v1::AppendResponse&)> on_reply) {
  return std::make_unique<AppendStream>(connection_, call_, std::move(on_reply), [this] { buffer_->Wake(); });
}

v1::AppendRequest Appender::Message(std::uint64_t offset, ResendBuffer::Piece piece) const {
  v1::AppendRequest request;
  request.set_session(options_.session);
  request.set_document(options_.document);
  request.set_invalid_utf8(options_.invalid_utf8);
  request.set_write_offset(offset);
  request.set_crc32c(Crc32c(piece.data));
  request.set_data(std::move(piece.data));
  return request;
}

// Compares the next part of what is stored with the source: a call of its own, because only its good end says that all
// of its repeats were exact.
absl::Status Appender::VerifyNext() {
  buffer_->Release(known_);
  const std::uint64_t end = std::min<std::uint64_t>(committed_, known_ + buffer_->capacity());
  const auto stream = OpenStream([](const v1::AppendResponse&) {});
  std::uint64_t offset = known_;
  bool input_ended = false;
  while (offset < end) {
    auto piece = buffer_->Take(offset, std::min<std::uint64_t>(options_.chunk_bytes, end - offset), stream->ended());
    source_failed_ = !piece.ok();
    TOME_RETURN_IF_ERROR(piece.status());
    if (!piece->has_value()) break;
    input_ended = (*piece)->data.empty();
    if (input_ended) break;
    const std::uint64_t size = (*piece)->data.size();
    if (!stream->Write(Message(offset, *std::move(*piece)))) break;
    offset += size;
  }
  const absl::Status status = stream->Finish();
  if (DetailsOf(status).reason == "CONTENT_MISMATCH") return Differs(status);
  TOME_RETURN_IF_ERROR(status);
  if (cancelled()) return absl::CancelledError("cancelled");
  if (input_ended) return Shorter(offset);
  if (offset < end) return absl::UnavailableError("the server ended the comparison early");
  known_ = end;
  buffer_->Release(end);
  tracker_.OnVerified(end);
  return absl::OkStatus();
}

absl::Status Appender::Upload() {
  tracker_.SetPhase(AppendPhase::kUploading);
  const std::atomic<bool> never = false;
  std::uint64_t offset = committed_;
  bool sent_all = false;
  std::unique_ptr<AppendStream> stream;
  std::unique_ptr<ReadingMonitor> monitor;
  while (!sent_all) {
    // The stream is opened with the first message at hand: a source may be silent for hours.
    auto piece = buffer_->Take(offset, options_.chunk_bytes, stream ? stream->ended() : never);
    source_failed_ = !piece.ok();
    TOME_RETURN_IF_ERROR(piece.status());
    if (!piece->has_value()) break;
    const bool last = (*piece)->last;
    const std::uint64_t size = (*piece)->data.size();
    if (size > 0 || options_.finish) {
      v1::AppendRequest request = Message(offset, *std::move(*piece));
      request.set_finish(last && options_.finish);
      Expect(offset + size);
      if (stream == nullptr) stream = OpenStream([this](const v1::AppendResponse& reply) { OnReply(reply); });
      if (!stream->Write(request)) break;
    }
    offset += size;
    sent_all = last;
    if (options_.on_progress && monitor == nullptr && replied()) {
      monitor = std::make_unique<ReadingMonitor>(connection_, options_.session, options_.retry, call_, tracker_);
    }
  }
  if (stream != nullptr) TOME_RETURN_IF_ERROR(stream->Finish());
  return CheckUploaded(offset, sent_all);
}

// A stream that ended well can still have ended too early: when the server closed it, or the caller gave up.
absl::Status Appender::CheckUploaded(std::uint64_t end, bool sent_all) const {
  if (cancelled()) return absl::CancelledError("cancelled");
  if (sent_all && report_.durable_bytes >= end && (report_.sealed || !options_.finish)) return absl::OkStatus();
  return absl::UnavailableError("the server ended the stream before everything was stored");
}

void Appender::Expect(std::uint64_t end) {
  const std::lock_guard lock(mutex_);
  known_ = std::max(known_, end);
}

bool Appender::replied() {
  const std::lock_guard lock(mutex_);
  return replied_;
}

void Appender::OnReply(const v1::AppendResponse& reply) {
  {
    const std::lock_guard lock(mutex_);
    replied_ = true;
    // What was never sent cannot have been acknowledged, whatever the server says.
    report_.durable_bytes = std::max(report_.durable_bytes, std::min(reply.durable_offset(), known_));
    report_.sealed = report_.sealed || reply.sealed();
    buffer_->Release(report_.durable_bytes);
  }
  tracker_.OnReply(reply);
}

absl::Status Appender::WaitUntilDocumentIsRead() {
  tracker_.SetPhase(AppendPhase::kReading);
  const ReadingGoal goal{.session = options_.session,
                         .ingested_bytes = earlier_bytes_ + report_.durable_bytes,
                         .idle_is_enough = !report_.sealed};
  const auto take = [this](const v1::WatchResponse& report) { tracker_.OnReading(report); };
  return WaitUntilRead(connection_, goal, take, options_.retry, call_);
}

}  // namespace

absl::Status AppendDocument(const Connection& connection, ByteSource& source, const AppendOptions& options,
                            const CallOptions& call_options, AppendReport* report) {
  *report = AppendReport();
  return Appender(connection, source, options, call_options, *report).Run();
}

}  // namespace tome::client
