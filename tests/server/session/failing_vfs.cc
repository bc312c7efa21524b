#include "tests/server/session/failing_vfs.h"

#include <sqlite3.h>

#include <atomic>
#include <limits>

namespace tome::testing {
namespace {

// What SQLite holds for each file: ours first, the real one behind it.
struct File {
  sqlite3_file base;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
sqlite3_file* Real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }

std::atomic<int> calls_left = std::numeric_limits<int>::max();
std::atomic<int> calls = 0;
std::atomic<int> error = SQLITE_OK;

int NextResult() {
  ++calls;
  return calls_left-- > 0 ? SQLITE_OK : error.load();
}

int Close(sqlite3_file* f) { return Real(f)->pMethods->xClose(Real(f)); }
int Read(sqlite3_file* f, void* data, int size, sqlite3_int64 offset) {
  return Real(f)->pMethods->xRead(Real(f), data, size, offset);
}
int Write(sqlite3_file* f, const void* data, int size, sqlite3_int64 offset) {
  const int result = NextResult();
  return result != SQLITE_OK ? result : Real(f)->pMethods->xWrite(Real(f), data, size, offset);
}
int Truncate(sqlite3_file* f, sqlite3_int64 size) { return Real(f)->pMethods->xTruncate(Real(f), size); }
int Sync(sqlite3_file* f, int flags) {
  const int result = NextResult();
  return result != SQLITE_OK ? result : Real(f)->pMethods->xSync(Real(f), flags);
}
int FileSize(sqlite3_file* f, sqlite3_int64* size) { return Real(f)->pMethods->xFileSize(Real(f), size); }
int Lock(sqlite3_file* f, int lock) { return Real(f)->pMethods->xLock(Real(f), lock); }
int Unlock(sqlite3_file* f, int lock) { return Real(f)->pMethods->xUnlock(Real(f), lock); }
int CheckReservedLock(sqlite3_file* f, int* out) { return Real(f)->pMethods->xCheckReservedLock(Real(f), out); }
int FileControl(sqlite3_file* f, int op, void* arg) { return Real(f)->pMethods->xFileControl(Real(f), op, arg); }
int SectorSize(sqlite3_file* f) { return Real(f)->pMethods->xSectorSize(Real(f)); }
int Characteristics(sqlite3_file* f) { return Real(f)->pMethods->xDeviceCharacteristics(Real(f)); }
int ShmMap(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
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

sqlite3_vfs* disk = nullptr;
sqlite3_vfs vfs;

int Open(sqlite3_vfs*, const char* name, sqlite3_file* f, int flags, int* out_flags) {
  const int result = disk->xOpen(disk, name, Real(f), flags, out_flags);
  f->pMethods = Real(f)->pMethods ? &kMethods : nullptr;
  return result;
}

}  // namespace

FailingVfs::FailingVfs() {
  disk = sqlite3_vfs_find(nullptr);
  vfs = *disk;
  vfs.zName = "failing";
  vfs.szOsFile = static_cast<int>(sizeof(File)) + disk->szOsFile;
  vfs.xOpen = Open;
  sqlite3_vfs_register(&vfs, /*makeDflt=*/1);
  Heal();
}

FailingVfs::~FailingVfs() {
  Heal();
  sqlite3_vfs_unregister(&vfs);
  sqlite3_vfs_register(disk, /*makeDflt=*/1);
}

void FailingVfs::FailAfter(int successes, int sqlite_error) {
  calls = 0;
  error = sqlite_error;
  calls_left = successes;
}

int FailingVfs::Heal() {
  calls_left = std::numeric_limits<int>::max();
  return calls.exchange(0);
}

}  // namespace tome::testing
