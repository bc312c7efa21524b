#include "tests/server/tiny_server_model.h"

#include <algorithm>
#include <random>
#include <utility>

#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace tome::testing {
namespace {

std::shared_ptr<const Model> LoadTinyModel(std::uint64_t seed) {
  const TempDir folder;
  WriteTinyModel(folder.path(), {.context_length = 1024, .seed = seed});
  absl::StatusOr<std::shared_ptr<const Model>> model =
      Model::Load({.path = folder.path().string(), .precision = Precision::kFp32, .num_threads = 1});
  if (!model.ok()) {
    ADD_FAILURE() << model.status();
    std::abort();
  }
  return *std::move(model);
}

}  // namespace

std::shared_ptr<const Model> TinyServerModel() {
  static const auto& model = *new std::shared_ptr<const Model>(LoadTinyModel(1));
  return model;
}

std::shared_ptr<const Model> OtherTinyServerModel() {
  static const auto& model = *new std::shared_ptr<const Model>(LoadTinyModel(2));
  return model;
}

std::string SomeText(std::size_t num_bytes, std::uint64_t seed) {
  static constexpr std::string_view kWords[] = {
      "the",  "lord", "said", "unto", "Moses",       "and",          "it",    "came",
      "pass", "42",   "of",   "land", "caf\xC3\xA9", "\xE4\xBA\xBA", "in.\n", "\xF0\x9F\x93\x96"};
  std::mt19937_64 random(seed);
  std::string text;
  while (text.size() < num_bytes) {
    const std::string_view word = kWords[random() % std::size(kWords)];
    if (text.size() + word.size() + 1 > num_bytes) {
      text += 'x';
    } else {
      text += word;
      text += ' ';
    }
  }
  return text;
}

Memory ReadWithEngine(const std::shared_ptr<const Model>& model, const std::vector<std::string>& documents,
                      const MemoryOptions& options, bool whole_segments_only) {
  Memory memory = Memory::Create(model, options).value();
  const Tokenizer& tokenizer = *model->tokenizer();
  bool started = false;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    std::vector<TokenId> tokens;
    for (const TextToken& token : tokenizer.Encode(documents[i])) {
      if (!std::exchange(started, true) && tokenizer.add_bos()) tokens.push_back(*tokenizer.bos());
      tokens.push_back(token.id);
    }
    if (whole_segments_only && i + 1 == documents.size())
      tokens.resize(tokens.size() / options.segment_tokens * options.segment_tokens);
    Task task = Task::Read(&memory, std::move(tokens));
    while (!task.finished()) {
      Task* const tasks[] = {&task};
      const std::vector<StepResult> results = Step(tasks);
      if (!results[0].status.ok()) {
        ADD_FAILURE() << results[0].status;
        std::abort();
      }
    }
  }
  return memory;
}

}  // namespace tome::testing
