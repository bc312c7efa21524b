// Options that the commands of tome-eval share.
#ifndef TOME_ENGINE_EVALUATION_COMMANDS_COMMAND_OPTIONS_H_
#define TOME_ENGINE_EVALUATION_COMMANDS_COMMAND_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/evaluation/questions/finding.h"
#include "engine/evaluation/questions/needles.h"
#include "engine/evaluation/questions/reading.h"

namespace tome {

inline void AddModelOptions(CLI::App* command, ModelOptions* model) {
  command->add_option("--model", model->path, "Model file or folder")->required();
  command->add_option("--tokenizer", model->tokenizer_path, "Vocabulary file of a llama2.c model");
  command->add_option("--threads", model->num_threads, "Compute threads; 0: one for each core")->capture_default_str();
}

struct CommonOptions {
  ModelOptions model;
  MemoryOptions memory;
  ChosenMemoryOptions chosen;
  std::string json_path;
  std::string state_path;

  void Add(CLI::App* command) {
    AddModelOptions(command, &model);
    command->add_option("--window", memory.window_tokens, "Tokens of the exact window")
        ->capture_default_str()
        ->each([this](const std::string&) { chosen.window_tokens = true; });
    command->add_option("--region", memory.region_tokens, "Tokens of a region")
        ->capture_default_str()
        ->each([this](const std::string&) { chosen.region_tokens = true; });
    command
        ->add_option_function<std::string>(
            "--region-memory",
            [this](const std::string& settings) {
              const absl::StatusOr<RegionMemoryOptions> regions = ParseRegionMemoryOptions(settings);
              if (!regions.ok()) throw CLI::ValidationError("--region-memory", std::string(regions.status().message()));
              memory.regions = *regions;
              chosen.regions = true;
            },
            "Settings of the region memory; off: none; as the service has it unless given")
        ->default_str(FormatRegionMemoryOptions(memory.regions));
    command
        ->add_option_function<std::string>(
            "--precision", [this](const std::string& name) { model.precision = *ParsePrecision(name); },
            "What the model computes in: auto (the fastest on these cores), fp32, bf16")
        ->default_str("auto")
        ->check(CLI::IsMember({"auto", "fp32", "bf16"}));
    command->add_option("--json", json_path, "Write all figures to this file");
  }
  // Sets `memory` to what suits the model where nothing else was asked for.
  absl::StatusOr<std::shared_ptr<const Model>> LoadModel() {
    TOME_ASSIGN_OR_RETURN(auto loaded, Model::Load(model));
    const ModelInfo& info = loaded->info();
    for (const std::string& warning : info.warnings) fmt::print(stderr, "warning: {}\n", warning);
    TOME_ASSIGN_OR_RETURN(memory, FitMemoryOptions(memory, chosen, info.config, info.precision));
    return loaded;
  }
  absl::Status WriteJson(const nlohmann::json& figures) const {
    return json_path.empty() ? absl::OkStatus() : WriteTextFile(json_path, figures.dump(1) + "\n");
  }
};

struct NeedleOptions {
  int verbatim = 0, paraphrased = 0;
  std::string facts = "evaluation";
  std::uint64_t seed = 1;

  std::vector<Needle> Make() const {
    std::vector<Needle> needles = MakeVerbatimNeedles(verbatim, seed);
    for (Needle& needle : MakeParaphrasedNeedles(paraphrased, *ParseFactSet(facts))) {
      needles.push_back(std::move(needle));
    }
    return needles;
  }
};

inline void AddNeedleOptions(CLI::App* command, NeedleOptions* options) {
  command->add_option("--needles", options->verbatim, "Needles that repeat the question's words")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000));
  command->add_option("--paraphrased", options->paraphrased, "Needles that share no word with the question")
      ->capture_default_str()
      ->check(CLI::Range(0, kFactsInSet));
  command->add_option("--facts", options->facts, "Which of three sets of such needles: judge with evaluation")
      ->capture_default_str()
      ->check(CLI::IsMember({"calibration", "development", "evaluation"}));
  command->add_option("--seed", options->seed, "Of needles and places")->capture_default_str();
}

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_COMMANDS_COMMAND_OPTIONS_H_
