#include "tests/fuzz/memory_state_target.h"

#include <utility>

#include "engine/engine.h"
#include "engine/generation/prompt_form.h"
#include "tests/fuzz/require.h"
#include "tests/support/tiny_profile.h"

namespace tome::testing {
namespace {

const std::shared_ptr<const Model>& FuzzModel() {
  static const auto& model = *new auto(LoadTinyModelWithProfile(8,
                                                                {.num_layers = 2,
                                                                 .hidden_size = 16,
                                                                 .num_heads = 4,
                                                                 .num_kv_heads = 2,
                                                                 .head_dim = 8,
                                                                 .ffn_size = 16,
                                                                 .context_length = 256},
                                                                1));
  return model;
}

absl::Status Finish(Task task) {
  Task* tasks[] = {&task};
  absl::Status status;
  while (!task.finished()) status.Update(Step(tasks)[0].status);
  return status;
}

std::vector<TokenId> SomeTokens(int count, int seed) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((seed * 31 + i * i % 101) % 256);
  return tokens;
}

void ReadDocument(Memory* memory, std::uint32_t ordinal, int count) {
  std::vector<TokenSpan> spans;
  for (int i = 0; i < count; ++i) {
    // The last token stands for many bytes.
    const std::uint32_t size = i + 1 == count ? 1000 : 1;
    spans.push_back({.document = ordinal, .num_bytes = size, .begin = static_cast<ByteOffset>(i)});
  }
  const absl::Status status =
      Finish(Task::Read(memory, SomeTokens(count, static_cast<int>(ordinal)), std::move(spans)));
  Require(status.ok(), status.ToString());
}

// Options that differ in what they write.
std::vector<MemoryOptions> Kinds() {
  const MemoryOptions base = {
      .sink_tokens = 3,
      .window_tokens = 16,
      .segment_tokens = 8,
      .region_tokens = 8,
      .regions = {.selected = 2, .query_region_tokens = 4, .ring_regions = 2, .pool_regions = 2}};
  std::vector<MemoryOptions> kinds(5, base);
  kinds[0].regions.selected = 0;
  kinds[1].regions.precision = RegionPrecision::kComputed;
  kinds[2].regions.precision = RegionPrecision::kInt8;
  kinds[3].regions.retention = RetentionScore::kSurprise;
  kinds[3].regions.compression = RegionCompression::kMerge;
  kinds[4].regions.retention = RetentionScore::kExpected;
  kinds[4].regions.compression = RegionCompression::kMerge;
  return kinds;
}

// Without checksums other bytes may be taken, but then only these differ from what is written.
void RequireCanonical(const Memory& memory, std::string_view bytes) {
  const std::string written = memory.Serialize();
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  Require(written.size() == bytes.size(), "the length changed");
  const absl::StatusOr<Memory> again = Memory::Parse(FuzzModel(), written);
  Require(again.ok() && again->Serialize() == written, "what was written is not what is read");
#else
  Require(written == bytes, "the bytes changed");
#endif
}

}  // namespace

bool RunMemoryState(std::string_view bytes) {
  absl::StatusOr<Memory> memory = Memory::Parse(FuzzModel(), bytes);
  if (!memory.ok()) {
    Require(absl::IsDataLoss(memory.status()) || absl::IsFailedPrecondition(memory.status()),
            memory.status().ToString());
    return false;
  }
  RequireCanonical(*memory, bytes);
  const ModelInfo& info = FuzzModel()->info();
  Require(memory->state_bytes() <= Memory::MaxStateBytes(info.config, memory->options(), info.precision),
          "the state is larger than it may become");
  const std::string digest = memory->Digest();
  absl::StatusOr<Task> question =
      Task::Answer(*memory, {}, {.text = "Who?", .form = RawPromptForm(), .budget_tokens = 64}, {.max_tokens = 2});
  // Numbers near the limits of their type may fail a step, never the program.
  if (question.ok()) Finish(*std::move(question)).IgnoreError();
  Require(memory->Digest() == digest, "a question changed the memory");
  const absl::Status read = Finish(Task::Read(&*memory, SomeTokens(memory->options().segment_tokens, 7)));
  Require(read.ok() || memory->Digest() == digest, "a failed read changed the memory");
  return true;
}

std::vector<std::string> MemoryStateSeeds() {
  std::vector<std::string> seeds;
  for (const MemoryOptions& options : Kinds()) {
    Memory memory = *Memory::Create(FuzzModel(), options);
    seeds.push_back(memory.Serialize());
    ReadDocument(&memory, 0, 9);
    seeds.push_back(memory.Serialize());
    ReadDocument(&memory, 1, 50);
    ReadDocument(&memory, 2, 1);
    seeds.push_back(memory.Serialize());
  }
  return seeds;
}

}  // namespace tome::testing
