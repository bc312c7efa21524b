#include "tests/server/storage/faulty_vfs.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/temp_dir.h"

namespace tome::testing {
namespace {

namespace fs = std::filesystem;

// What SQLite holds for each file: ours first, the real one behind it.
struct File {
  sqlite3_file base;
  ino_t inode;
  const char* path;   // as it was opened; lives as long as the file is open; null for SQLite's own temporary files
  bool names_synced;  // with the next sync, as SQLite's own layer does for the journals that it makes
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
File& Own(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
sqlite3_file* Real(sqlite3_file* file) { return Own(file).real(); }

// A write, or where there are no bytes a new size.
struct Change {
  std::uint64_t at;
  std::string bytes;
};

// What a loss of power can take back.
struct Unsynced {
  std::string synced;  // the file's bytes
  std::vector<Change> changes;
};

// What the one FaultyVfs that lives knows.
struct State {
  std::mutex mutex;  // guards all that follows
  FaultCounter counter;
  DiskFault fault = DiskFault::kFull;
  std::map<ino_t, Unsynced> unsynced;
  std::map<std::string, ino_t> made;           // names
  std::map<std::string, std::string> removed;  // names, and where their files are kept
  TempDir kept;
  int num_kept = 0;
};
std::unique_ptr<State> state;
sqlite3_vfs* disk = nullptr;
sqlite3_vfs vfs;

// For calls without a code of SQLite's own for a full disk.
int Failure(int code) {
  errno = IsFull(state->fault) ? ENOSPC : EIO;
  return code;
}

void ForgetNamesIn(const std::string& folder) {
  const auto within = [&](const auto& entry) { return fs::path(entry.first).parent_path() == folder; };
  std::erase_if(state->made, within);
  std::erase_if(state->removed, within);
}

// To be called before each change of a file's bytes.
void NoteChange(sqlite3_file* f, Change change) {
  if (!Own(f).path) return;
  const auto [entry, first] = state->unsynced.try_emplace(Own(f).inode);
  if (first) {
    std::error_code none;  // a name keeps the inode from being another file's
    fs::create_hard_link(Own(f).path, state->kept.File(std::to_string(state->num_kept++)), none);
    sqlite3_int64 size = 0;
    Real(f)->pMethods->xFileSize(Real(f), &size);
    entry->second.synced.resize(static_cast<std::size_t>(size));
    if (size > 0) Real(f)->pMethods->xRead(Real(f), entry->second.synced.data(), static_cast<int>(size), 0);
  }
  entry->second.changes.push_back(std::move(change));
}

int Close(sqlite3_file* f) { return Real(f)->pMethods->xClose(Real(f)); }
int Read(sqlite3_file* f, void* data, int size, sqlite3_int64 offset) {
  return Real(f)->pMethods->xRead(Real(f), data, size, offset);
}

int Write(sqlite3_file* f, const void* data, int size, sqlite3_int64 offset) {
  std::lock_guard lock(state->mutex);
  const bool fails = state->counter.NextFails();
  const int taken = !fails ? size : IsShort(state->fault) ? size / 2 : 0;
  if (taken > 0) {
    const auto* bytes = static_cast<const char*>(data);
    NoteChange(f, {static_cast<std::uint64_t>(offset), std::string(bytes, static_cast<std::size_t>(taken))});
    const int result = Real(f)->pMethods->xWrite(Real(f), data, taken, offset);
    if (result != SQLITE_OK) return result;
  }
  if (!fails) return SQLITE_OK;
  return IsFull(state->fault) ? SQLITE_FULL : Failure(SQLITE_IOERR_WRITE);
}

int Truncate(sqlite3_file* f, sqlite3_int64 size) {
  std::lock_guard lock(state->mutex);
  if (state->counter.NextFails()) return Failure(SQLITE_IOERR_TRUNCATE);
  NoteChange(f, {static_cast<std::uint64_t>(size), ""});
  return Real(f)->pMethods->xTruncate(Real(f), size);
}

// Notes what is synced and leaves it at that: the tests' own machine keeps its power.
int Sync(sqlite3_file* f, int) {
  std::lock_guard lock(state->mutex);
  if (state->counter.NextFails()) return Failure(SQLITE_IOERR_FSYNC);
  state->unsynced.erase(Own(f).inode);
  if (std::exchange(Own(f).names_synced, false)) ForgetNamesIn(fs::path(Own(f).path).parent_path());
  return SQLITE_OK;
}

int FileSize(sqlite3_file* f, sqlite3_int64* size) { return Real(f)->pMethods->xFileSize(Real(f), size); }
int Lock(sqlite3_file* f, int lock) { return Real(f)->pMethods->xLock(Real(f), lock); }
int Unlock(sqlite3_file* f, int lock) { return Real(f)->pMethods->xUnlock(Real(f), lock); }
int CheckReservedLock(sqlite3_file* f, int* out) { return Real(f)->pMethods->xCheckReservedLock(Real(f), out); }
int FileControl(sqlite3_file* f, int op, void* arg) { return Real(f)->pMethods->xFileControl(Real(f), op, arg); }
int SectorSize(sqlite3_file* f) { return Real(f)->pMethods->xSectorSize(Real(f)); }
int Characteristics(sqlite3_file* f) { return Real(f)->pMethods->xDeviceCharacteristics(Real(f)); }

int ShmMap(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
  std::lock_guard lock(state->mutex);
  if (extend && state->counter.NextFails()) return Failure(SQLITE_IOERR_SHMSIZE);
  return Real(f)->pMethods->xShmMap(Real(f), page, size, extend, out);
}

int ShmLock(sqlite3_file* f, int offset, int count, int flags) {
  return Real(f)->pMethods->xShmLock(Real(f), offset, count, flags);
}
void ShmBarrier(sqlite3_file* f) { Real(f)->pMethods->xShmBarrier(Real(f)); }
int ShmUnmap(sqlite3_file* f, int remove) { return Real(f)->pMethods->xShmUnmap(Real(f), remove); }

constexpr sqlite3_io_methods kMethods = {
    .iVersion = 2,
    .xClose = Close,
    .xRead = Read,
    .xWrite = Write,
    .xTruncate = Truncate,
    .xSync = Sync,
    .xFileSize = FileSize,
    .xLock = Lock,
    .xUnlock = Unlock,
    .xCheckReservedLock = CheckReservedLock,
    .xFileControl = FileControl,
    .xSectorSize = SectorSize,
    .xDeviceCharacteristics = Characteristics,
    .xShmMap = ShmMap,
    .xShmLock = ShmLock,
    .xShmBarrier = ShmBarrier,
    .xShmUnmap = ShmUnmap,
};

int Open(sqlite3_vfs*, const char* name, sqlite3_file* f, int flags, int* out_flags) {
  std::lock_guard lock(state->mutex);
  f->pMethods = nullptr;
  const bool makes = name && (flags & SQLITE_OPEN_CREATE) && !fs::exists(name);
  if (makes && state->counter.NextFails()) return Failure(SQLITE_CANTOPEN);
  const int result = disk->xOpen(disk, name, Real(f), flags, out_flags);
  f->pMethods = Real(f)->pMethods ? &kMethods : nullptr;
  struct stat status = {};
  if (name) stat(name, &status);
  Own(f).inode = status.st_ino;
  Own(f).path = name;
  Own(f).names_synced = makes && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL));
  if (makes && result == SQLITE_OK) state->made[name] = status.st_ino;
  return result;
}

int Delete(sqlite3_vfs*, const char* name, int sync_folder) {
  std::lock_guard lock(state->mutex);
  if (state->counter.NextFails()) return Failure(SQLITE_IOERR_DELETE);
  const std::string kept = state->kept.File(std::to_string(state->num_kept++));
  std::error_code none;  // there may be no such file
  fs::create_hard_link(name, kept, none);
  const int result = disk->xDelete(disk, name, /*syncDir=*/0);
  if (result != SQLITE_OK) return result;
  // A file of which nobody knows yet that it was there does not come back.
  if (state->made.erase(name) == 0) state->removed[name] = kept;
  if (sync_folder) ForgetNamesIn(fs::path(name).parent_path());
  return SQLITE_OK;
}

// The file's bytes after a loss of power.
std::string Survives(const Unsynced& file, std::mt19937_64& random) {
  std::string bytes = file.synced;
  if (random() % 4 == 0) return bytes;
  for (const Change& change : file.changes) {
    if (random() % 4 == 0) continue;
    if (change.bytes.empty()) {
      bytes.resize(change.at);
      continue;
    }
    // A write in part ends at a sector's end.
    constexpr std::size_t kSector = 512;
    const std::size_t sectors = change.bytes.size() / kSector;
    const bool torn = sectors > 0 && random() % 4 == 0;
    const std::size_t size = torn ? random() % sectors * kSector : change.bytes.size();
    bytes.resize(std::max<std::size_t>(bytes.size(), change.at + size));
    bytes.replace(change.at, size, change.bytes, 0, size);
  }
  return bytes;
}

}  // namespace

FaultyVfs::FaultyVfs() {
  state = std::make_unique<State>();
  disk = sqlite3_vfs_find(nullptr);
  vfs = *disk;
  vfs.zName = "faulty";
  vfs.szOsFile = static_cast<int>(sizeof(File)) + disk->szOsFile;
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  sqlite3_vfs_register(&vfs, /*makeDflt=*/1);
}

FaultyVfs::~FaultyVfs() {
  sqlite3_vfs_unregister(&vfs);
  sqlite3_vfs_register(disk, /*makeDflt=*/1);
  state.reset();
}

void FaultyVfs::FailAfter(int successes, DiskFault fault, bool once) {
  std::lock_guard lock(state->mutex);
  state->counter.FailAfter(successes, once);
  state->fault = fault;
}

int FaultyVfs::Heal() {
  std::lock_guard lock(state->mutex);
  return state->counter.Heal();
}

void FaultyVfs::LosePower(const std::string& folder, std::uint64_t seed) {
  std::lock_guard lock(state->mutex);
  std::mt19937_64 random(seed);
  const auto unsynced = std::exchange(state->unsynced, {});
  const auto made = std::exchange(state->made, {});
  const auto removed = std::exchange(state->removed, {});
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::map<ino_t, std::string> by_inode;
  for (const std::string& path : paths) {
    struct stat status = {};
    stat(path.c_str(), &status);
    by_inode[status.st_ino] = path;
  }
  for (const auto& [inode, path] : by_inode) {
    const auto file = unsynced.find(inode);
    if (file != unsynced.end()) WriteFile(path, Survives(file->second, random));
  }
  for (const auto& [name, inode] : made) {
    const auto there = by_inode.find(inode);
    if (random() % 2 == 0 && there != by_inode.end() && there->second == name) fs::remove(name);
  }
  for (const auto& [name, kept] : removed) {
    const bool room = fs::exists(fs::path(name).parent_path()) && !fs::exists(name);
    if (random() % 2 == 0 && room) fs::copy_file(kept, name);
  }
}

void FaultyVfs::OnFolderSynced(const std::string& folder) {
  std::lock_guard lock(state->mutex);
  ForgetNamesIn(folder);
}

}  // namespace tome::testing
