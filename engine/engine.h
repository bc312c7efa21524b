// The engine's door: the only header that the server, the tools and the benchmarks need.
//
//   Model   weights and tokenizer. Loaded once, immutable, shared by all threads.
//   Memory  what a session remembers. A value: copying it is an O(1) fork. One writer at a time.
//   Task    a piece of work on a memory, advanced in small steps. It may be dropped between any two steps.
//   Step    one forward pass over several tasks.
//
// There are no threads, queues or clocks behind it: who computes next is the caller's business. Nothing here throws.
// Shapes in comments: L layers, H query heads, KV key-value heads, D head dimension, W window.
#ifndef TOME_ENGINE_ENGINE_H_
#define TOME_ENGINE_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/byte_stream.h"
#include "engine/base/types.h"
#include "engine/checkpoint/llama_config.h"
#include "engine/model/model_profile.h"
#include "engine/text/chat_template.h"
#include "engine/text/detokenizer.h"
#include "engine/text/tokenizer.h"

namespace tome {

class SpillFolder;  // see base/spill_folder.h

// --- Model -----------------------------------------------------------------------------------------------------------

enum class Device { kCpu, kCuda };
enum class Precision {
  kAuto,  // the fastest on this device: bf16 where the hardware multiplies it, else fp32
  kFp32,
  kBf16,
};
absl::StatusOr<Device> ParseDevice(std::string_view name);        // "cpu", "cuda"
absl::StatusOr<Precision> ParsePrecision(std::string_view name);  // "auto", "fp32", "bf16"
std::string_view DeviceName(Device device);
std::string_view PrecisionName(Precision precision);

struct ModelOptions {
  std::string path;            // see checkpoint.h for the formats
  std::string tokenizer_path;  // llama2.c only: its vocabulary
  std::string profile_path;    // "": see Model::profile
  Device device = Device::kCpu;
  Precision precision = Precision::kAuto;
  int num_threads = 0;  // compute threads, process-wide; 0 = one for each core this process may use

  // Beyond archive_resident_bytes of it in memory, the oldest part of each memory's archive lives in files without a
  // name in this folder, mapped. "": all stays in memory. A part that cannot be written stays in memory, is tried again
  // later, and is counted by spill_folder().
  std::string archive_folder;
  std::size_t archive_resident_bytes = std::size_t{64} << 20;
};

struct ModelInfo {
  LlamaConfig config;
  std::string path;
  std::string format;            // "gguf", "huggingface", "llama2c"
  std::string model_digest;      // SHA-256, hex
  std::string tokenizer_digest;  // SHA-256, hex
  std::string profile_digest;    // SHA-256, hex; of no profile as well
  std::int64_t num_parameters = 0;
  Device device = Device::kCpu;
  Precision precision = Precision::kFp32;  // what kAuto became
  std::string precision_reason;            // why, in words: "no bf16 instructions on this CPU (AVX2)"
  std::string decode_weights;              // how decoding reads weights: "Q4_1 packed, fp32 products"
  std::size_t weight_bytes = 0;            // resident bytes of the weights
  int num_threads = 0;                     // compute threads in use
  ChatTemplate chat_template = ChatTemplate::kPlain;
  // What was unusual about the model's files, and how it was taken; each names its file. For people.
  std::vector<std::string> warnings;
};

// Immutable and thread-safe, but for Step, which one thread calls at a time.
class Model {
 public:
  // Errors of the checkpoint and the tokenizer; FAILED_PRECONDITION for a device that this build or machine lacks.
  static absl::StatusOr<std::shared_ptr<const Model>> Load(const ModelOptions& options);
  virtual ~Model() = default;

  virtual const ModelInfo& info() const = 0;
  virtual const std::shared_ptr<const Tokenizer>& tokenizer() const = 0;
  // What was measured about the model: the file that the options name, else the one beside the model
  // ("<path>.profile.json"), else one that Tome ships for a model with this digest, else an empty one: then questions
  // are routed by words alone.
  virtual const ModelProfile& profile() const = 0;
  // Where archives go; null when they stay in memory.
  virtual const std::shared_ptr<SpillFolder>& spill_folder() const = 0;

 private:
  friend class LlamaModel;
  Model() = default;
};

// "AVX2 FMA F16C", "AVX-512 BF16 AMX": what the engine found on this CPU at run time.
std::string CpuFeatures();
// "libtorch 2.11.0, CPU build".
std::string EngineBuildInfo();

// --- Memory ----------------------------------------------------------------------------------------------------------

// In what precision the region memory keeps keys and values.
enum class RegionPrecision {
  kComputed,  // as the model computed them
  kBf16,
  kInt8,  // a scale for each channel of a region
};
// By what the region memory chooses what it keeps of older regions; see memory/retention.h.
enum class RetentionScore { kSelections, kValueNorm, kSurprise, kNovelty, kExpected, kRandom };
// What leaves when it is full.
enum class RegionCompression {
  kWhole,  // the region with the lowest score
  kMerge,  // the lower half of the tokens of two neighbours
};

// The region memory: regions that left the window, of which each segment attends to the best. See
// memory/region_memory.h; docs/results/memory.md tells what each option does to quality and cost.
struct RegionMemoryOptions {
  int selected = 16;              // regions that a query region chooses in each layer; 0: no region memory
  int query_region_tokens = 256;  // tokens whose queries are pooled to choose
  int merge = 2;                  // neighbouring query regions that share what they chose
  int route_every = 1;            // of so many layers the first chooses for all
  int ring_regions = 64;          // the newest regions, which are all kept
  int pool_regions = 0;           // older ones, kept by their score
  RetentionScore retention = RetentionScore::kSelections;
  RegionCompression compression = RegionCompression::kWhole;
  RegionPrecision precision = RegionPrecision::kBf16;

  friend bool operator==(const RegionMemoryOptions&, const RegionMemoryOptions&) = default;
};

// `base` with settings like "selected=16,pool=64,retention=surprise"; "off" for none. Keys: selected, query-region,
// merge, route-every, ring, pool, retention (selections, value-norm, surprise, novelty, expected, random), compression
// (whole, merge), precision (computed, bf16, int8). INVALID_ARGUMENT says what is allowed.
absl::StatusOr<RegionMemoryOptions> ParseRegionMemoryOptions(std::string_view settings,
                                                             const RegionMemoryOptions& base = {});
// All settings in the order above; "off". Parses to the same options.
std::string FormatRegionMemoryOptions(const RegionMemoryOptions& options);

struct MemoryOptions {
  int sink_tokens = 64;      // first tokens of a session, always attended exactly
  int window_tokens = 2048;  // latest tokens, always attended exactly; with region memory up to region_tokens - 1 more
  int segment_tokens = 512;  // tokens read in one pass
  int region_tokens = 64;    // tokens of a region, the unit in which text is found again
  RegionMemoryOptions regions;
  // How heads attend to window and segment while text is read, see attention/pattern.h: "dense", "scca-fixed(w=512)",
  // "sliding(1024):3,dense:6". Chunks need a width, for nobody knows how long the text will be. All heads see sink and
  // chosen regions, and a question sees all that is kept.
  std::string attention = "dense";
  // In place of the checkpoint's own, which "" is, see model/position_encoding.h: "yarn(4)". Then more tokens can be
  // attended at once than the model was trained on.
  std::string position_encoding;
};

// The most tokens that a token attends to while a segment is read.
std::int64_t MaxAttendedTokens(const MemoryOptions& options);

// Checks options for a model: positive, all that is attended at once within the trained range. INVALID_ARGUMENT says
// what is allowed.
absl::Status ValidateMemoryOptions(const MemoryOptions& options, const LlamaConfig& config);

// What suits a model that computes in `precision`: MemoryOptions{} in bf16. In fp32 sink and window take twice as much,
// so the region memory is in int8, with no more regions than leave the state no larger than it is in bf16.
// Models with short contexts have no room for it all: see FitMemoryOptions.
MemoryOptions DefaultMemoryOptions(const LlamaConfig& config, Precision precision);

// Which memory options somebody chose. The others may be changed.
struct ChosenMemoryOptions {
  bool sink_tokens = false, window_tokens = false, segment_tokens = false, region_tokens = false, regions = false;
};

// `options` with those that nobody chose fitted to the model: the region memory as DefaultMemoryOptions has it; where
// all of it is more than the model can attend to at once, fewer regions; where that is not enough, a window of half the
// context, segments of an eighth, sink and regions of a 32nd at most. INVALID_ARGUMENT of ValidateMemoryOptions when
// the chosen ones do not fit.
absl::StatusOr<MemoryOptions> FitMemoryOptions(const MemoryOptions& options, const ChosenMemoryOptions& chosen,
                                               const LlamaConfig& config, Precision precision);

// `options` with the region memory cut to a budget of bytes: ring and pool shrink in their proportion until
// Memory::MaxStateBytes is at most `max_state_bytes`; nothing grows. `options` are valid for the model.
// INVALID_ARGUMENT has the figures when that would leave fewer regions than a query region chooses, or when sink and
// window alone are larger.
absl::StatusOr<MemoryOptions> FitStateBytes(const MemoryOptions& options, const LlamaConfig& config,
                                            Precision precision, std::size_t max_state_bytes);

// A part of one document that was read without a break.
struct ReadRange {
  std::uint32_t document = 0;
  ByteOffset begin = 0, end = 0;
  std::int64_t tokens = 0;

  friend bool operator==(const ReadRange&, const ReadRange&) = default;
};

// How far the stems of a restored memory's words are made anew, because another version of the engine made them.
struct StemsProgress {
  std::int64_t tokens = 0;
  std::int64_t of_tokens = 0;
};
// Is told after every segment; only then. An error ends the restoring.
using RestoreObserver = std::function<absl::Status(const StemsProgress&)>;

class Archive;      // of all that was read; see memory/archive.h
class MemoryState;  // immutable, shared by forks

// The attention state of everything that a session has read. Keys are kept un-rotated; at use the kept tokens get
// compact positions 0..n-1, so no position leaves the trained range however much is read. Copying is an O(1) fork that
// shares all tensors; a later read replaces only the writer's blocks. Copies may be used from different threads.
class Memory {
 public:
  // An empty memory of `model`. INVALID_ARGUMENT for options that do not fit it.
  static absl::StatusOr<Memory> Create(std::shared_ptr<const Model> model, const MemoryOptions& options);

  const std::shared_ptr<const Model>& model() const { return model_; }
  const MemoryOptions& options() const;

  std::int64_t tokens_read() const;   // since the session began, BOS included
  std::int64_t tokens_kept() const;   // in sink and window
  std::size_t state_bytes() const;    // of keys and values held, and of what chooses among them
  std::int64_t num_regions() const;   // in the archive
  std::size_t archive_bytes() const;  // grows by about 40 bytes with each token read
  // Of the archive: what is in files, and what is in memory, with all that finds its parts. The latter is at most
  // ModelOptions::archive_resident_bytes, as long as the disk takes the rest and no more than 7/8 of it finds parts
  // (a few hundred bytes for each segment).
  std::size_t archive_spilled_bytes() const;
  std::size_t archive_resident_bytes() const;
  // The most that state_bytes() can become with these options, known before anything is read.
  static std::size_t MaxStateBytes(const LlamaConfig& config, const MemoryOptions& options, Precision precision);
  // The most that they can be once `tokens` were read; never falls with more, and ends at MaxStateBytes.
  static std::size_t MaxStateBytesAfter(std::int64_t tokens, const LlamaConfig& config, const MemoryOptions& options,
                                        Precision precision);

  // Which bytes were read, in reading order, as few ranges as possible.
  std::vector<ReadRange> ReadRanges() const;
  // Where the bytes of the tokens in sink and window are, tokens_kept() of them, in order.
  std::vector<TokenSpan> KeptSpans() const;

  // Canonical: the same state gives the same bytes. Versioned, checksummed; see memory/state_format.h. Empty when
  // memory runs out.
  std::string Serialize() const;
  // The same in pieces of a few MB at most. An error is the sink's, or RESOURCE_EXHAUSTED when memory runs out.
  absl::Status Serialize(const ByteSink& sink) const;
  // FAILED_PRECONDITION when it was made by another model or other options (the message has both values);
  // DATA_LOSS when damaged.
  static absl::StatusOr<Memory> Parse(std::shared_ptr<const Model> model, std::string_view bytes);
  // The same of all bytes of a source, whose errors it gives. Where the stems of its words are of another version they
  // are made anew from the tokens, about a million tokens in a second, without the model; `observer` may be null.
  static absl::StatusOr<Memory> Parse(std::shared_ptr<const Model> model, ByteSource& source,
                                      const RestoreObserver& observer = nullptr);
  // SHA-256 of Serialize(), hex.
  std::string Digest() const;

  // For the engine's own parts.
  Memory(std::shared_ptr<const Model> model, std::shared_ptr<const MemoryState> state);
  const std::shared_ptr<const MemoryState>& state() const { return state_; }
  void set_state(std::shared_ptr<const MemoryState> state);

 private:
  std::shared_ptr<const Model> model_;
  std::shared_ptr<const MemoryState> state_;
};

// What a session with some options costs, known before anything is read. Bytes.
struct SessionCost {
  std::size_t exact_bytes = 0;            // keys and values of sink and window, at most
  std::size_t region_memory_bytes = 0;    // at most, with what chooses among the regions
  std::size_t max_state_bytes = 0;        // the sum of both: Memory::MaxStateBytes, however much is read
  std::int64_t attended_tokens = 0;       // that a token attends to while text is read, at most
  double archive_bytes_per_token = 0;     // about: the stems of words are counted as English has them
  double text_bytes_per_token = 0;        // of the text itself, about, as English is tokenized
  std::size_t dense_bytes_per_token = 0;  // of a cache of all keys and values in bf16, to compare with
};
// `options` are valid for the model.
SessionCost ComputeSessionCost(const Model& model, const MemoryOptions& options);

// --- Generation options ----------------------------------------------------------------------------------------------

struct SamplingOptions {
  double temperature = 0.0;         // 0 = greedy
  int top_k = 0;                    // 0 = all
  double top_p = 1.0;               // keep the smallest set of tokens with at least this probability
  double min_p = 0.0;               // drop tokens less probable than this times the best
  double repetition_penalty = 1.0;  // divides positive, multiplies negative logits of tokens already seen
  std::uint64_t seed = 0;           // the same seed, prompt and options give the same text
};

struct GenerationOptions {
  SamplingOptions sampling;
  int max_tokens = 256;
  // Where the context has no room for max_tokens after the prompt, the answer ends when it is full (kContextFull),
  // instead of being refused.
  bool up_to_context = false;
  std::vector<std::string> stop;     // texts that end the answer and are not part of it; may span tokens
  std::vector<TokenId> stop_tokens;  // with all that end a text for the model: Tokenizer::ends
  bool log_probabilities = false;    // report the log-probability of each token
};
// INVALID_ARGUMENT names the field and the allowed range.
absl::Status ValidateGenerationOptions(const GenerationOptions& options);

enum class FinishReason { kNone, kStopToken, kStopText, kMaxTokens, kContextFull };
std::string_view FinishReasonName(FinishReason reason);  // "stop_token", ...

// --- Questions -------------------------------------------------------------------------------------------------------

// What an answer is generated over.
enum class AnswerMode {
  kReread,  // the text of the regions found, read anew
  kWindow,  // sink and window as they are: the beginning and the end of what was read
  kAttend,  // the sink and the regions found: stored keys and values where they are still held, else the text read anew
};

struct RouteOptions {
  Effort effort = Effort::kBalanced;
  int max_regions = 32;  // in the result
};

// Regions side by side. Their text need not end where they do.
struct RegionRun {
  std::int64_t first = 0, end = 0;  // numbers in the archive
  // Tokens of the region before and of the one after that belong to the text too; negative: so many of the run's own
  // first or last ones that do not. Less than a region.
  int before = 0, after = 0;

  friend bool operator==(const RegionRun&, const RegionRun&) = default;
};

// A region that a question was routed to.
struct FoundRegion {
  std::int64_t region = 0;  // number in the archive
  TokenSpan span;           // its bytes, from one end of a sentence to another
  // The probability that the question was asked of this region rather than of another one found: of all routers
  // together and, with reranking, of how likely the question and a sentence of the region make each other.
  double score = 0;
  double routing_score = 0;   // of all routers together, in standard deviations
  double attention_mass = 0;  // share of the question's attention at the retrieval heads
  double stem_score = 0;      // BM25 over word stems
  double token_score = 0;     // BM25 over token ids and pairs of them
  // Of the question after the region's likeliest sentence, nats; 0 where not reranked.
  double log_likelihood = 0;
  // The bytes of that sentence; none where not reranked.
  TokenSpan sentence;
};

// Regions side by side that an answer was generated over, in the order in which the model had them.
struct Passage {
  TokenSpan span;
  RegionRun regions;
  int tokens = 0;
  double score = 0;     // the sum of its regions' scores
  bool stored = false;  // kAttend: its stored keys and values were attended to; else its text was read again
};

// What an answer rests on.
struct Evidence {
  AnswerMode mode = AnswerMode::kReread;
  Effort effort = Effort::kBalanced;
  std::vector<FoundRegion> found;  // best first
  std::vector<Passage> passages;   // what was read again; kAttend: after the passages that were stored
  std::int64_t text_tokens = 0;    // of the passages that were read again
  std::int64_t stored_tokens = 0;  // kAttend: tokens whose stored keys and values were attended to, the sink's included
  std::int64_t regions_scanned = 0;
  std::int64_t regions_reranked = 0;  // of those, by the model
};

// Tokens that were stored but not read, after the last whole segment. A question reads them into its fork first.
struct PendingText {
  std::vector<TokenId> tokens;
  std::vector<TokenSpan> spans;  // of each token; all of one document
};

struct Question {
  std::string text;
  std::string instruction;                                 // what the answer should be like; see PromptForm
  std::vector<std::pair<std::string, std::string>> turns;  // earlier questions and answers, oldest first
  PromptForm form;
  RouteOptions route;
  int budget_tokens = 512;  // of the regions that the answer is generated over
  AnswerMode mode = AnswerMode::kReread;
};

// --- Task and Step ---------------------------------------------------------------------------------------------------

struct GeneratedToken {
  TokenId id = 0;
  float log_probability = 0;  // natural logarithm, of the model's distribution before sampling options
};

// A token of a given text.
struct ScoredToken {
  TokenId id = 0;
  std::optional<float> log_probability;  // natural logarithm; none where nothing is before the token
};

enum class TaskPhase { kReading, kRouting, kReranking, kPrompt, kGenerating };

// What one step did for one task.
struct StepResult {
  TaskPhase phase = TaskPhase::kReading;
  absl::Status status;                 // an error ends this task, and only this one
  std::int64_t tokens_read = 0;        // segment or prompt tokens read by this step
  std::vector<GeneratedToken> tokens;  // generated by this step (none or one)
  std::vector<ScoredToken> scored;     // Score: of the text, in order
  std::string text;                    // answer text that became certain: whole characters, no part of a stop text
  bool finished = false;
  FinishReason finish_reason = FinishReason::kNone;  // generation only
  std::shared_ptr<const Evidence> evidence;          // Search and Answer: in the step that has found it
};

class TaskImpl;

// Movable. Dropping it between two steps frees what it holds and leaves the memory as it was, or one whole segment
// further.
class Task {
 public:
  // Reads `tokens` into `memory`, a segment in each step; the last may be shorter. `memory` outlives the task, which is
  // its only writer. At most segment_tokens in each step; segments count from the task's first token. `spans`: where
  // the bytes of each token are; all of one document. Without them the tokens go on in document 0 with their own bytes.
  static Task Read(Memory* memory, std::vector<TokenId> tokens, std::vector<TokenSpan> spans = {});

  // Answers `prompt` over a fork of a memory. INVALID_ARGUMENT when prompt and max_tokens do not fit the model's
  // context beside what the memory keeps (the message has the numbers). An empty prompt is refused.
  static absl::StatusOr<Task> Generate(Memory fork, std::vector<TokenId> prompt, GenerationOptions options);

  // Finds the regions of what `fork` has read that `question` asks for. The last step's result has the evidence.
  // INVALID_ARGUMENT for a question without tokens, or one that does not fit the context beside the memory.
  static absl::StatusOr<Task> Search(Memory fork, PendingText pending, std::string question, RouteOptions options);

  // Search, then an answer generated over what was found. kReread: the text prefilled anew, best passage last, with the
  // question. kAttend: the keys and values of the sink and of the regions that sink, window or region memory still
  // hold, in the order of the text; after them the text of the other regions, as above, and the question.
  // INVALID_ARGUMENT for a budget below a region or beyond the context, for kWindow (which finds nothing: see
  // Generate), and, when what was found is known, for a prompt that does not fit the context.
  static absl::StatusOr<Task> Answer(Memory fork, PendingText pending, Question question, GenerationOptions options);

  // How likely the model finds the tokens of `text` after what `fork` has read and `pending`: reads both into the fork,
  // a segment in each step. INVALID_ARGUMENT for a text without tokens.
  static absl::StatusOr<Task> Score(Memory fork, PendingText pending, const std::string& text);

  Task(Task&&) noexcept;
  Task& operator=(Task&&) noexcept;
  ~Task();

  bool finished() const;
  // Tokens still to be read before the first answer token, or before the end of a Read.
  std::int64_t tokens_left_to_read() const;
  // True once the prompt is read: steps are then short and batch with those of other tasks.
  bool decoding() const;

  TaskImpl* impl() const { return impl_.get(); }

 private:
  explicit Task(std::unique_ptr<TaskImpl> impl);
  std::unique_ptr<TaskImpl> impl_;
};

// One forward pass for several unfinished tasks of one model, of any kinds: a Read advances by a segment, a Generate by
// a chunk of its prompt or by one token. Decoding tasks share one pass over the weights. The result of a task does not
// depend on which others are in the batch. Result i belongs to task i. A failing task fails alone, also where it makes
// the shared pass throw: the others then have passes of their own.
std::vector<StepResult> Step(absl::Span<Task* const> tasks);

}  // namespace tome

#endif  // TOME_ENGINE_ENGINE_H_
