#include "engine/files/file_descriptor.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "engine/base/status.h"

namespace tome {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

absl::Status ErrnoStatus(const std::string& path, std::string_view action, int error) {
  const std::string reason = std::generic_category().message(error);
  switch (error) {
    case ENOENT:
      return NotFound("{}: no such file or folder", path);
    case ENOTDIR:
      return NotFound("{}: no such file or folder: a part of the path is not a folder", path);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(fmt::format("{}: cannot {}: {}", path, action, reason));
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(fmt::format("{}: cannot {}: {}", path, action, reason));
    default:
      return Internal("{}: cannot {}: {}", path, action, reason);
  }
}

absl::Status WriteAll(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(path, "write", errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace tome
