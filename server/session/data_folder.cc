#include "server/session/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/base/status.h"
#include "server/session/errors.h"

namespace tome::server {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNewPrefix = ".new-";
constexpr std::string_view kTrashPrefix = ".trash-";

absl::Status SystemError(const std::string& what, const std::string& path, int error) {
  const std::string message = fmt::format("{}: {}: {}", path, what, std::strerror(error));
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case ENOSPC:
    case EDQUOT:
      return MakeError(absl::StatusCode::kResourceExhausted, message, {.reason = "DISK_FULL"});
    default:
      return absl::InternalError(message);
  }
}

absl::Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return absl::OkStatus();
  return SystemError("cannot make the folder", path, errno);
}

absl::Status Rename(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return SystemError(fmt::format("cannot be renamed to {}", to), from, errno);
}

// Makes a folder's entries durable.
absl::Status SyncFolder(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return SystemError("cannot open the folder", path, errno);
  const int error = fsync(descriptor) == 0 ? 0 : errno;
  close(descriptor);
  return error == 0 ? absl::OkStatus() : SystemError("cannot sync the folder", path, error);
}

absl::Status RemoveAll(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? SystemError("cannot be removed", path, error.value()) : absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entries(path, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    names.push_back(entries->path().filename().string());
  }
  if (error) return SystemError("cannot list the folder", path, error.value());
  return names;
}

std::string SessionsPath(const std::string& path) { return path + "/sessions"; }

// The file descriptor of the lock.
absl::StatusOr<int> Lock(const std::string& path) {
  const std::string lock_path = path + "/LOCK";
  const int descriptor = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
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

bool IsSessionId(const std::string& id) {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto may_follow = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-'; };
  return id.size() >= 4 && id.size() <= 63 && is_letter(id[0]) && std::all_of(id.begin(), id.end(), may_follow);
}

absl::StatusOr<std::unique_ptr<DataFolder>> DataFolder::Open(const std::string& path) {
  if (path.empty()) return InvalidArgument("the data folder's path is empty");
  TOME_RETURN_IF_ERROR(MakeFolder(path));
  TOME_ASSIGN_OR_RETURN(const int lock, Lock(path));
  std::unique_ptr<DataFolder> folder(new DataFolder(path, lock));
  TOME_RETURN_IF_ERROR(MakeFolder(SessionsPath(path)));
  if (access(SessionsPath(path).c_str(), R_OK | W_OK | X_OK) != 0) {
    return SystemError("the data folder cannot be written", SessionsPath(path), errno);
  }
  TOME_RETURN_IF_ERROR(folder->ClearLeftovers());
  TOME_RETURN_IF_ERROR(SyncFolder(path));
  return folder;
}

DataFolder::~DataFolder() { close(lock_); }

absl::Status DataFolder::ClearLeftovers() const {
  TOME_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListFolder(SessionsPath(path_)));
  for (const std::string& name : names) {
    if (name.starts_with(kNewPrefix) || name.starts_with(kTrashPrefix)) {
      TOME_RETURN_IF_ERROR(RemoveAll(SessionsPath(path_) + "/" + name));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SessionId>> DataFolder::ListSessions() const {
  TOME_ASSIGN_OR_RETURN(std::vector<std::string> names, ListFolder(SessionsPath(path_)));
  std::erase_if(names, [](const std::string& name) { return !IsSessionId(name); });
  return names;
}

std::string DataFolder::DatabasePath(const SessionId& id) const {
  return fmt::format("{}/{}/session.db", SessionsPath(path_), id);
}

absl::Status DataFolder::Add(const SessionId& id, const std::function<absl::Status(const std::string&)>& fill) {
  const std::string parent = SessionsPath(path_);
  const std::string temporary = fmt::format("{}/{}{}", parent, kNewPrefix, id);
  const auto make = [&]() -> absl::Status {
    TOME_RETURN_IF_ERROR(RemoveAll(temporary));
    TOME_RETURN_IF_ERROR(MakeFolder(temporary));
    TOME_RETURN_IF_ERROR(fill(temporary + "/session.db"));
    TOME_RETURN_IF_ERROR(SyncFolder(temporary));
    TOME_RETURN_IF_ERROR(Rename(temporary, fmt::format("{}/{}", parent, id)));
    return SyncFolder(parent);
  };
  absl::Status status = make();
  if (!status.ok()) RemoveAll(temporary).IgnoreError();
  return status;
}

absl::Status DataFolder::Remove(const SessionId& id) {
  const std::string parent = SessionsPath(path_);
  const std::string trash = fmt::format("{}/{}{}", parent, kTrashPrefix, id);
  TOME_RETURN_IF_ERROR(RemoveAll(trash));
  TOME_RETURN_IF_ERROR(Rename(fmt::format("{}/{}", parent, id), trash));
  TOME_RETURN_IF_ERROR(SyncFolder(parent));
  // The session is gone; what is left of its files is cleared at the next start.
  RemoveAll(trash).IgnoreError();
  return absl::OkStatus();
}

}  // namespace tome::server
