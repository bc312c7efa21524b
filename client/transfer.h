// Sessions as bundles: out of a server, and into one.
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

// Takes a bundle. Called on the calling thread.
struct BundleSink {
  // The next bytes. An error ends the call with it.
  std::function<absl::Status(std::string_view bytes)> take;
  // What came counts no more; the bundle begins anew. Empty: this cannot be.
  std::function<absl::Status()> restart;
};

// After a cut the export goes on where it was. Where the server cannot do that, because the session has changed too
// much or the server is an old one, it begins anew, a few times at most. Gives up when it does not get any further.
absl::Status ExportBundle(const Connection& connection, const v1::ExportSessionRequest& request, const BundleSink& sink,
                          const CallOptions& options);

// `session_id`: of the new session; empty for the one in the bundle. `on_sent` (may be empty) is told how many bytes
// were sent. An upload that is cut leaves nothing on the server; it is begun anew, a few times at most, from a source
// that can be read again. Not repeated once all was sent: when the reply was lost, only a look at the server tells
// whether the session is there.
absl::StatusOr<v1::Session> ImportBundle(const Connection& connection, const std::string& session_id,
                                         ByteSource& source, const std::function<void(std::uint64_t)>& on_sent,
                                         const CallOptions& options);

}  // namespace tome::client

#endif  // TOME_CLIENT_TRANSFER_H_
