// Files that fail, take less than they are given, wait, or forget what was not synced, when a test says so.
#ifndef TOME_TESTS_SERVER_STORAGE_FAULTY_FILES_H_
#define TOME_TESTS_SERVER_STORAGE_FAULTY_FILES_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/storage/file_system.h"
#include "tests/server/storage/disk_fault.h"
#include "tests/support/temp_dir.h"

namespace tome::testing {

// The real files, with faults. Calls that change something are counted: Create, Write, Sync, Rename, Remove,
// Link, SyncFolder. Thread-safe.
class FaultyFiles final : public server::FileSystem {
 public:
  // The change after the next `successes` ones fails with `error`, and all that follow.
  void FailAfter(int successes, absl::Status error);
  // The same with the error of this fault; with `once` no others follow.
  void FailAfter(int successes, DiskFault fault, bool once);
  // Nothing fails any more. How many changes there were since FailAfter.
  int Heal();
  // Each Write takes at most so many bytes.
  void WriteAtMost(std::size_t bytes);
  // Called before each Write, without a lock held.
  void OnWrite(std::function<void()> hook);
  // Called after each SyncFolder that succeeded, with its folder.
  void OnFolderSynced(std::function<void(const std::string&)> hook);

  // As if the machine had lost its power: bytes that were not synced are gone, and so are names whose folder was not.
  void LosePower();

  absl::StatusOr<std::unique_ptr<server::OutputFile>> Create(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<server::InputFile>> Open(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status Link(const std::string& path, const std::string& name) override;
  absl::Status SyncFolder(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;

 private:
  class File;
  absl::Status NextChange();
  bool LeavesPart();
  std::size_t BeforeWrite(std::size_t bytes);
  void SetUnsynced(const std::string& path, bool unsynced);

  server::FileSystem& real_ = server::FileSystem::Real();
  std::mutex mutex_;  // guards all that follows
  FaultCounter counter_;
  absl::Status error_;
  bool leaves_part_ = false;  // a write that fails
  std::size_t write_at_most_ = std::numeric_limits<std::size_t>::max();
  std::function<void()> on_write_;
  std::function<void(const std::string&)> on_folder_synced_;
  std::map<std::string, bool> unsynced_files_;
  // A rename or, where `from` is empty, a link.
  struct Name {
    std::string from, to;
    std::string replaced;  // the file that had the name before, if there was one
  };
  std::vector<Name> unsynced_names_;
  TempDir replaced_;  // files that may come back
  int num_replaced_ = 0;
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_STORAGE_FAULTY_FILES_H_
