#include "engine/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "engine/base/status.h"
#include "engine/files/file_descriptor.h"

namespace tome {
absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path) {
  // O_NONBLOCK: opening a named pipe must not wait for its writer.
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return ErrnoStatus(path, "open", errno);
  return Map(file.get(), path);
}

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Map(int descriptor, const std::string& path) {
  struct stat information;
  if (fstat(descriptor, &information) != 0) return ErrnoStatus(path, "stat", errno);
  if (!S_ISREG(information.st_mode)) {
    return InvalidArgument("{}: expected a regular file, found {}", path,
                           S_ISDIR(information.st_mode) ? "a folder" : "another kind of file");
  }
  const auto size = static_cast<std::size_t>(information.st_size);
  const void* address = nullptr;
  if (size > 0) {
    address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) return ErrnoStatus(path, "map", errno);
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(path, address, size));
}

MappedFile::~MappedFile() {
  if (size_ > 0) munmap(const_cast<void*>(address_), size_);
}

}  // namespace tome
