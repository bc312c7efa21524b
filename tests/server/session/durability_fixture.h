// A session manager on files that can fail, and looks at what sessions have on disk.
#ifndef TOME_TESTS_SERVER_SESSION_DURABILITY_FIXTURE_H_
#define TOME_TESTS_SERVER_SESSION_DURABILITY_FIXTURE_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "tests/server/session/manager_fixture.h"
#include "tests/server/storage/faulty_files.h"
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
  absl::StatusOr<std::string> Export(const std::string& session, bool with_snapshot = true) {
    Awaited<absl::StatusOr<std::shared_ptr<server::SessionExporter>>> begun;
    manager_->Export(session, with_snapshot,
                     [begun](absl::StatusOr<std::unique_ptr<server::SessionExporter>> exporter) {
                       if (!exporter.ok()) return begun.callback()(exporter.status());
                       begun.callback()(std::shared_ptr<server::SessionExporter>(*std::move(exporter)));
                     });
    TOME_RETURN_IF_ERROR(begun.Get().status());
    std::string archive;
    for (;;) {
      Awaited<absl::StatusOr<std::string>> next;
      (*begun.Get())->Next(next.callback());
      TOME_ASSIGN_OR_RETURN(const std::string piece, next.Get());
      if (piece.empty()) return archive;
      archive += piece;
    }
  }

  absl::StatusOr<server::SessionInfo> Import(std::string_view archive, const std::string& id = "",
                                             std::size_t piece_bytes = 1 << 20) {
    TOME_ASSIGN_OR_RETURN(const std::unique_ptr<server::SessionImporter> importer, manager_->Import(id));
    while (!archive.empty()) {
      Awaited<absl::Status> taken;
      importer->Take(std::string(archive.substr(0, piece_bytes)), taken.callback());
      TOME_RETURN_IF_ERROR(taken.Get());
      archive.remove_prefix(std::min(archive.size(), piece_bytes));
    }
    Awaited<absl::StatusOr<server::SessionInfo>> done;
    importer->Finish(done.callback());
    return done.Get();
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

  // The state of a session that read this text at once.
  std::string DigestOf(const std::string& text) {
    const std::string id = "whole-" + std::to_string(num_wholes_++);
    CreateSession(id);
    EXPECT_THAT(Append(id, "doc", text), IsOk());
    WaitUntilRead(id);
    const std::string digest = StateDigest(id);
    EXPECT_THAT(Delete(id), IsOk());
    return digest;
  }

  int Events(const std::string& event) { return events_.counts.Get().events[event]; }
  std::int64_t Segments() { return events_.counts.Get().segments; }

  FaultyFiles files_;

 private:
  int num_wholes_ = 0;
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_SESSION_DURABILITY_FIXTURE_H_
