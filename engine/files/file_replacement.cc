#include "engine/files/file_replacement.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "engine/base/status.h"

namespace tome {
namespace {

// So that the new name outlives a crash as well.
absl::Status SyncFolder(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  const FileDescriptor descriptor(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0 || fsync(descriptor.get()) != 0) return ErrnoStatus(folder, "sync the folder", errno);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileReplacement>> FileReplacement::Begin(const std::string& path) {
  const std::string unfinished = path + ".new";
  const int descriptor = open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return ErrnoStatus(unfinished, "write", errno);
  return std::unique_ptr<FileReplacement>(new FileReplacement(path, descriptor));
}

FileReplacement::~FileReplacement() {
  if (!committed_) unlink(unfinished_.c_str());
}

absl::Status FileReplacement::Write(std::string_view bytes) { return WriteAll(file_.get(), bytes, unfinished_); }

absl::Status FileReplacement::Commit() {
  if (fsync(file_.get()) != 0) return ErrnoStatus(unfinished_, "write", errno);
  if (std::rename(unfinished_.c_str(), path_.c_str()) != 0) return ErrnoStatus(path_, "rename", errno);
  committed_ = true;
  return SyncFolder(path_);
}

absl::Status ReplaceFile(const std::string& path, std::string_view bytes) {
  TOME_ASSIGN_OR_RETURN(const auto file, FileReplacement::Begin(path));
  TOME_RETURN_IF_ERROR(file->Write(bytes));
  return file->Commit();
}

}  // namespace tome
