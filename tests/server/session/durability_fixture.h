// A session manager on files that can fail, and looks at what sessions have on disk.
#ifndef TOME_TESTS_SERVER_SESSION_DURABILITY_FIXTURE_H_
#define TOME_TESTS_SERVER_SESSION_DURABILITY_FIXTURE_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "tests/server/session/faulty_files.h"
#include "tests/server/session/manager_fixture.h"
#include "tests/support/snapshot_digest.h"

namespace tome::testing {

// Snapshots are written when a test asks, at the end of documents, on an eviction and on a stop.
class DurabilityFixture : public ManagerFixture {
 protected:
  DurabilityFixture() {
    options_.files = &files_;
    options_.snapshots = {.segments = 0, .interval = absl::ZeroDuration()};
  }
  ~DurabilityFixture() override { manager_.reset(); }  // before the files

  absl::StatusOr<server::SnapshotInfo> Snapshot(const std::string& session) {
    Awaited<absl::StatusOr<server::SnapshotInfo>> info;
    manager_->Snapshot(session, info.callback());
    return info.Get();
  }
  absl::StatusOr<server::SessionInfo> Reread(const std::string& session) {
    Awaited<absl::StatusOr<server::SessionInfo>> info;
    manager_->Reread(session, info.callback());
    return info.Get();
  }
  absl::StatusOr<server::SessionInfo> Fork(server::ForkRequest request) {
    Awaited<absl::StatusOr<server::SessionInfo>> info;
    manager_->Fork(std::move(request), info.callback());
    return info.Get();
  }
  absl::Status Delete(const std::string& session) {
    Awaited<absl::Status> deleted;
    manager_->Delete(session, "", deleted.callback());
    return deleted.Get();
  }

  // As if the server had been killed: nothing is written at the end.
  void Kill() {
    files_.FailAfter(0, absl::InternalError("killed"));
    manager_.reset();
    files_.Heal();
  }

  std::string Folder(const std::string& session) const { return options_.data_folder + "/sessions/" + session; }

  // What a snapshot holds, without the time at which it was made.
  std::string ContentDigest(const std::string& session, std::uint64_t number) {
    return SnapshotContentDigest(Folder(session), number);
  }
  // Of all that the session has read.
  std::string StateDigest(const std::string& session) {
    const absl::StatusOr<server::SnapshotInfo> snapshot = Snapshot(session);
    EXPECT_THAT(snapshot, IsOk());
    return ContentDigest(session, snapshot->number);
  }

  int Events(const std::string& event) { return events_.counts.Get().events[event]; }
  std::int64_t Segments() { return events_.counts.Get().segments; }

  FaultyFiles files_;
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_SESSION_DURABILITY_FIXTURE_H_
