// Sessions as archives: out of a server, and into one.
#ifndef TOME_CLIENT_TRANSFER_H_
#define TOME_CLIENT_TRANSFER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/connection.h"
#include "client/source.h"

namespace tome::client {

// Takes an archive. Called on the calling thread.
struct ArchiveSink {
  // The next bytes. An error ends the call with it.
  std::function<absl::Status(std::string_view bytes)> take;
  // What came counts no more; the archive begins anew. Empty: this cannot be, so the call is repeated only while
  // nothing has come.
  std::function<absl::Status()> restart;
};

absl::Status ExportArchive(const Connection& connection, const v1::ExportSessionRequest& request,
                           const ArchiveSink& sink, const CallOptions& options);

// `session_id`: of the new session; empty for the one in the archive. `on_sent` (may be empty) is told how many bytes
// were sent. Not repeated: when the reply was lost, only a look at the server tells whether the session is there.
absl::StatusOr<v1::Session> ImportArchive(const Connection& connection, const std::string& session_id,
                                          ByteSource& source, const std::function<void(std::uint64_t)>& on_sent,
                                          const CallOptions& options);

}  // namespace tome::client

#endif  // TOME_CLIENT_TRANSFER_H_
