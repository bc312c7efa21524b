// What is asked of an append, and what is heard of it.
#ifndef TOME_CLIENT_APPEND_REPORT_H_
#define TOME_CLIENT_APPEND_REPORT_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "client/connection.h"

namespace tome::client {

enum class AppendPhase {
  kVerifying,  // comparing what the document already holds
  kUploading,  // sending
  kReading,    // all is stored; the model reads
};

// Where an append stands. Bytes are those of the document.
struct AppendProgress {
  AppendPhase phase = AppendPhase::kUploading;
  std::uint64_t verified_bytes = 0;
  std::uint64_t durable_bytes = 0;
  std::uint64_t ingested_bytes = 0;
  // Of the document once the source has ended, if the source knows its size.
  std::optional<std::uint64_t> total_bytes;
  // Of reading, as the server measures it; 0 while nothing is read.
  double bytes_per_second = 0;
  double tokens_per_second = 0;
  // Among the sessions that wait for memory; 0 when this one does not.
  std::uint32_t queue_position = 0;
  // Until `total_bytes` are read, or what is stored when the total is not known. None when it cannot be told.
  std::optional<std::chrono::milliseconds> time_left;
};

struct AppendOptions {
  std::string session;   // "sessions/{id}"
  std::string document;  // its name
  // Seal the document at the source's end.
  bool finish = true;
  // Return only when the model has read everything.
  bool wait_until_read = true;
  // The source goes on where the document ends, instead of beginning at its first byte.
  bool continue_document = false;
  v1::InvalidUtf8Policy invalid_utf8 = v1::INVALID_UTF8_POLICY_REFUSE;
  // Of one message, at most 1 MiB.
  std::size_t chunk_bytes = 256 << 10;
  // The most that is held unacknowledged; at least a chunk.
  std::size_t buffer_bytes = 8 << 20;
  // After the first contact. Its count starts anew whenever the committed offset moves.
  RetryPolicy retry{.max_delay = std::chrono::milliseconds(4'000), .give_up_after = std::chrono::minutes(5)};
  // Called at every change, one at a time, on threads of the call. May be empty.
  std::function<void(const AppendProgress&)> on_progress;
};

// How a source and a document that holds bytes already do not go together.
enum class AppendConflict {
  kNone,
  kDiffers,  // in a byte that both have
  kLonger,   // the source goes on where the document is sealed
  kShorter,  // the source ends before the document's bytes do
};

// What an append did, also one that failed or was cancelled.
struct AppendReport {
  // Whether the server was reached and the session found. Without it all else says nothing.
  bool begun = false;
  // What the document held before: where sending began.
  std::uint64_t resumed_at = 0;
  // Bytes of the document that are safely stored.
  std::uint64_t durable_bytes = 0;
  std::uint64_t ingested_bytes = 0;
  bool sealed = false;
  // The document was sealed before, and the source holds exactly its bytes.
  bool already_there = false;
  // How often sending was taken up again after an error.
  int retries = 0;
  // Why it was refused, and how many first bytes of document and source are the same.
  AppendConflict conflict = AppendConflict::kNone;
  std::uint64_t same_bytes = 0;
};

}  // namespace tome::client

#endif  // TOME_CLIENT_APPEND_REPORT_H_
