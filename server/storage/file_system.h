// The files of the storage that are not SQLite's: a thin layer over the system's calls, so that tests can make them
// fail, write less than they were given, or forget what was not synced.
#ifndef TOME_SERVER_STORAGE_FILE_SYSTEM_H_
#define TOME_SERVER_STORAGE_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tome::server {

// "PATH: WHAT: REASON" for an errno: PERMISSION_DENIED, NOT_FOUND, RESOURCE_EXHAUSTED/DISK_FULL,
// DATA_LOSS/DISK_FAILED, else INTERNAL.
absl::Status SystemError(const std::string& what, const std::string& path, int error);

// A file that is being written. Dropping it closes it. Not thread-safe.
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  // How many of the bytes were taken: at least one, maybe not all.
  virtual absl::StatusOr<std::size_t> Write(std::string_view bytes) = 0;
  // What was written survives a crash of the machine, once the file's folder is synced as well.
  virtual absl::Status Sync() = 0;
};

// Until all bytes are taken.
absl::Status WriteAll(OutputFile& file, std::string_view bytes);

// Thread-safe.
class InputFile {
 public:
  virtual ~InputFile() = default;
  virtual std::uint64_t size() const = 0;
  // Reads exactly these bytes. DATA_LOSS when the file ends before.
  virtual absl::Status Read(std::uint64_t offset, char* bytes, std::size_t size) const = 0;
};

// Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // A new, empty file, in place of one that has the name.
  virtual absl::StatusOr<std::unique_ptr<OutputFile>> Create(const std::string& path) = 0;
  virtual absl::StatusOr<std::unique_ptr<InputFile>> Open(const std::string& path) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // A second name for the same file.
  virtual absl::Status Link(const std::string& path, const std::string& name) = 0;
  // Makes the folder's entries survive a crash of the machine.
  virtual absl::Status SyncFolder(const std::string& path) = 0;
  // Names, in no order.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& path) = 0;

  // The system's. Lives as long as the process.
  static FileSystem& Real();
};

}  // namespace tome::server

#endif  // TOME_SERVER_STORAGE_FILE_SYSTEM_H_
