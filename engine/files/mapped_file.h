// A file's bytes, mapped into memory read-only.
#ifndef TOME_ENGINE_FILES_MAPPED_FILE_H_
#define TOME_ENGINE_FILES_MAPPED_FILE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tome {

// Immutable and thread-safe. The mapping lives as long as the object. As with every mapping, the file must not be cut
// shorter meanwhile; replacing it by renaming another file over it is safe.
class MappedFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (a folder or another thing that is not a regular file), INTERNAL
  // (the system's reason). The messages name the path. An empty file gives an empty mapping.
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(const std::string& path);

  // Maps an open file, which may be closed then. `path`: what path() and the messages call it. Errors as above.
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Map(int descriptor, const std::string& path);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::size_t size() const { return size_; }
  std::string_view view() const { return {static_cast<const char*>(address_), size_}; }
  absl::Span<const std::byte> span() const { return {static_cast<const std::byte*>(address_), size_}; }

 private:
  MappedFile(std::string path, const void* address, std::size_t size)
      : path_(std::move(path)), address_(address), size_(size) {}

  std::string path_;
  const void* address_;
  std::size_t size_;
};

}  // namespace tome

#endif  // TOME_ENGINE_FILES_MAPPED_FILE_H_
