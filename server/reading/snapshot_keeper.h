// The snapshots of one session: written in the background while reading goes on, registered, loaded again.
#ifndef TOME_SERVER_READING_SNAPSHOT_KEEPER_H_
#define TOME_SERVER_READING_SNAPSHOT_KEEPER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/reading/reading_context.h"
#include "server/reading/reading_state.h"
#include "server/scheduling/residency.h"
#include "server/storage/session_store.h"
#include "server/storage/snapshot_file.h"
#include "server/storage/store_handle.h"

namespace tome::server {

inline constexpr std::size_t kKeptSnapshots = 2;

// Whose state the keeper writes. On the strand only.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  // Keeps the session, and with it the keeper, alive.
  virtual std::shared_ptr<void> KeepAlive() = 0;
  // A copy of the state, which costs nothing, unless nothing is in it that the last one had not, or there is no state.
  // OnSnapshotEnded follows, with the room of the state that is put into `room`, and the tokens read of it.
  virtual std::optional<ReadingState> CopyForSnapshot(RoomNumber* room) = 0;
  // A snapshot was written, or could not be, after so long.
  virtual void OnSnapshotEnded(RoomNumber room, std::uint64_t ingested_tokens, bool written,
                               absl::Duration duration) = 0;
  // What the session has stored.
  virtual const std::vector<StoredDocument>& Documents() = 0;
  // SnapshotKeeper::registered has changed.
  virtual void OnSnapshotsChanged() = 0;
};

// Used on the session's strand only.
//
// A snapshot is a fork of the state, which costs nothing; a thread of its own writes it to ".new-snapshot-N", syncs and
// renames it to "snapshot-N", and syncs the folder; then it is registered in session.db. A file that is not registered
// is no snapshot and is removed when the keeper is used first. So at any moment a crash leaves the registered ones
// whole.
class SnapshotKeeper {
 public:
  using TakeCallback = std::function<void(absl::StatusOr<SnapshotInfo>)>;

  // `source`, `store` and `strand` outlive the keeper. `registered`: newest first.
  SnapshotKeeper(std::shared_ptr<const ReadingContext> context, SessionId id, SnapshotSource& source,
                 StoreHandle& store, SerialQueue& strand, std::vector<SnapshotInfo> registered);

  // Begins a snapshot of what was read, unless one is being written or nothing is new. When there is none to write, or
  // when it has ended, those who wait for memory are told.
  void Begin();
  // The same, and tells of a snapshot that has all that was read when it was called: on the strand, maybe at once.
  // FAILED_PRECONDITION/SESSION_EMPTY when there is none and nothing to write.
  void Take(TakeCallback done);

  // The newest snapshot that is undamaged and fits `documents`; nullopt when there is none. Damaged ones are removed.
  // FAILED_PRECONDITION/ SNAPSHOT_MISMATCH when there are only damaged ones and others that this model, tokenizer,
  // precision, format or these options cannot use.
  absl::StatusOr<std::optional<ReadingState>> Restore(const MemoryOptions& options,
                                                      const std::vector<StoredDocument>& documents);

  // Strikes out and removes all snapshots, also the one that is being written.
  absl::Status Drop();
  // The session is gone, with all its files: what is being written comes to nothing.
  void Abandon() { ++drops_; }

  // Newest first.
  const std::vector<SnapshotInfo>& registered() const { return registered_; }

 private:
  std::string Folder() const;
  std::string Path(std::uint64_t number) const;
  absl::StatusOr<ReadingState> Load(const SnapshotInfo& snapshot, const MemoryOptions& options,
                                    const std::vector<StoredDocument>& documents);
  absl::Status CheckHeader(const SnapshotInfo& snapshot, const SnapshotHeader& header,
                           const MemoryOptions& options) const;
  // What is known of a snapshot that is being written.
  struct Writing {
    SnapshotInfo info;
    SnapshotHeader header;
    RoomNumber room = 0;      // of the state
    std::uint64_t drops = 0;  // drops_ when it began
    absl::Duration begin;
  };
  void Write(ReadingState state, Writing writing);
  void OnWritten(const Writing& writing, absl::Status status);
  absl::Status Register(const SnapshotInfo& snapshot);
  void SetRegistered(std::vector<SnapshotInfo> snapshots);
  void RemoveUnregistered();
  void StrikeOut(const SnapshotInfo& damaged);

  const std::shared_ptr<const ReadingContext> context_;
  const SessionId id_;
  SnapshotSource& source_;
  StoreHandle& store_;
  SerialQueue& strand_;
  std::vector<SnapshotInfo> registered_;  // newest first
  std::uint64_t next_number_ = 1;
  bool cleared_ = false;  // what is not registered was removed
  bool writing_ = false;
  std::uint64_t drops_ = 0;            // calls of Drop and Abandon
  std::vector<TakeCallback> served_;   // by the snapshot that is being written
  std::vector<TakeCallback> waiting_;  // for the next one
};

}  // namespace tome::server

#endif  // TOME_SERVER_READING_SNAPSHOT_KEEPER_H_
