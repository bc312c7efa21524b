// A file system under SQLite that fails, writes less than it was given, or forgets what was not synced, when a test
// says so.
#ifndef TOME_TESTS_SERVER_STORAGE_FAULTY_VFS_H_
#define TOME_TESTS_SERVER_STORAGE_FAULTY_VFS_H_

#include <cstdint>
#include <string>

#include "tests/server/storage/disk_fault.h"

namespace tome::testing {

// While one lives, it stands between SQLite and the disk for databases that are opened. Calls that change something are
// counted: those that make a file or shared memory, write, truncate, sync or remove. One at a time; thread-safe.
class FaultyVfs {
 public:
  FaultyVfs();
  ~FaultyVfs();
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  // The change after the next `successes` ones fails, and all that follow, or with `once` none of those.
  void FailAfter(int successes, DiskFault fault, bool once = false);
  // Nothing fails any more. How many changes there were since FailAfter.
  int Heal();

  // As if the machine had lost its power. Of what was written to files below `folder` and not synced, some writes are
  // there, some in part, some not at all; names whose folder was not synced since they were made or removed are there
  // or not. `seed` says which. No database is open.
  void LosePower(const std::string& folder, std::uint64_t seed);
  // The names in this folder survive a loss of power: to be told of calls that are not SQLite's.
  void OnFolderSynced(const std::string& folder);
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_STORAGE_FAULTY_VFS_H_
