// The sessions of a server: documents on disk, their reading by the model, and questions about them. The door of this
// folder for the RPC layer; it knows no transport.
//
// Threads: every method is thread-safe and returns without waiting for the disk or the model, unless it says otherwise.
// Results come by callback, on a thread of the manager, never inside the call that took the callback and never with a
// lock held; calls for one writer, subscription or question come one at a time and in order. Callbacks must be quick
// (hand on, do not block) and must own what they touch, by shared or weak pointer: after Cancel, or after a handle is
// dropped, a call that has already begun may still be running. Every callback that takes a result gets one: also after
// Shutdown, then with DRAINING.
//
// Shapes of names, sizes of fields and message limits are checked by the caller; existence, etags, order, storage and
// memory limits are checked here. Errors carry details: see errors.h. While draining, everything that begins new work
// is UNAVAILABLE with reason DRAINING.
#ifndef TOME_SERVER_SESSION_SESSION_MANAGER_H_
#define TOME_SERVER_SESSION_SESSION_MANAGER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "server/base/options.h"
#include "server/base/types.h"
#include "server/questions/question.h"
#include "server/scheduling/clock.h"
#include "server/session/subscription.h"
#include "server/telemetry/observer.h"

namespace tome::server {

// One Append stream on one document. Thread-safe, but the order of concurrent Writes is not told. Dropping it lets
// queued writes be committed and their callbacks be called.
class DocumentWriter {
 public:
  virtual ~DocumentWriter() = default;

  // Queues a message. `done` gets the result once the bytes are durable, in the order of the Writes. After an error
  // every later Write of this writer fails with the same error.
  //
  // `offset` must be the document's size with all messages before it, or the message must repeat stored bytes exactly
  // (also when it is empty); else OFFSET_MISMATCH or CONTENT_MISMATCH with the committed offset. A document that does
  // not exist begins with offset 0, once the one before is sealed. `finish` seals the document; repeating the last
  // message of a sealed document is accepted. A document that ends within a character is not sealed (policy kRefuse:
  // INVALID_UTF8).
  virtual void Write(WriteRequest request, std::function<void(absl::StatusOr<WriteResult>)> done) = 0;

  // Calls `ready` once, as soon as the session's queue has room for a message. Read the next message of the stream
  // only then. At most one call may be outstanding.
  virtual void WhenRoom(std::function<void()> ready) = 0;
};

// A session as a bundle. One call at a time.
class SessionExporter {
 public:
  virtual ~SessionExporter() = default;
  // Names the bundle for ResumeExport.
  virtual std::string bundle() const = 0;
  // The next bytes, a little more than 1 MiB at most; empty at the end.
  virtual void Next(std::function<void(absl::StatusOr<std::string>)> done) = 0;
};

// A bundle that becomes a session. One call at a time. Dropping it before Finish leaves nothing.
class SessionImporter {
 public:
  virtual ~SessionImporter() = default;
  // ARCHIVE_DAMAGED, ARCHIVE_CONTENT, SESSION_EXISTS, SESSION_LIMIT, DISK_FULL; after an error only the destructor may
  // be called.
  virtual void Take(std::string bytes, std::function<void(absl::Status)> done) = 0;
  // All bytes were taken: the session is there now.
  virtual void Finish(std::function<void(absl::StatusOr<SessionInfo>)> done) = 0;
};

class SessionManager {
 public:
  // Locks the data folder and lists its sessions; waits for the disk. `observer` and `clock` outlive the manager.
  // FAILED_PRECONDITION when another process has the folder; PERMISSION_DENIED or another error, with nothing changed,
  // when it or the model's archive folder cannot be written. A session whose files are damaged is listed in phase
  // kFailed.
  static absl::StatusOr<std::unique_ptr<SessionManager>> Open(SessionManagerOptions options,
                                                              std::shared_ptr<const Model> model, Observer& observer,
                                                              const Clock& clock = Clock::Real());
  // Shuts down: see Shutdown.
  virtual ~SessionManager() = default;

  virtual const SessionManagerOptions& options() const = 0;
  virtual const std::shared_ptr<const Model>& model() const = 0;

  // --- Sessions ---

  // SESSION_EXISTS, SESSION_LIMIT, MEMORY_OPTIONS. A request_id seen before gives the session that it made.
  virtual void Create(CreateRequest request, std::function<void(absl::StatusOr<SessionInfo>)> done) = 0;

  // SESSION_NOT_FOUND.
  virtual absl::StatusOr<SessionInfo> Get(const SessionId& id) const = 0;

  // Sessions made or changed meanwhile may be missed on later pages. PAGE_TOKEN for a token that List did not make for
  // the same filter and order; LIST_QUERY for a bad one of these.
  virtual absl::StatusOr<SessionPage> List(const ListRequest& request) const = 0;

  // SESSION_NOT_FOUND, ETAG_MISMATCH.
  virtual void Update(UpdateRequest request, std::function<void(absl::StatusOr<SessionInfo>)> done) = 0;

  // SESSION_NOT_FOUND, ETAG_MISMATCH (`etag` may be empty). Running questions and writers of it fail with
  // SESSION_DELETED; subscriptions get a last call with `deleted`.
  virtual void Delete(const SessionId& id, const std::string& etag, std::function<void(absl::Status)> done) = 0;

  // SESSION_NOT_FOUND and the errors of Create. A request_id seen before gives the session that it made.
  virtual void Fork(ForkRequest request, std::function<void(absl::StatusOr<SessionInfo>)> done) = 0;

  // SESSION_NOT_FOUND by `done`.
  virtual void Export(const SessionId& id, bool with_snapshot,
                      std::function<void(absl::StatusOr<std::unique_ptr<SessionExporter>>)> done) = 0;
  // Begins the bundle of this name again, with the same bytes. Also BUNDLE_CHANGED and BUNDLE_NAME.
  virtual void ResumeExport(const SessionId& id, const std::string& bundle,
                            std::function<void(absl::StatusOr<std::unique_ptr<SessionExporter>>)> done) = 0;
  // `id`: of the new session; empty for the one in the bundle.
  virtual absl::StatusOr<std::unique_ptr<SessionImporter>> Import(const SessionId& id) = 0;

  // Writes what was read so far to disk. When nothing is new, the newest snapshot is told. SESSION_NOT_FOUND,
  // SESSION_EMPTY, DISK_FULL.
  virtual void Snapshot(const SessionId& id, std::function<void(absl::StatusOr<SnapshotInfo>)> done) = 0;

  // Drops state and snapshots and reads all documents again, also after an error. SESSION_NOT_FOUND, and the problem of
  // a session that could not be loaded.
  virtual void Reread(const SessionId& id, std::function<void(absl::StatusOr<SessionInfo>)> done) = 0;

  // --- Documents ---

  // SESSION_NOT_FOUND. Whether the document can be written is told by the first Write.
  virtual absl::StatusOr<std::unique_ptr<DocumentWriter>> OpenDocument(const SessionId& id, std::string document,
                                                                       Utf8Policy invalid_utf8) = 0;

  // `on_progress` is called with the present progress soon, then after changes (several close ones may come as one)
  // until the subscription is dropped or the session deleted. Counts as a use: an evicted state is rebuilt.
  // SESSION_NOT_FOUND.
  virtual absl::StatusOr<Subscription> Subscribe(const SessionId& id,
                                                 std::function<void(const SessionProgress&)> on_progress) = 0;

  // --- Questions ---

  // Errors, also SESSION_NOT_FOUND and QUESTION_LIMIT, come by OnDone. `observer` is held until then.
  virtual std::shared_ptr<RunningQuestion> StartQuestion(QuestionRequest request,
                                                         std::shared_ptr<QuestionObserver> observer) = 0;

  // The log-probabilities of a text's tokens, by OnDelta. As StartQuestion.
  virtual std::shared_ptr<RunningQuestion> StartScore(ScoreRequest request,
                                                      std::shared_ptr<QuestionObserver> observer) = 0;

  // Finds the regions of text that `query` asks for: a question without an answer. `done` is called once, with the
  // errors of a question, PAGE_TOKEN or SEARCH_CHANGED.
  virtual std::shared_ptr<RunningQuestion> StartSearch(SearchRequest request,
                                                       std::function<void(absl::StatusOr<SearchPage>)> done) = 0;

  // --- The end ---

  // From now on new work is refused with DRAINING; what runs goes on. Get and List still work.
  virtual void BeginDrain() = 0;
  // Waits until queued writes are durable and questions have ended, at most `grace`; then true. Blocks.
  virtual bool WaitUntilDrained(absl::Duration grace) = 0;
  // Stops: questions still running end with UNAVAILABLE/DRAINING, queued writes are committed, reading stops between
  // two steps, what was read is written to disk as far as that takes no longer than `snapshot_time`, all callbacks have
  // been called when it returns. Blocks. The destructor does it too, without limit. What is asked afterwards is
  // refused.
  virtual void Shutdown(absl::Duration snapshot_time = absl::InfiniteDuration()) = 0;

 protected:
  SessionManager() = default;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_SESSION_MANAGER_H_
