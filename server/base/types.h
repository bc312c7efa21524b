// The plain types of the session layer. No transport, no storage.
#ifndef TOME_SERVER_BASE_TYPES_H_
#define TOME_SERVER_BASE_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/engine.h"

namespace tome::server {

// The id in "sessions/{id}".
using SessionId = std::string;

// Of a session that has one.
inline constexpr absl::Duration kMinTimeToLive = absl::Seconds(1), kMaxTimeToLive = absl::Hours(100 * 366 * 24);

// What becomes of bytes of a document that are not UTF-8. A later stream may turn kRefuse into kReplace, not back.
enum class Utf8Policy {
  kRefuse = 1,   // INVALID_UTF8
  kReplace = 2,  // read as U+FFFD; the stored bytes and all offsets stay those that were sent
};

enum class SessionPhase {
  kIdle,       // nothing is waiting to be read
  kReading,    // stored bytes are being read, or wait for their turn
  kEvicted,    // the state is not in memory and will be restored from a snapshot or the stored bytes on next use
  kRestoring,  // the state is being restored
  kFailed,     // reading stopped at an error, see `problem`; with damaged bytes, what was read before is there
};

// Where the state of a session is.
enum class StatePlace {
  kNone,       // there is none: nothing was read
  kResident,   // in memory
  kEvicted,    // on disk
  kRestoring,  // on its way back
};

// What a session had read at some point, in a file.
struct SnapshotInfo {
  std::uint64_t number = 0;  // grows
  absl::Time create_time;    // microseconds
  std::uint64_t size_bytes = 0;
  std::uint64_t ingested_bytes = 0;
  std::uint64_t ingested_tokens = 0;
  std::string digest;  // SHA-256, hex

  friend bool operator==(const SnapshotInfo&, const SnapshotInfo&) = default;
};

struct DocumentInfo {
  std::string name;
  ByteOffset durable_bytes = 0;
  // What was read, also while the state is evicted; growing from 0 again while it is rebuilt from the stored bytes.
  ByteOffset ingested_bytes = 0;
  std::uint64_t ingested_tokens = 0;
  bool sealed = false;
  Utf8Policy invalid_utf8 = Utf8Policy::kRefuse;
  absl::Time create_time;
};

struct SessionInfo {
  SessionId id;
  std::string display_name;
  std::map<std::string, std::string> labels;
  std::string etag;
  absl::Time create_time;
  absl::Time update_time;  // of metadata and documents
  MemoryOptions options;
  std::vector<DocumentInfo> documents;  // in reading order
  SessionPhase phase = SessionPhase::kIdle;
  std::uint64_t durable_bytes = 0;  // sums over all documents
  std::uint64_t ingested_bytes = 0;
  std::uint64_t ingested_tokens = 0;
  std::size_t state_bytes = 0;  // held now; 0 when evicted
  std::size_t max_state_bytes = 0;
  std::size_t archive_bytes = 0;           // held now, beside the state
  std::size_t archive_resident_bytes = 0;  // of it in memory, with what finds its parts; the rest is in files
  std::string problem;                     // kFailed: why
  std::string model_digest;
  std::string tokenizer_digest;
  absl::Duration time_to_live;  // 0: none
  bool pinned = false;
  absl::Time last_use_time;
  std::optional<absl::Time> expire_time;
  StatePlace state_place = StatePlace::kNone;
  std::size_t queue_position = 0;       // as in SessionProgress
  std::vector<SnapshotInfo> snapshots;  // newest first
};

// How far a session is at a moment.
struct SessionProgress {
  SessionPhase phase = SessionPhase::kIdle;
  std::uint64_t durable_bytes = 0;  // sums over all documents
  std::uint64_t ingested_bytes = 0;
  std::uint64_t ingested_tokens = 0;
  double tokens_per_second = 0;  // over the last segments; 0 when nothing is being read
  double bytes_per_second = 0;
  // All stored text is read, but for a last part that is too short for a segment; also while the state is evicted.
  bool caught_up = false;
  // Among the sessions that wait for memory before they are read: 1 is the next one; 0 when it does not wait.
  std::size_t queue_position = 0;
  std::optional<absl::Duration> time_left;  // until all durable bytes are read, when that can be told
  std::string problem;
  // The session's last document, the one that Append may be writing; empty when there is none.
  DocumentInfo last_document;
  // All stored bytes are read and every document is sealed (also true of a session without documents).
  bool complete = false;
  // The session is gone; no later call comes.
  bool deleted = false;
};

// What is asked of a session's memory. Fields at 0 and empty ones take the server's defaults.
struct AskedMemory {
  MemoryOptions options = {
      .sink_tokens = 0, .window_tokens = 0, .segment_tokens = 0, .region_tokens = 0, .attention = ""};
  std::string region_memory;          // in place of options.regions: settings on top of the server's default
  std::uint64_t max_state_bytes = 0;  // the region memory is cut to it
};

struct CreateRequest {
  SessionId session_id;    // empty: one is made
  std::string request_id;  // empty: none
  std::string display_name;
  std::map<std::string, std::string> labels;
  AskedMemory memory;
  absl::Duration time_to_live;  // 0: none
  bool pinned = false;
};

struct ForkRequest {
  SessionId session_id;      // that is forked
  SessionId new_session_id;  // empty: one is made
  std::string request_id;    // empty: none
  std::string display_name;  // empty: that of the session
};

struct UpdateRequest {
  SessionId session_id;
  std::string etag;  // empty: any
  // Absent fields stay as they are.
  std::optional<std::string> display_name;
  std::optional<std::map<std::string, std::string>> labels;
  std::optional<absl::Duration> time_to_live;  // 0: none
  std::optional<bool> pinned;
};

struct ListRequest {
  int page_size = 50;  // at least 1
  std::string page_token;
  std::string filter;    // see the contract
  std::string order_by;  // empty: newest first
};

struct SessionPage {
  std::vector<SessionInfo> sessions;
  std::string next_page_token;  // empty on the last page
};

// One message of an Append stream.
struct WriteRequest {
  ByteOffset offset = 0;
  std::string data;  // may be empty
  std::optional<std::uint32_t> crc32c;
  bool finish = false;  // seal the document after `data`
};

struct WriteResult {
  ByteOffset durable_offset = 0;  // the document's size on disk: the next offset
  ByteOffset ingested_offset = 0;
  bool sealed = false;
};

// --- Questions ---

enum class PromptFormKind {
  kDefault,         // kProfile if the model's profile has a form, else kChat if it has a chat template, else kRaw
  kChat,            // NO_CHAT_TEMPLATE if the model has none
  kRaw,             // text, turns and question with empty lines between
  kQuestionAnswer,  // "Question: ...\nAnswer:", ending at a line end
  kCustom,          // QuestionRequest.custom_form
  kProfile,         // NO_PROFILE_FORM if the model's profile has none
};

struct Turn {
  std::string question;
  std::string answer;
};

struct CitationOptions {
  bool include_text = false;
  int max_citations = 8;
};

struct QuestionRequest {
  SessionId session_id;
  std::string question;
  PromptFormKind prompt_form = PromptFormKind::kDefault;
  tome::PromptForm custom_form;  // kCustom only
  std::string instruction;
  std::vector<Turn> turns;  // oldest first
  GenerationOptions generation;
  AnswerMode mode = AnswerMode::kReread;
  // Without effect with kWindow, like all up to the citations. Absent: what the model's profile says, else kBalanced.
  std::optional<Effort> effort;
  // Of the regions that the answer is generated over; 0: what the model's profile says, else 512, or half of the
  // model's context if that is less.
  int budget_tokens = 0;
  CitationOptions citations;
  // Wait until this many bytes of the session are read. A last part that is too short for a segment counts as read
  // once everything before it is, because the question reads it. More bytes than are stored: wait for them to come.
  std::uint64_t wait_for_ingested_bytes = 0;
};

enum class QuestionPhase {
  kWaitingForReading,  // for wait_for_ingested_bytes, or for the state to be rebuilt; counts bytes of the session
  kQueued,             // for the model
  // The following count tokens, over all of them; the total is an estimate until the text is found.
  kReadingQuestion,  // pending bytes, and with kWindow the question
  kRouting,          // the question is read for what it asks of the text, all regions are ranked
  kReranking,        // the best regions are ranked by the model
  kReadingText,      // the question with the text that was found, as far as that is read again
};

struct QuestionProgress {
  QuestionPhase phase = QuestionPhase::kQueued;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

struct AnswerDelta {
  std::string text;                    // whole characters; may be empty when there are tokens
  std::vector<GeneratedToken> tokens;  // since the last delta; only with generation.log_probabilities
  std::vector<ScoredToken> scored;     // since the last delta; only of a score
};

// Bytes begin <= i < end of a document.
struct ByteRange {
  std::string document;
  ByteOffset begin = 0;
  ByteOffset end = 0;

  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

// What of the session the answer could see.
struct Coverage {
  std::uint64_t durable_bytes = 0;
  std::uint64_t ingested_bytes = 0;  // read when the question began, without pending_bytes
  std::uint64_t ingested_tokens = 0;
  std::uint64_t pending_bytes = 0;  // after the last whole segment, read together with the question
  std::vector<ByteRange> exact;     // in sink and window, in reading order, pending bytes included
  // kWindow: read, but neither in sink nor window.
  std::uint64_t forgotten_bytes = 0;
  // But kWindow: all that was read, pending bytes included; of that, neither in sink nor window; in the passages that
  // were read again, and in those whose stored keys and values were attended to.
  std::uint64_t searchable_bytes = 0;
  std::uint64_t archive_only_bytes = 0;
  std::uint64_t reread_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t unread_bytes = 0;  // stored, neither read nor pending
};

// All but the last follow each other.
struct QuestionTimings {
  absl::Duration waiting;
  absl::Duration queued;
  absl::Duration reading_question;
  absl::Duration routing;
  absl::Duration reranking;
  absl::Duration reading_text;
  absl::Duration generating;
  absl::Duration time_to_first_token;
};

// A run of neighbouring regions that an answer was generated over.
struct AnswerPassage {
  ByteRange range;
  int tokens = 0;
  double score = 0;
  bool stored = false;  // its stored keys and values were attended to; else its text was read again
};

// A region that a question was routed to.
struct RoutedRegion {
  ByteRange range;
  double score = 0;  // see FoundRegion, also for what follows
  double attention_mass = 0;
  double stem_score = 0;
  double token_score = 0;
  // Absent where not reranked.
  std::optional<double> log_likelihood;
  std::optional<ByteRange> sentence;
  std::string text;  // the range's bytes, when asked for
};

struct QuestionResult {
  std::string answer;
  FinishReason finish_reason = FinishReason::kNone;
  std::uint64_t prompt_tokens = 0;  // of instruction, turns and question; without pending bytes
  std::uint64_t generated_tokens = 0;
  std::uint64_t attended_tokens =
      0;                            // of the session: kept and pending; of the passages; with kAttend also of the sink
  std::uint64_t stored_tokens = 0;  // of these, attended to by their stored keys and values
  std::uint64_t reread_tokens = 0;  // of these, read again from their text
  QuestionTimings timings;
  Coverage coverage;
  AnswerMode mode = AnswerMode::kReread;
  PromptFormKind prompt_form = PromptFormKind::kRaw;  // that was used, never kDefault
  // But kWindow.
  Effort effort = Effort::kBalanced;
  int budget_tokens = 0;
  std::uint64_t regions_scanned = 0;
  std::uint64_t regions_reranked = 0;
  std::uint64_t regions_found = 0;      // of which the citations are some
  std::vector<AnswerPassage> passages;  // in the order in which the model had them
  std::vector<RoutedRegion> citations;  // best first
};

// --- Score ---

struct ScoreRequest {
  SessionId session_id;
  std::string text;                           // whose tokens are scored; nothing is answered
  std::uint64_t wait_for_ingested_bytes = 0;  // as of a question
};

// --- Search ---

struct SearchRequest {
  SessionId session_id;
  std::string query;
  std::optional<Effort> effort;  // as of a question
  int page_size = 10;
  std::string page_token;  // empty: the first page
  bool include_text = false;
  std::uint64_t wait_for_ingested_bytes = 0;  // as of a question
};

struct SearchPage {
  std::vector<RoutedRegion> regions;  // best first
  std::string next_page_token;        // empty on the last page
  std::uint64_t ingested_bytes = 0;
  std::uint64_t ingested_tokens = 0;
  std::uint64_t pending_bytes = 0;
  std::uint64_t regions_scanned = 0;
  std::uint64_t regions_reranked = 0;
  Effort effort = Effort::kBalanced;
  QuestionTimings timings;
};

}  // namespace tome::server

#endif  // TOME_SERVER_BASE_TYPES_H_
