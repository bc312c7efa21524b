#include "engine/adapter/peft_writer.h"

#include <filesystem>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/checkpoint/huggingface/safetensors_writer.h"
#include "engine/files/file_replacement.h"
#include "nlohmann/json.hpp"

namespace tome {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPrefix = "base_model.model.";

template <typename Visit>
void VisitPairs(const AdapterContents& contents, const Visit& visit) {
  for (std::size_t layer = 0; layer < contents.layers.size(); ++layer) {
    for (const AdaptedMatrix matrix : kAdaptedMatrices) {
      const LowRankPair& pair = contents.Pair(static_cast<std::int64_t>(layer), matrix);
      if (pair.rank > 0) visit(static_cast<std::int64_t>(layer), matrix, pair);
    }
  }
}

// Rank and alpha, as PEFT has them.
using Setting = std::pair<std::int64_t, double>;
Setting SettingOf(const LowRankPair& pair) { return {pair.rank, pair.scale * static_cast<double>(pair.rank)}; }

// The one that most pairs have; those of the others are written as patterns.
Setting MostUsual(const AdapterContents& contents) {
  std::map<Setting, int> counts;
  VisitPairs(contents, [&](std::int64_t, AdaptedMatrix, const LowRankPair& pair) { ++counts[SettingOf(pair)]; });
  Setting best = {8, 8};
  int most = 0;
  for (const auto& [setting, count] : counts) {
    if (count > most) std::tie(best, most) = std::pair(setting, count);
  }
  return best;
}

// "q_proj" where all layers have it, else the module's whole name. PEFT compares the ends of names.
Json TargetModules(const AdapterContents& contents) {
  std::map<AdaptedMatrix, std::size_t> layers;
  VisitPairs(contents, [&](std::int64_t, AdaptedMatrix matrix, const LowRankPair&) { ++layers[matrix]; });
  Json targets = Json::array();
  for (const auto& [matrix, count] : layers) {
    if (count == contents.layers.size()) targets.push_back(AdaptedMatrixName(matrix));
  }
  VisitPairs(contents, [&](std::int64_t layer, AdaptedMatrix matrix, const LowRankPair&) {
    if (layers[matrix] != contents.layers.size()) targets.push_back(ModuleName(layer, matrix));
  });
  return targets;
}

// Whole names: "norm" alone would hit every norm.
Json ModulesToSave(const AdapterContents& contents) {
  if (contents.trained.empty()) return nullptr;
  Json modules = Json::array();
  for (const auto& [name, values] : contents.trained) modules.push_back(name.substr(0, name.rfind('.')));
  return modules;
}

std::vector<TensorToWrite> Tensors(const AdapterContents& contents, const LlamaConfig& config) {
  std::vector<TensorToWrite> tensors;
  VisitPairs(contents, [&](std::int64_t layer, AdaptedMatrix matrix, const LowRankPair& pair) {
    const MatrixShape shape = ShapeOf(matrix, config);
    const std::string name = std::string(kPrefix) + ModuleName(layer, matrix);
    tensors.push_back({name + ".lora_A.weight", {pair.rank, shape.columns}, [&pair] { return pair.a; }});
    tensors.push_back({name + ".lora_B.weight", {shape.rows, pair.rank}, [&pair] { return pair.b; }});
  });
  for (const auto& [name, values] : contents.trained) {
    const std::vector<float>* kept = &values;
    tensors.push_back({std::string(kPrefix) + name, *TrainableTensorShape(name, config), [kept] { return *kept; }});
  }
  return tensors;
}

}  // namespace

std::string FormatPeftConfig(const AdapterContents& contents, const PeftWriting& writing) {
  const auto [rank, alpha] = MostUsual(contents);
  Json ranks = Json::object(), alphas = Json::object();
  VisitPairs(contents, [&, usual_rank = rank, usual_alpha = alpha](std::int64_t layer, AdaptedMatrix matrix,
                                                                   const LowRankPair& pair) {
    const Setting own = SettingOf(pair);
    if (own.first != usual_rank) ranks[ModuleName(layer, matrix)] = own.first;
    if (own.second != usual_alpha) alphas[ModuleName(layer, matrix)] = own.second;
  });
  Json config = {{"peft_type", "LORA"},
                 {"task_type", "CAUSAL_LM"},
                 {"base_model_name_or_path", writing.base_model},
                 {"r", rank},
                 {"lora_alpha", alpha},
                 {"lora_dropout", writing.dropout},
                 {"target_modules", TargetModules(contents)},
                 {"bias", "none"},
                 {"use_rslora", false},
                 {"modules_to_save", ModulesToSave(contents)},
                 {"rank_pattern", ranks},
                 {"alpha_pattern", alphas},
                 {"fan_in_fan_out", false},
                 {"inference_mode", true}};
  if (contents.tied_output) config["ensure_weight_tying"] = true;  // older versions of PEFT do not know it
  return config.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::Status WritePeftAdapter(const std::string& folder, const AdapterContents& contents, const LlamaConfig& config,
                              const PeftWriting& writing) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Internal("{}: cannot make the folder: {}", folder, error.message());
  const std::filesystem::path path(folder);
  TOME_RETURN_IF_ERROR(WriteSafetensors((path / "adapter_model.safetensors").string(), Tensors(contents, config),
                                        writing.bf16 ? TensorType::kBF16 : TensorType::kF32));
  return ReplaceFile((path / "adapter_config.json").string(), FormatPeftConfig(contents, writing));
}

}  // namespace tome
