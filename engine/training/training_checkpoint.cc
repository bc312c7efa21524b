#include "engine/training/training_checkpoint.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/adapter/peft_writer.h"
#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "engine/checkpoint/contents/json_reader.h"
#include "engine/checkpoint/huggingface/safetensors.h"
#include "engine/checkpoint/huggingface/safetensors_writer.h"
#include "engine/files/file_replacement.h"
#include "engine/files/mapped_file.h"

namespace tome {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kName = "checkpoint-", kUnfinished = ".new", kAdapterPrefix = "base_model.model.";
constexpr char kOptimizerFile[] = "optimizer.safetensors", kPlaceFile[] = "training.json";
constexpr int kFormat = 1;

std::vector<TensorToWrite> OptimizerTensors(const AdamW& optimizer) {
  std::vector<TensorToWrite> tensors;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    tensors.push_back({name, tensor.sizes().vec(), [tensor] { return Floats(tensor); }});
  };
  for (std::size_t i = 0; i < optimizer.parameters().size(); ++i) {
    add("first." + optimizer.parameters()[i].name, optimizer.state().first[i]);
    add("second." + optimizer.parameters()[i].name, optimizer.state().second[i]);
  }
  return tensors;
}

std::string FormatPlace(const TrainingPlace& place, const AdamW& optimizer) {
  const nlohmann::json json = {{"format", kFormat},
                               {"steps", place.steps},
                               {"tokens", place.tokens},
                               {"optimizer_steps", optimizer.state().steps},
                               {"identity", place.identity}};
  return json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

absl::Status FileError(const fs::path& path, std::string_view action, const std::error_code& error) {
  return ErrnoStatus(path.string(), action, error.value());
}

// Numbers with as many digits as the largest compare as texts; so do these for fewer than 10^9 steps.
std::string NameOf(std::int64_t steps) { return fmt::format("{}{:09}", kName, steps); }

std::vector<fs::path> Checkpoints(const std::string& folder, bool unfinished) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(kName) && name.ends_with(kUnfinished) == unfinished) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

absl::Status Take(const TensorMap& tensors, const std::string& name, const at::Tensor& target,
                  const std::string& source) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) return InvalidArgument("{}: tensor {} is missing", source, Quote(name));
  const CheckpointTensor& tensor = found->second;
  if (tensor.type != TensorType::kF32 || tensor.shape != target.sizes().vec()) {
    return InvalidArgument("{}: tensor {}: expected F32 of shape {}, found {} of {}", source, Quote(name),
                           ShapeText(target.sizes().vec()), TensorTypeName(tensor.type), ShapeText(tensor.shape));
  }
  const at::Tensor values = at::empty(target.sizes(), at::kFloat);
  std::memcpy(values.mutable_data_ptr<float>(), tensor.data.data(), tensor.data.size());
  target.detach().copy_(values);
  return absl::OkStatus();
}

absl::StatusOr<TrainingPlace> ReadPlace(const std::string& path, std::int64_t* optimizer_steps) {
  TOME_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path));
  TOME_ASSIGN_OR_RETURN(const nlohmann::json object, ParseJsonObject(file->view(), path));
  const JsonFields fields(object, path);
  TOME_RETURN_IF_ERROR(fields.Integer("format", kFormat, kFormat).status());
  TrainingPlace place;
  TOME_ASSIGN_OR_RETURN(place.steps, fields.Integer("steps", 0, INT64_MAX));
  TOME_ASSIGN_OR_RETURN(place.tokens, fields.Integer("tokens", 0, INT64_MAX));
  TOME_ASSIGN_OR_RETURN(*optimizer_steps, fields.Integer("optimizer_steps", 0, INT64_MAX));
  TOME_ASSIGN_OR_RETURN(const JsonFields identity, fields.Object("identity"));
  if (const nlohmann::json* known = fields.Find("identity")) {
    for (const auto& [name, value] : known->items()) {
      TOME_ASSIGN_OR_RETURN(place.identity[name], identity.String(name));
    }
  }
  return place;
}

absl::Status CheckIdentity(const std::map<std::string, std::string>& known,
                           const std::map<std::string, std::string>& wanted, const std::string& source) {
  for (const auto& [name, value] : wanted) {
    const auto found = known.find(name);
    const std::string old = found == known.end() ? "nothing" : found->second;
    if (old == value) continue;
    return FailedPrecondition(
        "{}: the run was begun with {} {}, and is to go on with {}: give what it was, or another output folder", source,
        name, old, value);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteTrainingCheckpoint(const std::string& folder, const Trainable& trainable, const AdamW& optimizer,
                                     const TrainingPlace& place, const LlamaConfig& config) {
  const std::vector<fs::path> older = Checkpoints(folder, /*unfinished=*/false);
  const fs::path target = fs::path(folder) / NameOf(place.steps);
  const fs::path unfinished = target.string() + std::string(kUnfinished);
  std::error_code error;
  fs::remove_all(unfinished, error);
  fs::create_directories(unfinished, error);
  if (error) return FileError(unfinished, "make the folder", error);
  TOME_RETURN_IF_ERROR(WritePeftAdapter(unfinished.string(), trainable.Contents(), config, {}));
  TOME_RETURN_IF_ERROR(
      WriteSafetensors((unfinished / kOptimizerFile).string(), OptimizerTensors(optimizer), TensorType::kF32));
  TOME_RETURN_IF_ERROR(ReplaceFile((unfinished / kPlaceFile).string(), FormatPlace(place, optimizer)));
  if (fs::exists(target, error)) fs::remove_all(target, error);
  fs::rename(unfinished, target, error);
  if (error) return FileError(target, "rename", error);
  for (const fs::path& path : older) {
    if (path != target) fs::remove_all(path, error);
  }
  return absl::OkStatus();
}

std::optional<std::string> FindTrainingCheckpoint(const std::string& folder) {
  std::error_code ignored;
  for (const fs::path& path : Checkpoints(folder, /*unfinished=*/true)) fs::remove_all(path, ignored);
  const std::vector<fs::path> found = Checkpoints(folder, /*unfinished=*/false);
  return found.empty() ? std::nullopt : std::optional(found.back().string());
}

absl::StatusOr<TrainingPlace> RestoreTrainingCheckpoint(const std::string& checkpoint,
                                                        const std::map<std::string, std::string>& identity,
                                                        const Trainable& trainable, AdamW* optimizer) {
  const c10::NoGradGuard no_gradients;
  const std::string place_path = (fs::path(checkpoint) / kPlaceFile).string();
  AdamW::State state = optimizer->state();
  TOME_ASSIGN_OR_RETURN(TrainingPlace place, ReadPlace(place_path, &state.steps));
  TOME_RETURN_IF_ERROR(CheckIdentity(place.identity, identity, place_path));
  const std::string adapter_path = (fs::path(checkpoint) / "adapter_model.safetensors").string();
  TOME_ASSIGN_OR_RETURN(const auto adapter_file, MappedFile::Open(adapter_path));
  TOME_ASSIGN_OR_RETURN(const TensorMap adapter, ParseSafetensors(adapter_file->view(), adapter_path));
  const std::string optimizer_path = (fs::path(checkpoint) / kOptimizerFile).string();
  TOME_ASSIGN_OR_RETURN(const auto optimizer_file, MappedFile::Open(optimizer_path));
  TOME_ASSIGN_OR_RETURN(const TensorMap moments, ParseSafetensors(optimizer_file->view(), optimizer_path));
  for (std::size_t i = 0; i < trainable.parameters().size(); ++i) {
    const NamedParameter& parameter = trainable.parameters()[i];
    TOME_RETURN_IF_ERROR(Take(adapter, std::string(kAdapterPrefix) + parameter.name, parameter.tensor, adapter_path));
    TOME_RETURN_IF_ERROR(Take(moments, "first." + parameter.name, state.first[i], optimizer_path));
    TOME_RETURN_IF_ERROR(Take(moments, "second." + parameter.name, state.second[i], optimizer_path));
  }
  optimizer->Restore(state);
  return place;
}

}  // namespace tome
