#include "tests/server/tiny_server_model.h"

#include <algorithm>
#include <random>
#include <utility>

#include "engine/base/utf8.h"
#include "gtest/gtest.h"
#include "tests/support/tiny_profile.h"

namespace tome::testing {

std::shared_ptr<const Model> TinyServerModel() {
  static const auto& model = *new auto(LoadTinyModelWithProfile(8, {.context_length = 1024, .seed = 1}, 1));
  return model;
}

std::shared_ptr<const Model> SpillingServerModel(const std::string& folder, std::size_t archive_resident_bytes) {
  return LoadTinyModelWithProfile(8, {.context_length = 1024, .seed = 1}, 1,
                                  {.archive_folder = folder, .archive_resident_bytes = archive_resident_bytes});
}

std::shared_ptr<const Model> TokenlessServerModel() {
  static const auto& model = *new auto(LoadTinyModelWithProfile(
      8, {.context_length = 1024, .seed = 1, .missing_bytes = std::string(kTokenlessBytes)}, 1));
  return model;
}

std::shared_ptr<const Model> OtherTinyServerModel() {
  static const auto& model = *new auto(LoadTinyModelWithProfile(8, {.context_length = 1024, .seed = 2}, 1));
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

namespace {

struct TokensOfText {
  std::vector<TokenId> tokens;
  std::vector<TokenSpan> spans;
};

TokensOfText Tokenize(const Tokenizer& tokenizer, std::uint32_t document, const std::string& text,
                      const std::function<ByteOffset(ByteOffset)>& to_stored) {
  TokensOfText result;
  if (document == 0 && tokenizer.add_bos()) {
    result.tokens.push_back(*tokenizer.bos());
    result.spans.push_back({});
  }
  ByteOffset text_end = 0, begin = 0;
  for (const TextToken& token : tokenizer.Encode(text)) {
    text_end += token.num_bytes;
    ByteOffset character_end = text_end;
    while (!IsValidUtf8(text.substr(character_end))) --character_end;
    const ByteOffset end = to_stored(character_end);
    result.tokens.push_back(token.id);
    result.spans.push_back(
        {.document = document, .num_bytes = static_cast<std::uint32_t>(end - begin), .begin = begin});
    begin = end;
  }
  return result;
}

}  // namespace

Memory ReadWithEngine(const std::shared_ptr<const Model>& model, const std::vector<std::string>& documents,
                      const MemoryOptions& options, bool whole_segments_only,
                      const std::function<ByteOffset(ByteOffset)>& to_stored) {
  Memory memory = Memory::Create(model, options).value();
  for (std::size_t i = 0; i < documents.size(); ++i) {
    TokensOfText text = Tokenize(*model->tokenizer(), static_cast<std::uint32_t>(i), documents[i], to_stored);
    if (whole_segments_only && i + 1 == documents.size()) {
      text.tokens.resize(text.tokens.size() / options.segment_tokens * options.segment_tokens);
      text.spans.resize(text.tokens.size());
    }
    Task task = Task::Read(&memory, std::move(text.tokens), std::move(text.spans));
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
