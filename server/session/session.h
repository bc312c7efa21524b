// One session: its metadata and documents, who writes to it, reads of it, watches it and asks it.
#ifndef TOME_SERVER_SESSION_SESSION_H_
#define TOME_SERVER_SESSION_SESSION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/questions/question_run.h"
#include "server/reading/append_queue.h"
#include "server/reading/document_appender.h"
#include "server/reading/session_reader.h"
#include "server/session/list_query.h"
#include "server/session/session_context.h"
#include "server/session/subscription.h"
#include "server/storage/session_store.h"
#include "server/storage/store_handle.h"
#include "server/transfer/session_export.h"

namespace tome::server {

// All that touches the disk runs on the session's strand, one job at a time; callbacks run on a queue of their own. All
// public methods are thread-safe and quick.
class Session final : public std::enable_shared_from_this<Session>, private ReadingHost {
 public:
  // A session that is on disk. `problem`: why it could not be loaded; `stored` then has what is known of it.
  static std::shared_ptr<Session> Make(std::shared_ptr<SessionContext> context, StoredSession stored,
                                       absl::Status problem = absl::OkStatus());

  const SessionId& id() const { return id_; }
  const std::string& request_id() const { return request_id_; }
  absl::Time create_time() const { return create_time_; }

  SessionInfo Info() const;
  std::string SortKey(const ListQuery& query) const;
  SessionProgress Progress() const;

  // The session was used now, so that it does not expire.
  void NoteUse();
  bool MayHaveExpired() const;
  // Deletes it if it has expired and is not being read or asked. `removed` as of Delete.
  void ExpireIfDue(std::function<void()> removed);

  void Update(UpdateRequest request, std::function<void(absl::StatusOr<SessionInfo>)> done);
  // `removed` is called once the session is gone from the disk, before `done`.
  void Delete(const std::string& etag, std::function<void()> removed, std::function<void(absl::Status)> done);

  // Links what the session has stored into a folder for a session of this metadata, whose other fields are filled in;
  // then its state is shared with the session that `made` makes of it. `made` runs on this session's strand; an error
  // ends with it.
  void Fork(StoredSession fork, std::function<void(absl::StatusOr<StoredSession>, std::optional<ReadingState>)> made);
  // The state of another session, which this one then shares, unless it has one or there is no room.
  void Adopt(ReadingState state);

  // `bundle`: that of an export before, which is gone on with; empty for a new one.
  void Export(bool with_snapshot, std::string bundle,
              std::function<void(absl::StatusOr<std::shared_ptr<SessionExport>>)> done);
  // The next bytes of an export; empty at its end.
  void NextOfExport(std::shared_ptr<SessionExport> session_export,
                    std::function<void(absl::StatusOr<std::string>)> done);

  void Snapshot(std::function<void(absl::StatusOr<SnapshotInfo>)> done);
  void Reread(std::function<void(absl::StatusOr<SessionInfo>)> done);
  // Begins a snapshot of what was read, if there is anything new; SessionContext::snapshot_activity tells when it
  // ended.
  void SnapshotBeforeStop();

  void Write(std::shared_ptr<WriterState> writer, WriteRequest request,
             std::function<void(absl::StatusOr<WriteResult>)> done);
  void WhenRoom(std::function<void()> ready);
  Subscription Subscribe(std::function<void(const SessionProgress&)> on_progress);
  void Ask(const std::shared_ptr<QuestionRun>& run);
  // Reads what was never read. Other text is read again only when someone uses the session.
  void ReadUnread();
  // Ends all questions.
  void FailQuestions(const absl::Status& status);

 private:
  Session(std::shared_ptr<SessionContext> context, StoredSession stored, absl::Status problem);

  // ReadingHost.
  std::shared_ptr<void> KeepAlive() override { return shared_from_this(); }
  const std::vector<StoredDocument>& Documents() override { return appender_.documents(); }
  void OnReadingChanged() override;

  // --- On the strand ---
  absl::Status CheckEtag(const std::string& etag) const;
  void CloseIdleStore();
  // Once nothing was committed for a while, unless the state is in memory.
  void CloseStoreLater();
  absl::StatusOr<SessionInfo> SaveUpdate(const UpdateRequest& request);
  absl::Status Remove(const std::string& etag);
  absl::StatusOr<SessionInfo> StartOver();
  static absl::Duration UseGranularity(absl::Duration time_to_live);  // how old the last use on disk may be
  static std::optional<absl::Time> ExpireTime(const StoredSession& session);
  bool IsDue();
  void SaveLastUse();
  // Makes the present database a base, and a new one over it.
  absl::Status Rebase();
  // Removes what a Rebase that did not come to its end has left.
  void RemoveUnusedBases(const std::vector<std::string>& used);
  absl::StatusOr<StoredSession> LinkFork(StoredSession fork);
  // Links bases and snapshots of `fork` into its folder, and takes from it the snapshots that are not there.
  absl::Status LinkFiles(const std::string& folder, StoredSession* fork);
  absl::StatusOr<std::shared_ptr<SessionExport>> BeginExport(bool with_snapshot, const std::string& bundle);
  // Whether what is queued is left to be committed with what follows, by a later call.
  bool DelayCommit();
  void CommitWrites();
  std::vector<absl::StatusOr<WriteResult>> CommitBatch(const std::vector<PendingWrite>& batch);
  absl::StatusOr<WriteResult> ApplyWrite(const PendingWrite& write, absl::Time now);
  void Publish(absl::Time now);
  void ConsiderQuestions();
  // Whether enough is read for the question.
  absl::StatusOr<bool> MayRun(QuestionRun& run);
  // The question has its slot, and holds the state from now on.
  void OnSlot(const std::shared_ptr<QuestionRun>& run);
  void LaunchQuestion(const std::shared_ptr<QuestionRun>& run);
  absl::StatusOr<std::vector<std::string>> ReadTexts(const std::vector<ByteRange>& ranges);

  // --- From any thread ---
  void OnQuestionEnded(const std::shared_ptr<QuestionRun>& run);
  void NotifySubscribers();
  void Deliver();
  DocumentInfo InfoLocked(std::size_t ordinal) const;
  std::string EtagLocked() const;

  const std::shared_ptr<SessionContext> context_;
  const SessionId id_;
  const std::string request_id_;
  const absl::Time create_time_;
  const absl::Status problem_;
  SerialQueue strand_;
  SerialQueue callbacks_;
  AppendQueue queue_;
  std::atomic<bool> has_waiting_ = false;  // waiting_ or launching_ is not empty

  // The strand's own.
  StoreHandle store_;
  absl::Duration last_commit_ = -absl::InfiniteDuration();  // Clock::Elapsed
  bool commit_timed_ = false;                               // the timer will call CommitWrites
  std::uint64_t commits_ = 0;
  bool closes_store_ = false;  // the timer will come to it
  DocumentAppender appender_;
  bool deleted_ = false;
  std::vector<std::shared_ptr<QuestionRun>> waiting_;
  std::vector<std::shared_ptr<QuestionRun>> launching_;  // may run, once the state is in memory

  mutable std::mutex mutex_;  // guards all that follows
  StoredSession stored_;      // what is durable
  std::set<std::shared_ptr<QuestionRun>> questions_;
  std::map<std::uint64_t, std::shared_ptr<std::function<void(const SessionProgress&)>>> subscribers_;
  std::uint64_t next_subscriber_ = 0;
  bool delivering_ = false;
  bool gone_ = false;     // deleted
  absl::Time saved_use_;  // on disk

  SessionReader reader_;  // has a lock of its own
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_SESSION_H_
