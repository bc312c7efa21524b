// The server's folder on disk:
//   LOCK                      held by the process that serves the folder
//   sessions/<id>/session.db  one folder for each session
//   sessions/<id>/base-*      bytes that it shares with its forks, see session_store.h
//   sessions/<id>/snapshot-*  what the session had read, see snapshot_file.h; .new-snapshot-* is one being written
//   archive/                  empty: files without a name, see engine/files/spill_folder.h; unless it is put elsewhere
//   sessions/.new-<id>        a session being made, sessions/.trash-<id> one being removed: cleared at the next start
#ifndef TOME_SERVER_STORAGE_DATA_FOLDER_H_
#define TOME_SERVER_STORAGE_DATA_FOLDER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/names.h"
#include "server/base/types.h"
#include "server/storage/file_system.h"

namespace tome::server {

// The database of the session with this folder.
inline std::string DatabasePathIn(const std::string& folder) { return folder + "/session.db"; }

// Thread-safe, if no two calls are for the same session at a time. All calls wait for the disk.
class DataFolder {
 public:
  // Makes the folder if it does not exist (its parent must), locks it and clears what a crash left half done.
  // FAILED_PRECONDITION when another process holds it; PERMISSION_DENIED, or what the system says, when it cannot be
  // written. Nothing is changed then. `files` outlives the folder.
  static absl::StatusOr<std::unique_ptr<DataFolder>> Open(const std::string& path,
                                                          FileSystem& files = FileSystem::Real());
  // Locks a folder that is there, and changes nothing. NOT_FOUND when it is no data folder.
  static absl::StatusOr<std::unique_ptr<DataFolder>> OpenToCheck(const std::string& path);
  ~DataFolder();
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;

  // Ids of the sessions that are there, in no order.
  absl::StatusOr<std::vector<SessionId>> ListSessions() const;

  // Names of all that is beside them.
  absl::StatusOr<std::vector<std::string>> ListEntries() const;
  // Whether it is the name of what a crash left half done, which the next Open clears.
  static bool IsLeftover(const std::string& name);

  std::string SessionPath(const SessionId& id) const;
  std::string DatabasePath(const SessionId& id) const;

  // Makes a session's folder. `fill` writes session.db and what else there is into the folder that it is given, and
  // syncs these files. The session is there whole, or, after an error or a crash, not at all.
  absl::Status Add(const SessionId& id, const std::function<absl::Status(const std::string& folder)>& fill);
  // The same in steps: gives a folder to fill; then makes it the session's, which after an error is not there; or
  // removes it.
  absl::StatusOr<std::string> BeginAdd(const SessionId& id);
  absl::Status EndAdd(const SessionId& id);
  void AbandonAdd(const SessionId& id);

  // Removes a session's folder. Once it returns OK the session is gone for good, also after a crash.
  absl::Status Remove(const SessionId& id);

 private:
  DataFolder(std::string path, int lock, FileSystem& files) : path_(std::move(path)), lock_(lock), files_(files) {}

  absl::Status ClearLeftovers() const;
  std::string NewPath(const SessionId& id) const;

  const std::string path_;
  const int lock_;  // file descriptor
  FileSystem& files_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_STORAGE_DATA_FOLDER_H_
