// What the callers of the operating system's file functions share.
#ifndef TOME_ENGINE_FILES_FILE_DESCRIPTOR_H_
#define TOME_ENGINE_FILES_FILE_DESCRIPTOR_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace tome {

// Owns an open file, or nothing (-1).
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor();

  int get() const { return fd_; }

 private:
  const int fd_;
};

// "PATH: cannot ACTION: REASON" for an errno: NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED (the disk or the quota
// is full), else INTERNAL.
absl::Status ErrnoStatus(const std::string& path, std::string_view action, int error);

// Writes all of the bytes to an open file. `path`: its name, for errors.
absl::Status WriteAll(int descriptor, std::string_view bytes, const std::string& path);

}  // namespace tome

#endif  // TOME_ENGINE_FILES_FILE_DESCRIPTOR_H_
