// A folder for bytes that need not stay in memory: written once, then mapped read-only.
#ifndef TOME_ENGINE_FILES_SPILL_FOLDER_H_
#define TOME_ENGINE_FILES_SPILL_FOLDER_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/files/mapped_file.h"

namespace tome {

// Pieces of one file. They are there as long as `file` is.
struct SpilledPieces {
  std::shared_ptr<const MappedFile> file;
  std::vector<std::string_view> pieces;
};

// Pieces on their way to a file. Thread-safe.
class SpillJob {
 public:
  bool done() const;
  // Waits for it. The errors of SpillFolder::Write.
  absl::StatusOr<SpilledPieces> Wait() const;

 private:
  friend class SpillFolder;
  void Finish(absl::StatusOr<SpilledPieces> result);

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::optional<absl::StatusOr<SpilledPieces>> result_;  // guarded by mutex_
};

// Files lose their name as soon as they are made: nobody else can open them or cut them short, and their space is free
// again when the last mapping goes, also after a crash. Thread-safe.
class SpillFolder {
 public:
  // Each piece begins at a multiple of this many bytes, in the file and in memory.
  static constexpr std::size_t kAlignment = 16;

  // Touches nothing yet. `resident_bytes`: how much each of those that share the folder keeps in memory.
  SpillFolder(std::string path, std::size_t resident_bytes) : path_(std::move(path)), resident_bytes_(resident_bytes) {}

  const std::string& path() const { return path_; }
  std::size_t resident_bytes() const { return resident_bytes_; }

  // Makes the folder if only its last part is missing, and tries whether it can be written and mapped. Errors as of
  // Write; they are not counted.
  absl::Status Prepare() const;

  // Writes the pieces to a new file and waits until they are on the disk, so that a full disk is an error here and
  // never a fault when they are read. RESOURCE_EXHAUSTED, NOT_FOUND, PERMISSION_DENIED, INTERNAL with the system's
  // reason; the space of what was written is free again then.
  absl::StatusOr<SpilledPieces> Write(absl::Span<const std::string_view> pieces);

  // Runs jobs that wait for the disk, later and on another thread. False, and the job is dropped: it takes none.
  using Executor = std::function<bool(std::function<void()>)>;
  // Of Begin from now on; null: it waits itself, as at first.
  void SetExecutor(Executor executor);
  bool has_executor() const;
  // Write by the executor. `owner` keeps the pieces, and this folder, until the job is done.
  std::shared_ptr<const SpillJob> Begin(std::vector<std::string_view> pieces, std::shared_ptr<const void> owner);

  // Calls of Write that failed.
  struct Failures {
    std::int64_t count = 0;
    absl::Status last;
  };
  Failures failures() const;

 private:
  absl::StatusOr<SpilledPieces> WriteFile(absl::Span<const std::string_view> pieces) const;

  const std::string path_;
  const std::size_t resident_bytes_;
  mutable std::mutex mutex_;
  Failures failures_;  // guarded by mutex_
  Executor executor_;  // guarded by mutex_
};

}  // namespace tome

#endif  // TOME_ENGINE_FILES_SPILL_FOLDER_H_
