#include "server/storage/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/storage/failpoint.h"

namespace tome::server {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNewPrefix = ".new-";
constexpr std::string_view kTrashPrefix = ".trash-";

absl::Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return absl::OkStatus();
  return SystemError("cannot make the folder", path, errno);
}

absl::Status RemoveAll(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? SystemError("cannot be removed", path, error.value()) : absl::OkStatus();
}

std::string SessionsPath(const std::string& path) { return path + "/sessions"; }

// The file descriptor of the lock.
absl::StatusOr<int> Lock(const std::string& path, bool create) {
  const std::string lock_path = path + "/LOCK";
  const int descriptor = open(lock_path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
  if (descriptor < 0) return SystemError("the data folder cannot be written", lock_path, errno);
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  const int error = errno;
  close(descriptor);
  if (error == EWOULDBLOCK) {
    return FailedPrecondition(
        "{}: the data folder is in use by another tome-server; stop that one, or choose another folder", path);
  }
  return SystemError("cannot lock the data folder", lock_path, error);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataFolder>> DataFolder::Open(const std::string& path, FileSystem& files) {
  if (path.empty()) return InvalidArgument("the data folder's path is empty");
  TOME_RETURN_IF_ERROR(MakeFolder(path));
  TOME_ASSIGN_OR_RETURN(const int lock, Lock(path, /*create=*/true));
  std::unique_ptr<DataFolder> folder(new DataFolder(path, lock, files));
  TOME_RETURN_IF_ERROR(MakeFolder(SessionsPath(path)));
  if (access(SessionsPath(path).c_str(), R_OK | W_OK | X_OK) != 0) {
    return SystemError("the data folder cannot be written", SessionsPath(path), errno);
  }
  TOME_RETURN_IF_ERROR(folder->ClearLeftovers());
  TOME_RETURN_IF_ERROR(files.SyncFolder(path));
  return folder;
}

absl::StatusOr<std::unique_ptr<DataFolder>> DataFolder::OpenToCheck(const std::string& path) {
  if (access((path + "/LOCK").c_str(), F_OK) != 0) return NotFound("{}: this is no data folder", path);
  TOME_ASSIGN_OR_RETURN(const int lock, Lock(path, /*create=*/false));
  return std::unique_ptr<DataFolder>(new DataFolder(path, lock, FileSystem::Real()));
}

DataFolder::~DataFolder() { close(lock_); }

absl::Status DataFolder::ClearLeftovers() const {
  TOME_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(SessionsPath(path_)));
  for (const std::string& name : names) {
    if (IsLeftover(name)) {
      TOME_RETURN_IF_ERROR(RemoveAll(SessionsPath(path_) + "/" + name));
    }
  }
  return absl::OkStatus();
}

bool DataFolder::IsLeftover(const std::string& name) {
  return name.starts_with(kNewPrefix) || name.starts_with(kTrashPrefix);
}

absl::StatusOr<std::vector<std::string>> DataFolder::ListEntries() const { return files_.List(SessionsPath(path_)); }

absl::StatusOr<std::vector<SessionId>> DataFolder::ListSessions() const {
  TOME_ASSIGN_OR_RETURN(std::vector<std::string> names, files_.List(SessionsPath(path_)));
  std::erase_if(names, [](const std::string& name) { return !IsSessionId(name); });
  return names;
}

std::string DataFolder::SessionPath(const SessionId& id) const { return fmt::format("{}/{}", SessionsPath(path_), id); }
std::string DataFolder::DatabasePath(const SessionId& id) const { return DatabasePathIn(SessionPath(id)); }

std::string DataFolder::NewPath(const SessionId& id) const {
  return fmt::format("{}/{}{}", SessionsPath(path_), kNewPrefix, id);
}

absl::StatusOr<std::string> DataFolder::BeginAdd(const SessionId& id) {
  const std::string path = NewPath(id);
  TOME_RETURN_IF_ERROR(RemoveAll(path));
  TOME_RETURN_IF_ERROR(MakeFolder(path));
  return path;
}

absl::Status DataFolder::EndAdd(const SessionId& id) {
  const auto add = [&]() -> absl::Status {
    TOME_RETURN_IF_ERROR(files_.SyncFolder(NewPath(id)));
    Failpoint("create.filled");
    TOME_RETURN_IF_ERROR(files_.Rename(NewPath(id), SessionPath(id)));
    Failpoint("create.renamed");
    return files_.SyncFolder(SessionsPath(path_));
  };
  absl::Status status = add();
  if (status.ok()) return status;
  // It may have its name already, without being sure to keep it.
  if (!files_.Rename(SessionPath(id), NewPath(id)).ok()) RemoveAll(SessionPath(id)).IgnoreError();
  AbandonAdd(id);
  return status;
}

void DataFolder::AbandonAdd(const SessionId& id) {
  RemoveAll(NewPath(id)).IgnoreError();  // the next start clears it
}

absl::Status DataFolder::Add(const SessionId& id, const std::function<absl::Status(const std::string&)>& fill) {
  TOME_ASSIGN_OR_RETURN(const std::string path, BeginAdd(id));
  if (absl::Status status = fill(path); !status.ok()) {
    AbandonAdd(id);
    return status;
  }
  return EndAdd(id);
}

absl::Status DataFolder::Remove(const SessionId& id) {
  const std::string parent = SessionsPath(path_);
  const std::string trash = fmt::format("{}/{}{}", parent, kTrashPrefix, id);
  TOME_RETURN_IF_ERROR(RemoveAll(trash));
  TOME_RETURN_IF_ERROR(files_.Rename(SessionPath(id), trash));
  if (absl::Status status = files_.SyncFolder(parent); !status.ok()) {
    // Without being sure to be gone it stays, unless even that fails: then it is gone with the next start at the
    // latest.
    files_.Rename(trash, SessionPath(id)).IgnoreError();
    return status;
  }
  Failpoint("delete.renamed");
  // The session is gone; what is left of its files is cleared at the next start.
  RemoveAll(trash).IgnoreError();
  return absl::OkStatus();
}

}  // namespace tome::server
