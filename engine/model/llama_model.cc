#include "engine/model/llama_model.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <sched.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <string>

#include "engine/base/cpu_features.h"
#include "engine/base/digest.h"
#include "engine/base/status.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/checkpoint/huggingface/foreign_folder.h"
#include "engine/files/spill_folder.h"
#include "engine/kernels/cpu/kernels.h"
#include "engine/model/adapted_weights.h"
#include "engine/model/guard.h"
#include "engine/model/position_encoding.h"

namespace tome {
namespace {

struct ChosenPrecision {
  Precision precision;
  std::string reason;
};

ChosenPrecision ChoosePrecision(Precision wanted, Device device) {
  if (wanted != Precision::kAuto) return {wanted, "asked for"};
  if (device == Device::kCuda) return {Precision::kBf16, "tensor cores multiply bf16"};
  const CpuFeatureSet& cpu = GetCpuFeatures();
  if (cpu.amx_bf16) return {Precision::kBf16, "this CPU multiplies bf16 with AMX"};
  if (cpu.avx512_bf16) return {Precision::kBf16, "this CPU multiplies bf16 with AVX-512"};
  return {Precision::kFp32,
          fmt::format("this CPU has no bf16 instructions ({}), and fp32 is faster without them", cpu.Describe())};
}

int UsableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

std::string DescribeDecodeWeights(const LlamaWeights& weights) {
  if (!weights.device.is_cpu()) return "as prefill";
  return fmt::format("layers {}, output {}, {} kernels with fp32 sums", weights.layers[0].down.packed().Description(),
                     weights.output().packed().Description(), GetCpuKernels().name);
}

std::int64_t CountParameters(const Checkpoint& checkpoint) {
  std::int64_t total = 0;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    std::int64_t count = 1;
    for (const std::int64_t size : tensor.shape) count *= size;
    total += count;
  }
  return total;
}

}  // namespace

absl::StatusOr<Device> ParseDevice(std::string_view name) {
  if (name == "cpu") return Device::kCpu;
  if (name == "cuda") return Device::kCuda;
  return InvalidArgument("unknown device '{}': expected cpu or cuda", name);
}

absl::StatusOr<Precision> ParsePrecision(std::string_view name) {
  if (name == "auto") return Precision::kAuto;
  if (name == "fp32") return Precision::kFp32;
  if (name == "bf16") return Precision::kBf16;
  return InvalidArgument("unknown precision '{}': expected auto, fp32 or bf16", name);
}

std::string_view DeviceName(Device device) { return device == Device::kCuda ? "cuda" : "cpu"; }

std::string_view PrecisionName(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return "fp32";
    case Precision::kBf16:
      return "bf16";
    case Precision::kAuto:
      break;
  }
  return "auto";
}

std::string CpuFeatures() { return GetCpuFeatures().Describe(); }

std::string EngineBuildInfo() {
#ifdef TOME_CUDA
  const char* build = "CPU and CUDA build";
#else
  const char* build = "CPU build";
#endif
  return fmt::format("libtorch {}, {}", TORCH_VERSION, build);
}

namespace {

absl::StatusOr<std::shared_ptr<const Model>> LoadLlama(const ModelOptions& options) {
  if (options.num_threads < 0 || options.num_threads > 1024) {
    return InvalidArgument("num_threads: expected 0 to 1024, found {}", options.num_threads);
  }
  if (options.device == Device::kCuda && !at::hasCUDA()) {
    return FailedPrecondition("device cuda: {}; use device cpu",
#ifdef TOME_CUDA
                              "no CUDA device was found on this machine"
#else
                              "this build has no CUDA (build the preset 'cuda')"
#endif
    );
  }
  TOME_ASSIGN_OR_RETURN(const std::shared_ptr<const Checkpoint> checkpoint,
                        Checkpoint::Open({.path = options.path, .tokenizer_path = options.tokenizer_path}));
  if (checkpoint->tokenizer().kind == TokenizerKind::kNone) {
    return InvalidArgument("{}: the model has no tokenizer{}", options.path, DescribeForeignTokenizer(options.path));
  }
  TOME_ASSIGN_OR_RETURN(std::shared_ptr<const Tokenizer> tokenizer, Tokenizer::Create(checkpoint->tokenizer()));
  const LlamaConfig& config = checkpoint->config();
  if (tokenizer->vocab_size() > config.vocab_size) {
    return InvalidArgument("{}: the tokenizer has {} pieces, more than the model's vocabulary of {}", options.path,
                           tokenizer->vocab_size(), config.vocab_size);
  }

  at::set_num_threads(options.num_threads > 0 ? options.num_threads : UsableCores());
  const ChosenPrecision chosen = ChoosePrecision(options.precision, options.device);
  TOME_ASSIGN_OR_RETURN(LlamaWeights weights,
                        LoadWeights(*checkpoint, chosen.precision == Precision::kBf16 ? at::kBFloat16 : at::kFloat,
                                    options.device == Device::kCuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU)));

  ModelInfo info;
  info.config = config;
  info.path = options.path;
  info.format = std::string(checkpoint->format());
  info.model_digest = checkpoint->ComputeDigest();
  info.tokenizer_digest = tokenizer->digest();
  TOME_ASSIGN_OR_RETURN(ModelProfile profile,
                        LoadModelProfile(options.profile_path, options.path, info.model_digest, config));
  info.profile_digest = Sha256Hex(FormatModelProfile(profile));
  info.num_parameters = CountParameters(*checkpoint);
  info.device = options.device;
  info.precision = chosen.precision;
  info.precision_reason = chosen.reason;
  info.decode_weights = DescribeDecodeWeights(weights);
  info.weight_bytes = weights.bytes();
  info.num_threads = at::get_num_threads();
  info.chat_template = DetectChatTemplate(*tokenizer);
  info.warnings = checkpoint->warnings();
  std::shared_ptr<SpillFolder> spill_folder;
  if (!options.archive_folder.empty()) {
    spill_folder = std::make_shared<SpillFolder>(options.archive_folder, options.archive_resident_bytes);
  }
  return std::make_shared<LlamaModel>(std::move(info), std::move(tokenizer), std::move(weights), std::move(profile),
                                      std::move(spill_folder));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Model>> Model::Load(const ModelOptions& options) {
  return Guarded([&] { return LoadLlama(options); });
}

absl::StatusOr<std::shared_ptr<const Model>> LlamaModel::WithEncoding(std::shared_ptr<const Model> model,
                                                                      const std::string& encoding) {
  if (encoding.empty()) return model;
  const LlamaModel& base = From(*model);
  TOME_ASSIGN_OR_RETURN(const LlamaConfig config, WithPositionEncoding(encoding, base.info_.config));
  const std::scoped_lock lock(base.views_->mutex);
  auto& views = base.views_->by_encoding;
  std::erase_if(views, [](const auto& view) { return view.second.expired(); });
  if (std::shared_ptr<const Model> known = views[encoding].lock()) return known;
  auto view = std::make_shared<LlamaModel>(base);
  view->info_.config = config;
  view->weights_.config = config;
  view->weights_.rope = RopeTable::Make(config, config.context_length, base.weights_.device);
  view->adapted_ = std::make_shared<Adapted>();
  views[encoding] = view;
  return view;
}

absl::StatusOr<std::shared_ptr<const LlamaWeights>> LlamaModel::AdaptedWeights(
    const std::shared_ptr<const Adapter>& adapter) const {
  if (adapter == nullptr) return nullptr;
  const std::scoped_lock lock(adapted_->mutex);
  auto& known = adapted_->by_adapter;
  std::erase_if(known, [](const auto& item) { return item.first.expired(); });
  if (const auto found = known.find(adapter); found != known.end()) return found->second;
  TOME_ASSIGN_OR_RETURN(LlamaWeights weights, Guarded([&] { return WithAdapter(weights_, *adapter); }));
  return known[adapter] = std::make_shared<const LlamaWeights>(std::move(weights));
}

}  // namespace tome
