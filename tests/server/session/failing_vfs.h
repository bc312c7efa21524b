// A file system under SQLite that fails when a test says so.
#ifndef TOME_TESTS_SERVER_SESSION_FAILING_VFS_H_
#define TOME_TESTS_SERVER_SESSION_FAILING_VFS_H_

namespace tome::testing {

// While one lives, it stands between SQLite and the disk for databases that are opened. One at a time.
class FailingVfs {
 public:
  FailingVfs();
  ~FailingVfs();
  FailingVfs(const FailingVfs&) = delete;
  FailingVfs& operator=(const FailingVfs&) = delete;

  // The write or sync after the next `successes` ones fails with this SQLite error, and all that follow.
  void FailAfter(int successes, int sqlite_error);
  // Nothing fails any more. How many writes and syncs there were since FailAfter.
  int Heal();
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_SESSION_FAILING_VFS_H_
