#include "server/storage/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/base/status.h"
#include "engine/files/file_descriptor.h"
#include "server/base/errors.h"

namespace tome::server {
namespace {

class RealOutputFile final : public OutputFile {
 public:
  RealOutputFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  absl::StatusOr<std::size_t> Write(std::string_view bytes) override {
    for (;;) {
      const ssize_t written = write(descriptor_.get(), bytes.data(), bytes.size());
      if (written > 0) return static_cast<std::size_t>(written);
      if (written < 0 && errno == EINTR) continue;
      return SystemError("cannot be written", path_, written < 0 ? errno : EIO);
    }
  }

  absl::Status Sync() override {
    if (fsync(descriptor_.get()) == 0) return absl::OkStatus();
    return SystemError("cannot be synced", path_, errno);
  }

 private:
  const std::string path_;
  const FileDescriptor descriptor_;
};

class RealInputFile final : public InputFile {
 public:
  RealInputFile(std::string path, int descriptor, std::uint64_t size)
      : path_(std::move(path)), descriptor_(descriptor), size_(size) {}

  std::uint64_t size() const override { return size_; }

  absl::Status Read(std::uint64_t offset, char* bytes, std::size_t size) const override {
    while (size > 0) {
      const ssize_t taken = pread(descriptor_.get(), bytes, size, static_cast<off_t>(offset));
      if (taken < 0 && errno == EINTR) continue;
      if (taken < 0) return SystemError("cannot be read", path_, errno);
      if (taken == 0) return DataLoss("{}: ends at {}, {} bytes too early", path_, offset, size);
      offset += static_cast<std::uint64_t>(taken);
      bytes += taken;
      size -= static_cast<std::size_t>(taken);
    }
    return absl::OkStatus();
  }

 private:
  const std::string path_;
  const FileDescriptor descriptor_;
  const std::uint64_t size_;
};

class RealFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<OutputFile>> Create(const std::string& path) override {
    const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0) return SystemError("cannot be made", path, errno);
    return std::make_unique<RealOutputFile>(path, descriptor);
  }

  absl::StatusOr<std::unique_ptr<InputFile>> Open(const std::string& path) override {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return SystemError("cannot be opened", path, errno);
    struct stat status = {};
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
      close(descriptor);
      return DataLoss("{}: not a file", path);
    }
    return std::make_unique<RealInputFile>(path, descriptor, static_cast<std::uint64_t>(status.st_size));
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    return SystemError(fmt::format("cannot be renamed to {}", to), from, errno);
  }

  absl::Status Remove(const std::string& path) override {
    if (unlink(path.c_str()) == 0) return absl::OkStatus();
    return SystemError("cannot be removed", path, errno);
  }

  absl::Status Link(const std::string& path, const std::string& name) override {
    if (link(path.c_str(), name.c_str()) == 0) return absl::OkStatus();
    return SystemError(fmt::format("cannot be linked as {}", name), path, errno);
  }

  absl::Status SyncFolder(const std::string& path) override {
    const FileDescriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.get() < 0) return SystemError("cannot open the folder", path, errno);
    if (fsync(folder.get()) != 0) return SystemError("cannot sync the folder", path, errno);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    std::vector<std::string> names;
    std::error_code error;
    std::filesystem::directory_iterator entries(path, error);
    for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
      names.push_back(entries->path().filename().string());
    }
    if (error) return SystemError("cannot list the folder", path, error.value());
    return names;
  }
};

}  // namespace

absl::Status SystemError(const std::string& what, const std::string& path, int error) {
  return StorageError(error, fmt::format("{}: {}: {}", path, what, std::generic_category().message(error)));
}

absl::Status WriteAll(OutputFile& file, std::string_view bytes) {
  while (!bytes.empty()) {
    TOME_ASSIGN_OR_RETURN(const std::size_t written, file.Write(bytes));
    bytes.remove_prefix(written);
  }
  return absl::OkStatus();
}

FileSystem& FileSystem::Real() {
  static RealFileSystem& real = *new RealFileSystem;
  return real;
}

}  // namespace tome::server
