// What a server lets its sessions do and have.
#ifndef TOME_SERVER_BASE_OPTIONS_H_
#define TOME_SERVER_BASE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/engine.h"

namespace tome::server {

class FileSystem;

// When the state of a session that is being read is written to disk, beside the end of a document (once everything is
// read), an eviction, a shutdown, and when a client asks. 0: not for this reason.
struct SnapshotPolicy {
  int segments = 256;                            // after so many
  absl::Duration interval = absl::Seconds(300);  // so long after what is not in a snapshot was read first
};

// The one place of the defaults.
struct SessionManagerOptions {
  // Holds LOCK and one folder per session under sessions/. Made if it does not exist.
  std::string data_folder;

  MemoryOptions default_memory_options;  // of sessions that name none
  std::vector<std::string> notes;        // how these came about, for those who ask about the model
  // The budget of their state, and of those that name none but other options; 0: none. Open cuts the default options to
  // it.
  std::size_t default_state_bytes = 0;

  std::int64_t max_sessions = 10'000;
  std::int64_t max_documents = 10'000;  // of one session
  // Memory for attention states, and for archives as far as the model does not keep them in files, of all resident
  // sessions. What a session's text can need is reserved before it is read; idle sessions are evicted, least recently
  // used first, to make room. Sessions for which there is none wait in order.
  std::size_t max_state_bytes = std::size_t{4} << 30;
  // Bytes received for a session and not yet durable. A message is taken whole when there is any room.
  std::size_t max_append_queue_bytes = std::size_t{4} << 20;
  // A session's bytes are committed together, up to max_commit_bytes at a time. Fewer bytes that do not end a document
  // wait for more until max_commit_delay after the commit before; so the first ones after a pause do not wait at all.
  std::size_t max_commit_bytes = std::size_t{1} << 20;
  absl::Duration max_commit_delay = absl::Milliseconds(20);

  int max_running_questions = 8;  // answered side by side in one batch
  int max_waiting_questions = 64;
  // Of a question with its instruction and turns, checked before it is tokenized.
  std::size_t max_question_bytes = std::size_t{1} << 20;
  // A state that is being read into can be evicted after so long, at the end of a segment, when another one waits for
  // room: it is written to disk, and waits for its next turn.
  absl::Duration reading_turn = absl::Seconds(30);
  // The least share of compute time that reading gets while questions are being answered, 0..1.
  double reading_share = 0.25;

  SnapshotPolicy snapshots;

  int num_io_threads = 2;  // disk and tokenization

  absl::Duration expiry_interval = absl::Seconds(1);  // how often sessions that have expired are looked for

  // Of all but SQLite's files; null: the real one. Outlives the manager.
  FileSystem* files = nullptr;

  absl::Duration retry_delay = absl::Seconds(1);  // what clients are told to wait for when a limit is reached
};

}  // namespace tome::server

#endif  // TOME_SERVER_BASE_OPTIONS_H_
