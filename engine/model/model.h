// A model: weights and tokenizer, loaded once.
#ifndef TOME_ENGINE_MODEL_MODEL_H_
#define TOME_ENGINE_MODEL_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/checkpoint/contents/llama_config.h"
#include "engine/model/profiles/model_profile.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace tome {

class SpillFolder;  // see files/spill_folder.h

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

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_MODEL_H_
