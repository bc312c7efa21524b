// The store of one session, opened when it is needed and closed while nothing needs it.
#ifndef TOME_SERVER_STORAGE_STORE_HANDLE_H_
#define TOME_SERVER_STORAGE_STORE_HANDLE_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/base/status.h"
#include "server/storage/session_store.h"

namespace tome::server {

// Used on the session's strand only.
class StoreHandle {
 public:
  StoreHandle(std::string database_path, SessionId id) : path_(std::move(database_path)), id_(std::move(id)) {}

  // Opens it if it is closed. Valid until Close or Take.
  absl::StatusOr<SessionStore*> Get() {
    if (!store_) {
      TOME_ASSIGN_OR_RETURN(SessionStore store, SessionStore::Open(path_, id_));
      store_.emplace(std::move(store));
    }
    return &*store_;
  }

  void Close() { store_.reset(); }

  // Gives it away, open; the next Get opens another.
  absl::StatusOr<SessionStore> Take() {
    TOME_RETURN_IF_ERROR(Get().status());
    SessionStore taken = *std::move(store_);
    store_.reset();
    return taken;
  }

 private:
  const std::string path_;
  const SessionId id_;
  std::optional<SessionStore> store_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_STORAGE_STORE_HANDLE_H_
