#include "server/rpc/calls/export_call.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/rpc/wire/session_name.h"
#include "server/rpc/wire/validation.h"

namespace tome::server {
namespace {

constexpr std::size_t kPartBytes = std::size_t{128} << 10;

}  // namespace

void ExportCall::Begin(const grpc::ByteBuffer* request) {
  if (const absl::Status status = Export(*request); !status.ok()) return End(status);
  ListenToDrain();
}

absl::Status ExportCall::Export(const grpc::ByteBuffer& bytes) {
  v1::ExportSessionRequest request;
  TOME_RETURN_IF_ERROR(ParseMessage(bytes, &request));
  SetSession(request.name());
  TOME_RETURN_IF_ERROR(Validate(request));
  TOME_ASSIGN_OR_RETURN(SessionManager* const sessions, environment_.backend.sessions());
  {
    const std::lock_guard lock(mutex_);
    to_skip_ = request.offset();
  }
  const SessionId id = *ParseSessionName(request.name());
  const auto begun = [self = shared_from_this()](absl::StatusOr<std::unique_ptr<SessionExporter>> exporter) {
    self->OnBegun(std::move(exporter));
  };
  if (request.bundle().empty()) {
    sessions->Export(id, !request.without_snapshot(), begun);
  } else {
    sessions->ResumeExport(id, request.bundle(), begun);
  }
  return absl::OkStatus();
}

void ExportCall::OnBegun(absl::StatusOr<std::unique_ptr<SessionExporter>> exporter) {
  if (!exporter.ok()) return End(exporter.status());
  {
    const std::lock_guard lock(mutex_);
    exporter_ = *std::move(exporter);
  }
  ReadPiece();
}

void ExportCall::ReadPiece() {
  std::shared_ptr<SessionExporter> exporter;
  {
    const std::lock_guard lock(mutex_);
    if (ended() || unsent_ < piece_.size() || std::exchange(reading_, true)) return;
    exporter = exporter_;
  }
  exporter->Next([self = shared_from_this()](const absl::StatusOr<std::string>& piece) { self->OnPiece(piece); });
}

void ExportCall::OnPiece(const absl::StatusOr<std::string>& piece) {
  {
    const std::lock_guard lock(mutex_);
    reading_ = false;
    if (!piece.ok()) return EndLocked(piece.status());
    if (piece->empty()) return EndLocked(EndOfBundle());
    piece_ = *piece;
    unsent_ = std::min<std::uint64_t>(to_skip_, piece_.size());
    to_skip_ -= unsent_;
    if (unsent_ < piece_.size()) return Advance();
  }
  ReadPiece();
}

absl::Status ExportCall::EndOfBundle() const {
  if (to_skip_ == 0) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument,
                   fmt::format("offset: expected one within the bundle, found one {} bytes behind its end", to_skip_),
                   {.reason = "INVALID_FIELD", .metadata = {{"field", "offset"}}});
}

std::optional<grpc::ByteBuffer> ExportCall::NextMessage() {
  if (unsent_ == piece_.size() || ended()) return std::nullopt;
  v1::ExportSessionResponse response;
  if (!std::exchange(named_, true)) response.set_bundle(exporter_->bundle());
  response.set_data(piece_.substr(unsent_, kPartBytes));
  unsent_ += response.data().size();
  return SerializeMessage(response);
}

void ExportCall::Release() {
  const std::lock_guard lock(mutex_);
  exporter_.reset();
}

}  // namespace tome::server
