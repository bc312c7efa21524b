#include "client/transfer.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"

namespace tome::client {
namespace {

constexpr std::size_t kMessageBytes = std::size_t{1} << 20;
// How often a transfer is begun anew. Each time all that came before is sent in vain.
constexpr int kMaxRestarts = 4;

// Once a transfer has begun the server is known to be there: it may be starting again.
RetryPolicy PatiencePolicy() {
  return {.max_delay = std::chrono::milliseconds(4'000), .give_up_after = std::chrono::minutes(5)};
}

// --- Export ---

class Exporter {
 public:
  Exporter(const Connection& connection, v1::ExportSessionRequest request, const BundleSink& sink,
           const CallOptions& options)
      : connection_(connection),
        request_(std::move(request)),
        sink_(sink),
        options_(options),
        before_contact_(connection.options.retry, connection.options.seed),
        once_begun_(PatiencePolicy(), connection.options.seed) {}

  absl::Status Run() {
    while (true) {
      absl::Status failure;
      const absl::Status status = Call(&failure);
      if (!failure.ok()) return failure;
      if (status.ok()) return status;
      const bool changed = DetailsOf(status).reason == "BUNDLE_CHANGED";
      if (!changed && !IsTransient(status)) return status;
      NoteCut();
      if (changed || request_.bundle().empty()) TOME_RETURN_IF_ERROR(BeginAnew(status));
      request_.set_offset(received_);
      if (!changed) TOME_RETURN_IF_ERROR(Wait(status));
    }
  }

 private:
  // One call. `failure`: the sink's own error.
  absl::Status Call(absl::Status* failure) {
    CallContext context(options_);
    const auto reader = connection_.sessions->ExportSession(context.get(), request_);
    v1::ExportSessionResponse response;
    while (failure->ok() && reader->Read(&response)) {
      if (!response.bundle().empty()) request_.set_bundle(response.bundle());
      received_ += response.data().size();
      *failure = sink_.take(response.data());
    }
    if (!failure->ok()) context.Cancel();
    return CallStatus(reader->Finish(), options_);
  }

  void NoteCut() {
    if (received_ > furthest_) {
      once_begun_.Reset();
      cuts_ = 0;
    }
    furthest_ = std::max(furthest_, received_);
    ++cuts_;
  }

  // Not OK when no other attempt is due.
  absl::Status Wait(const absl::Status& cut) {
    if (furthest_ == 0) return WaitBeforeRetry(connection_, options_, before_contact_, cut);
    const absl::Status status = WaitBeforeRetry(connection_, options_, once_begun_, cut);
    if (absl::IsCancelled(status)) return status;
    return Annotate(status, fmt::format("the export gave up: it was cut {} times and came no further than byte {}",
                                        cuts_, furthest_));
  }

  absl::Status BeginAnew(const absl::Status& why) {
    request_.clear_bundle();
    if (received_ == 0) return absl::OkStatus();
    const std::string after = fmt::format("the export was cut after {} bytes and cannot go on there", received_);
    if (!sink_.restart) return Annotate(why, after + "; export to a file, which can begin anew");
    if (++restarts_ > kMaxRestarts) {
      return Annotate(why, fmt::format("{}; it gave up after beginning anew {} times", after, kMaxRestarts));
    }
    received_ = 0;
    return sink_.restart();
  }

  const Connection& connection_;
  v1::ExportSessionRequest request_;  // with the bundle and the offset to go on from
  const BundleSink& sink_;
  const CallOptions& options_;
  Backoff before_contact_;
  Backoff once_begun_;          // its count starts anew whenever the export gets further
  std::uint64_t received_ = 0;  // of the present bundle
  std::uint64_t furthest_ = 0;  // the most that ever came
  int cuts_ = 0;                // without getting further
  int restarts_ = 0;
};

// --- Import ---

class Importer {
 public:
  Importer(const Connection& connection, const std::string& session_id, ByteSource& source,
           const std::function<void(std::uint64_t)>& on_sent, const CallOptions& options)
      : connection_(connection),
        session_id_(session_id),
        source_(source),
        on_sent_(on_sent),
        options_(options),
        before_contact_(connection.options.retry, connection.options.seed),
        once_begun_(PatiencePolicy(), connection.options.seed) {}

  absl::StatusOr<v1::Session> Run() {
    while (true) {
      v1::Session session;
      absl::Status failure;
      const absl::Status status = Call(&session, &failure);
      if (absl::IsCancelled(status) && !failure.ok()) return failure;
      if (status.ok()) return session;
      TOME_RETURN_IF_ERROR(PrepareAnother(status));
    }
  }

 private:
  // One upload. `failure`: the source's own error.
  absl::Status Call(v1::Session* session, absl::Status* failure) {
    CallContext context(options_);
    const auto writer = connection_.sessions->ImportSession(context.get(), session);
    std::string buffer(kMessageBytes, '\0');
    sent_ = 0;
    sent_all_ = false;
    while (true) {
      const absl::StatusOr<std::size_t> size = source_.Read(buffer.data(), buffer.size());
      if (!size.ok()) {
        *failure = size.status();
        context.Cancel();
        break;
      }
      if (*size == 0) {
        sent_all_ = writer->WritesDone();
        break;
      }
      v1::ImportSessionRequest request;
      if (sent_ == 0) request.set_session_id(session_id_);
      request.set_data(buffer.data(), *size);
      if (!writer->Write(request)) break;  // Finish tells why
      sent_ += *size;
      if (on_sent_) on_sent_(sent_);
    }
    return CallStatus(writer->Finish(), options_);
  }

  // Not OK when no other attempt is due.
  absl::Status PrepareAnother(const absl::Status& status) {
    if (absl::IsAlreadyExists(status) && uploads_ > 0) {
      return Annotate(status, "the upload was cut, and the server may not have noticed yet: try again in two minutes");
    }
    if (!IsTransient(status)) return status;
    if (sent_all_ && !DetailsOf(status).present) {
      return Annotate(
          status, fmt::format("all {} bytes were sent, but no reply came: the session may be there. Look for it (tome "
                              "list), and import again if it is not",
                              sent_));
    }
    const std::string cut = fmt::format("the upload was cut after {} bytes, of which the server keeps none", sent_);
    if (!source_.Rewind().ok()) {
      return sent_ == 0 ? status : Annotate(status, cut + "; import from a file, which can be sent again");
    }
    if (sent_ == 0)
      return WaitBeforeRetry(connection_, options_, uploads_ == 0 ? before_contact_ : once_begun_, status);
    if (++uploads_ > kMaxRestarts) return Annotate(status, fmt::format("{}; it was sent {} times", cut, uploads_));
    return Annotate(WaitBeforeRetry(connection_, options_, once_begun_, status), cut);
  }

  const Connection& connection_;
  const std::string& session_id_;
  ByteSource& source_;
  const std::function<void(std::uint64_t)>& on_sent_;
  const CallOptions& options_;
  Backoff before_contact_;
  Backoff once_begun_;
  std::uint64_t sent_ = 0;
  bool sent_all_ = false;
  int uploads_ = 0;  // that were cut
};

}  // namespace

absl::Status ExportBundle(const Connection& connection, const v1::ExportSessionRequest& request, const BundleSink& sink,
                          const CallOptions& options) {
  return Exporter(connection, request, sink, options).Run();
}

absl::StatusOr<v1::Session> ImportBundle(const Connection& connection, const std::string& session_id,
                                         ByteSource& source, const std::function<void(std::uint64_t)>& on_sent,
                                         const CallOptions& options) {
  Cancellation::Registration interrupting;
  if (options.cancellation != nullptr) {
    interrupting = options.cancellation->OnCancel([&source] { source.Interrupt(); });
  }
  return Importer(connection, session_id, source, on_sent, options).Run();
}

}  // namespace tome::client
