// A tiny random model with a random profile, for tests of routing.
#ifndef TOME_TESTS_SUPPORT_TINY_PROFILE_H_
#define TOME_TESTS_SUPPORT_TINY_PROFILE_H_

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "engine/engine.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace tome::testing {

// A profile with random bases for heads (1, 0) and (0, 1) of TinyModelOptions' model.
inline ModelProfile RandomProfile(const ModelInfo& info, int code_bits, int code_dims = 8) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  ModelProfile profile{.model_digest = info.model_digest, .made_by = "a test", .code_bits = code_bits};
  const auto dim = static_cast<std::size_t>(info.config.head_dim);
  for (const auto& [layer, kv_head] : {std::pair(1, 0), std::pair(0, 1)}) {
    RetrievalHead head{.layer = layer, .kv_head = kv_head, .query_heads = {2 * kv_head, 2 * kv_head + 1}};
    for (std::size_t i = 0; i < dim; ++i) head.mean.push_back(0.1f * normal(random));
    for (std::size_t i = 0; i < dim * code_dims; ++i) head.basis.push_back(normal(random) / std::sqrt(float(dim)));
    for (std::size_t i = 0; i < dim * 3; ++i) head.background.push_back(normal(random));
    head.step.assign(code_dims, code_bits == 8 ? 0.01f : 0.15f);
    profile.heads.push_back(head);
  }
  return profile;
}

// Ends the test program when that fails. `archives`: where archives go; the rest of it is not looked at.
inline std::shared_ptr<const Model> LoadTinyModelWithProfile(int code_bits = 8, const TinyModelOptions& tiny = {},
                                                             int num_threads = 2, const ModelOptions& archives = {}) {
  const TempDir folder;
  WriteTinyModel(folder.path() / "model", tiny);
  const std::string path = (folder.path() / "model").string();
  const ModelOptions options = {.path = path,
                                .precision = Precision::kFp32,
                                .num_threads = num_threads,
                                .archive_folder = archives.archive_folder,
                                .archive_resident_bytes = archives.archive_resident_bytes};
  absl::StatusOr<std::shared_ptr<const Model>> model = Model::Load(options);
  if (model.ok()) {
    folder.Write("model.profile.json", FormatModelProfile(RandomProfile((*model)->info(), code_bits)));
    model = Model::Load(options);
  }
  if (!model.ok()) {
    fprintf(stderr, "tiny model: %s\n", model.status().ToString().c_str());
    std::abort();
  }
  return *std::move(model);
}

}  // namespace tome::testing

#endif  // TOME_TESTS_SUPPORT_TINY_PROFILE_H_
