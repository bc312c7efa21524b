#include "engine/files/spill_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "engine/base/status.h"
#include "engine/files/file_descriptor.h"

namespace tome {
namespace {

std::size_t Padding(std::size_t size) {
  return (SpillFolder::kAlignment - size % SpillFolder::kAlignment) % SpillFolder::kAlignment;
}

}  // namespace

bool SpillJob::done() const {
  std::lock_guard lock(mutex_);
  return result_.has_value();
}

absl::StatusOr<SpilledPieces> SpillJob::Wait() const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return result_.has_value(); });
  return *result_;
}

void SpillJob::Finish(absl::StatusOr<SpilledPieces> result) {
  {
    std::lock_guard lock(mutex_);
    result_.emplace(std::move(result));
  }
  changed_.notify_all();
}

absl::Status SpillFolder::Prepare() const {
  if (mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus(path_, "make the folder", errno);
  const std::string_view something[] = {"."};
  return WriteFile(something).status();
}

absl::StatusOr<SpilledPieces> SpillFolder::Write(absl::Span<const std::string_view> pieces) {
  absl::StatusOr<SpilledPieces> written = WriteFile(pieces);
  if (!written.ok()) {
    std::lock_guard lock(mutex_);
    ++failures_.count;
    failures_.last = written.status();
  }
  return written;
}

void SpillFolder::SetExecutor(Executor executor) {
  std::lock_guard lock(mutex_);
  executor_ = std::move(executor);
}

bool SpillFolder::has_executor() const {
  std::lock_guard lock(mutex_);
  return executor_ != nullptr;
}

std::shared_ptr<const SpillJob> SpillFolder::Begin(std::vector<std::string_view> pieces,
                                                   std::shared_ptr<const void> owner) {
  Executor executor;
  {
    std::lock_guard lock(mutex_);
    executor = executor_;
  }
  auto job = std::make_shared<SpillJob>();
  const auto write = [this, job, pieces = std::move(pieces), owner = std::move(owner)] { job->Finish(Write(pieces)); };
  if (executor == nullptr || !executor(write)) write();
  return job;
}

absl::StatusOr<SpilledPieces> SpillFolder::WriteFile(absl::Span<const std::string_view> pieces) const {
  std::string path = path_ + "/spill-XXXXXX";
  const FileDescriptor file(mkostemp(path.data(), O_CLOEXEC));
  if (file.get() < 0) return ErrnoStatus(path_, "make a file in the folder", errno);
  if (unlink(path.c_str()) != 0) return ErrnoStatus(path, "remove the name", errno);
  constexpr char kZeros[kAlignment] = {};
  for (const std::string_view piece : pieces) {
    TOME_RETURN_IF_ERROR(WriteAll(file.get(), piece, path));
    TOME_RETURN_IF_ERROR(WriteAll(file.get(), {kZeros, Padding(piece.size())}, path));
  }
  // Some file systems find out only now that the disk is full.
  if (fdatasync(file.get()) != 0) return ErrnoStatus(path, "sync", errno);
  SpilledPieces spilled;
  TOME_ASSIGN_OR_RETURN(spilled.file, MappedFile::Map(file.get(), path));
  std::size_t offset = 0;
  for (const std::string_view piece : pieces) {
    spilled.pieces.push_back(spilled.file->view().substr(offset, piece.size()));
    offset += piece.size() + Padding(piece.size());
  }
  return spilled;
}

SpillFolder::Failures SpillFolder::failures() const {
  std::lock_guard lock(mutex_);
  return failures_;
}

}  // namespace tome
