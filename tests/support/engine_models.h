// Models that engine and server tests share. Each is loaded once in a test program.
#ifndef TOME_TESTS_SUPPORT_ENGINE_MODELS_H_
#define TOME_TESTS_SUPPORT_ENGINE_MODELS_H_

#include <filesystem>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace tome::testing {

// Loads a tiny random model; ends the test program when that fails.
inline std::shared_ptr<const Model> LoadTinyModel(const TinyModelOptions& options = {},
                                                  Precision precision = Precision::kFp32) {
  const TempDir folder;
  WriteTinyModel(folder.path(), options);
  absl::StatusOr<std::shared_ptr<const Model>> model =
      Model::Load({.path = folder.path().string(), .precision = precision, .num_threads = 2});
  if (!model.ok()) {
    fprintf(stderr, "tiny model: %s\n", model.status().ToString().c_str());
    std::abort();
  }
  return *std::move(model);
}

// Files that scripts/setup.sh and CI provide.
inline std::string SmolLm2Path() { return std::string(TOME_DEPS_DIR) + "/models/SmolLM2-135M-Instruct.Q4_1.gguf"; }
inline std::string SharedDataPath(const std::string& name) {
  return std::string(TOME_SOURCE_DIR) + "/../shared/data/" + name;
}

}  // namespace tome::testing

// Skips the test, with the reason, when a file is not there.
#define TOME_SKIP_WITHOUT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << (path) << " is not on this machine"

#endif  // TOME_TESTS_SUPPORT_ENGINE_MODELS_H_
