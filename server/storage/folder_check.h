// A look at everything in a data folder that no server has open.
#ifndef TOME_SERVER_STORAGE_FOLDER_CHECK_H_
#define TOME_SERVER_STORAGE_FOLDER_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tome::server {

struct FolderProblem {
  std::string session;  // its id, or the name of what does not belong there
  std::string what;
};

struct FolderReport {
  std::int64_t sessions = 0;
  std::int64_t documents = 0;
  std::uint64_t document_bytes = 0;  // that are as they were stored
  std::int64_t snapshots = 0;        // that are undamaged
  std::vector<FolderProblem> problems;
};

// Reads every chunk of every document, every frame of every snapshot and the structure of every database, and goes on
// after each problem. Nothing is changed but for the format of databases of older versions. What a crash left half done
// is no problem: the next start clears it. FAILED_PRECONDITION when a server has the folder; NOT_FOUND when it is no
// data folder.
absl::StatusOr<FolderReport> CheckDataFolder(const std::string& path);

}  // namespace tome::server

#endif  // TOME_SERVER_STORAGE_FOLDER_CHECK_H_
