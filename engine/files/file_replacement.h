// A file that is written aside and takes its name only when it is whole.
#ifndef TOME_ENGINE_FILES_FILE_REPLACEMENT_H_
#define TOME_ENGINE_FILES_FILE_REPLACEMENT_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/files/file_descriptor.h"

namespace tome {

// At any moment, also after a crash, the path has what it had before or all that is new. Errors are NOT_FOUND,
// PERMISSION_DENIED, RESOURCE_EXHAUSTED (the disk is full) and INTERNAL, and name the path. Not thread-safe.
class FileReplacement {
 public:
  // Begins "<path>.new", in place of an older one.
  static absl::StatusOr<std::unique_ptr<FileReplacement>> Begin(const std::string& path);
  // Removes what was not committed.
  ~FileReplacement();
  FileReplacement(const FileReplacement&) = delete;
  FileReplacement& operator=(const FileReplacement&) = delete;

  absl::Status Write(std::string_view bytes);
  // Waits until all is on the disk, then renames. Nothing can be written after it.
  absl::Status Commit();

 private:
  FileReplacement(std::string path, int descriptor)
      : path_(std::move(path)), unfinished_(path_ + ".new"), file_(descriptor) {}

  const std::string path_, unfinished_;
  FileDescriptor file_;
  bool committed_ = false;
};

// All of a small file.
absl::Status ReplaceFile(const std::string& path, std::string_view bytes);

}  // namespace tome

#endif  // TOME_ENGINE_FILES_FILE_REPLACEMENT_H_
