#include "engine/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "engine/base/status.h"

namespace tome {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status ErrnoStatus(const std::string& path, std::string_view action, int error) {
  const std::string reason = std::generic_category().message(error);
  switch (error) {
    case ENOENT:
      return NotFound("{}: no such file", path);
    case ENOTDIR:
      return NotFound("{}: no such file: a part of the path is not a folder", path);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(fmt::format("{}: cannot {}: {}", path, action, reason));
    default:
      return Internal("{}: cannot {}: {}", path, action, reason);
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path) {
  // O_NONBLOCK: opening a named pipe must not wait for its writer.
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return ErrnoStatus(path, "open", errno);
  struct stat information;
  if (fstat(file.get(), &information) != 0) return ErrnoStatus(path, "stat", errno);
  if (!S_ISREG(information.st_mode)) {
    return InvalidArgument("{}: expected a regular file, found {}", path,
                           S_ISDIR(information.st_mode) ? "a folder" : "another kind of file");
  }
  const auto size = static_cast<std::size_t>(information.st_size);
  const void* address = nullptr;
  if (size > 0) {
    address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address == MAP_FAILED) return ErrnoStatus(path, "map", errno);
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(path, address, size));
}

MappedFile::~MappedFile() {
  if (size_ > 0) munmap(const_cast<void*>(address_), size_);
}

}  // namespace tome
