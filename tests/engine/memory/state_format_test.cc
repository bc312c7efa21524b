#include "engine/memory/state_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "engine/base/crc32c.h"
#include "engine/engine.h"
#include "engine/memory/memory_state.h"
#include "engine/text/words/word_stems.h"
#include "tests/fuzz/memory_state_target.h"
#include "tests/support/engine_models.h"
#include "tests/support/old_state.h"
#include "tests/support/status_matchers.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

const testing::TinyModelOptions kShape = {.num_layers = 1, .hidden_size = 32, .num_heads = 2, .num_kv_heads = 1};

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel(kShape);
  return model;
}

const MemoryOptions kOptions = {.sink_tokens = 3, .window_tokens = 10, .segment_tokens = 4};

void Read(Memory* memory, int count, int seed) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((seed * 31 + i * 7) % 256);
  Task task = Task::Read(memory, tokens);
  Task* tasks[] = {&task};
  while (!task.finished()) ASSERT_THAT(Step(tasks)[0].status, IsOk());
}

// With and without region memory, in every form of it.
std::vector<MemoryOptions> AllKinds() {
  std::vector<MemoryOptions> all = {kOptions, kOptions};
  all[0].regions.selected = 0;
  const RegionMemoryOptions small = {
      .selected = 2, .query_region_tokens = 3, .merge = 1, .ring_regions = 2, .pool_regions = 2};
  for (const RegionPrecision precision : {RegionPrecision::kComputed, RegionPrecision::kBf16, RegionPrecision::kInt8}) {
    for (const RetentionScore score : {RetentionScore::kSelections, RetentionScore::kSurprise}) {
      MemoryOptions options = kOptions;
      options.region_tokens = 8;
      options.regions = small;
      options.regions.precision = precision;
      options.regions.retention = score;
      all.push_back(options);
    }
  }
  all.push_back(all.back());
  all.back().regions.precision = RegionPrecision::kBf16;
  all.back().regions.compression = RegionCompression::kMerge;
  return all;
}

TEST(StateFormat, RestoredAndContinuedEqualsNeverStopped) {
  for (const MemoryOptions& options : AllKinds())
    for (const int tokens : {0, 2, 3, 4, 13, 14, 57, 91}) {
      Memory memory = *Memory::Create(TinyModel(), options);
      Read(&memory, tokens, 1);
      const std::string bytes = memory.Serialize();
      TOME_ASSERT_OK_AND_ASSIGN(Memory restored, Memory::Parse(TinyModel(), bytes));
      EXPECT_EQ(restored.Serialize(), bytes);
      EXPECT_EQ(restored.tokens_read(), memory.tokens_read());
      EXPECT_EQ(restored.state_bytes(), memory.state_bytes());
      Read(&memory, 22, 2);
      Read(&restored, 22, 2);
      EXPECT_EQ(restored.Digest(), memory.Digest()) << tokens << " tokens";
    }
}

TEST(StateFormat, EveryFlippedByteAndEveryTruncationIsRefused) {
  MemoryOptions options = AllKinds().back();
  options.regions.ring_regions = options.regions.pool_regions = 1;
  Memory memory = *Memory::Create(TinyModel(), options);
  Read(&memory, 30, 3);
  ASSERT_EQ(memory.state()->regions().size(), 2);
  const std::string bytes = memory.Serialize();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x20);
    EXPECT_FALSE(Memory::Parse(TinyModel(), damaged).ok()) << "byte " << i;
    EXPECT_THAT(Memory::Parse(TinyModel(), bytes.substr(0, i)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("state")))
        << "length " << i;
  }
  EXPECT_THAT(Memory::Parse(TinyModel(), bytes + "x"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("")));
}

TEST(StateFormat, SeedsOfTheFuzzerAreTakenAndDamagedOnesRefused) {
  const std::vector<std::string> seeds = testing::MemoryStateSeeds();
  for (const std::string& seed : seeds) EXPECT_TRUE(testing::RunMemoryState(seed));
  std::mt19937 random(8);
  for (int round = 0; round < 300; ++round) {
    std::string bytes = seeds[random() % seeds.size()];
    bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    EXPECT_FALSE(testing::RunMemoryState(bytes));
  }
}

// A state of which one value is another, with the checksum of the part [begin, end) that it stands in.
std::string Patched(std::string bytes, std::size_t begin, std::size_t end, std::size_t at, std::string_view value) {
  bytes.replace(at, value.size(), value);
  const std::uint32_t crc = Crc32c(std::string_view(bytes).substr(begin, end - begin));
  return bytes.replace(end, 4, reinterpret_cast<const char*>(&crc), 4);
}
template <typename T>
std::string Raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

TEST(StateFormat, NonsenseWithSoundChecksumsIsRefused) {
  MemoryOptions options = AllKinds().back();
  options.regions.ring_regions = options.regions.pool_regions = 1;
  Memory memory = *Memory::Create(TinyModel(), options);
  Read(&memory, 30, 3);
  const std::string bytes = memory.Serialize();
  const ModelInfo& info = TinyModel()->info();
  // Magic and version, four texts, the shape, the version of stems, 13 options and two texts of options, 6 counts.
  const std::size_t identity = 12 + 4 * 8 + info.model_digest.size() + info.tokenizer_digest.size() +
                               info.profile_digest.size() + PrecisionName(info.precision).size() + 3 * 8 + 8 +
                               WordStemsVersion().size();
  const std::size_t texts = 2 * 8 + options.attention.size() + options.position_encoding.size();
  const std::size_t counts = identity + 13 * 4 + texts, header = counts + 6 * 8, layer = header + 4;
  const std::size_t values = info.config.num_kv_heads * info.config.head_dim;  // of a token
  const std::size_t queries = layer + 4 + 2 * 4 * values * memory.tokens_kept();
  const std::size_t regions = queries + 4 + 4 * values;
  const std::size_t tensors = 2 * 2 * values * 8;  // bf16 keys and values of 8 tokens
  const std::size_t region_end = regions + 16 + tensors + 4 * 8;
  ASSERT_EQ(Patched(bytes, 0, header, 12, bytes.substr(12, 8)), bytes);
  ASSERT_EQ(Patched(bytes, layer, queries - 4, layer, bytes.substr(layer, 8)), bytes);
  ASSERT_EQ(Patched(bytes, queries, regions - 4, queries, bytes.substr(queries, 4)), bytes);
  ASSERT_EQ(Patched(bytes, regions, region_end, regions, bytes.substr(regions, 8)), bytes);

  const struct {
    const char* name;
    std::size_t begin, end, at;
    std::string value;
    const char* message;
  } cases[] = {
      {"window option", 0, header, identity + 4, Raw<std::int32_t>(-1), "window_tokens"},
      {"ring option", 0, header, identity + 4 * 8, Raw<std::int32_t>(0), "ring"},
      {"retention", 0, header, identity + 4 * 10, Raw<std::int32_t>(99), "retention score"},
      {"attention", 0, header, identity + 13 * 4 + 8, "dance", "attention pattern"},
      {"tokens read", 0, header, counts, Raw<std::int64_t>(31), "token counts"},
      {"negative count", 0, header, counts, Raw<std::int64_t>(std::numeric_limits<std::int64_t>::min()),
       "token counts"},
      {"regions", 0, header, counts + 3 * 8, Raw<std::int64_t>(1), "token counts"},
      {"queries", 0, header, counts + 4 * 8, Raw<std::int64_t>(7), "token counts"},
      {"blocks", 0, header, counts + 5 * 8, Raw<std::int64_t>(1), "archive"},
      {"many blocks", 0, header, counts + 5 * 8, Raw<std::int64_t>(1LL << 60), "archive block"},
      {"key", layer, queries - 4, layer, Raw<float>(std::nanf("")), "keys and values"},
      {"value", layer, queries - 4, queries - 8, Raw<float>(-1e30f), "keys and values"},
      {"query", queries, regions - 4, queries, Raw<float>(INFINITY), "pooled queries"},
      {"first token", regions, region_end, regions, Raw<std::int64_t>(2), "begins at token 2"},
      {"selections", regions, region_end, regions + 8, Raw<std::int64_t>(-1), "chosen -1 times"},
      {"many selections", regions, region_end, regions + 8, Raw<std::int64_t>(1LL << 62), "times by 30 tokens"},
      {"region's key", regions, region_end, regions + 16, Raw<std::uint16_t>(0x7fc0), "region"},
      {"region's score", regions, region_end, region_end - 4, Raw<float>(std::nanf("")), "scores of a region"},
  };
  for (const auto& test : cases) {
    EXPECT_THAT(Memory::Parse(TinyModel(), Patched(bytes, test.begin, test.end, test.at, test.value)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(test.message)))
        << test.name;
  }
}

// Words that a segment divides, of several scripts.
void ReadWords(Memory* memory, int count) {
  std::string text;
  while (static_cast<int>(text.size()) < count)
    text += "Rivers, caf\xC3\xA9s; \xD8\xA7\xD8\xA8\xD8\x8C \xE6\x9D\xB1\xE4\xBA\xAC ";
  std::vector<TokenId> tokens;
  for (const TextToken& token : TinyModel()->tokenizer()->Encode(text)) tokens.push_back(token.id);
  Task task = Task::Read(memory, tokens);
  Task* tasks[] = {&task};
  while (!task.finished()) ASSERT_THAT(Step(tasks)[0].status, IsOk());
}

TEST(StateFormat, StemsOfAnOlderVersionAreMadeAnewFromTheTokens) {
  for (const MemoryOptions& options : AllKinds()) {
    for (const int bytes : {0, 3, 100, 1000}) {
      Memory memory = *Memory::Create(TinyModel(), options);
      ReadWords(&memory, bytes);
      const std::string state = memory.Serialize();
      const std::string old = testing::StateOfVersionFour::From(state, memory.archive_bytes());
      std::vector<std::int64_t> told;
      MemorySource source(old);
      TOME_ASSERT_OK_AND_ASSIGN(Memory restored, Memory::Parse(TinyModel(), source, [&](const StemsProgress& progress) {
                                  EXPECT_EQ(progress.of_tokens, memory.tokens_read());
                                  told.push_back(progress.tokens);
                                  return absl::OkStatus();
                                }));
      EXPECT_EQ(restored.Serialize(), state);
      EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
      EXPECT_EQ(told.empty() ? 0 : told.back(), memory.tokens_read());
    }
  }
}

TEST(StateFormat, StemsOfThisVersionAreTakenAsTheyAre) {
  Memory memory = *Memory::Create(TinyModel(), kOptions);
  ReadWords(&memory, 500);
  const std::string state = memory.Serialize();
  MemorySource source(state);
  TOME_ASSERT_OK_AND_ASSIGN(Memory restored, Memory::Parse(TinyModel(), source, [](const StemsProgress&) {
                              return absl::InternalError("nothing is to be made");
                            }));
  EXPECT_EQ(restored.Serialize(), state);
}

TEST(StateFormat, StemsOfAnotherUnicodeAreMadeAnewAndCanBeGivenUp) {
  Memory memory = *Memory::Create(TinyModel(), kOptions);
  ReadWords(&memory, 500);
  const std::string state = memory.Serialize();
  const std::string version = WordStemsVersion();
  std::string other = state;
  const std::size_t at = other.find(version);
  ASSERT_NE(at, std::string::npos);
  other[at] = '0';
  // The header's checksum stands before the first layer.
  const std::size_t header = at + version.size() + 13 * 4 + 2 * 8 + kOptions.attention.size() + 6 * 8;
  const std::uint32_t crc = Crc32c(std::string_view(other).substr(0, header));
  std::memcpy(other.data() + header, &crc, sizeof(crc));
  EXPECT_EQ(Memory::Parse(TinyModel(), other)->Serialize(), state);
  MemorySource source(other);
  EXPECT_THAT(Memory::Parse(TinyModel(), source, [](const StemsProgress&) { return absl::CancelledError("enough"); }),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("enough")));
}

TEST(StateFormat, DamagedStatesOfOlderVersionsAreRefused) {
  Memory memory = *Memory::Create(TinyModel(), kOptions);
  ReadWords(&memory, 60);
  const std::string old = testing::StateOfVersionFour::From(memory.Serialize(), memory.archive_bytes());
  for (std::size_t size = 0; size < old.size(); size += 7) {
    EXPECT_FALSE(Memory::Parse(TinyModel(), old.substr(0, size)).ok()) << size;
  }
  std::string newer = old;
  newer[8] = 6;
  EXPECT_THAT(Memory::Parse(TinyModel(), newer),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the state has 6, this build reads 4 to 5")));
  newer[8] = 3;
  EXPECT_THAT(Memory::Parse(TinyModel(), newer),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the state has 3")));
}

TEST(StateFormat, KeepsAttentionAndPositionEncoding) {
  MemoryOptions options = kOptions;
  options.attention = "sliding(5):1,scca-fixed(w=4):1";
  options.position_encoding = "yarn(2)";
  Memory memory = *Memory::Create(TinyModel(), options);
  EXPECT_EQ(memory.model()->info().config.context_length, 2 * TinyModel()->info().config.context_length);
  Read(&memory, 20, 5);
  const absl::StatusOr<Memory> parsed = Memory::Parse(TinyModel(), memory.Serialize());
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->options().attention, options.attention);
  EXPECT_EQ(parsed->options().position_encoding, options.position_encoding);
  EXPECT_EQ(parsed->model(), memory.model()) << "the table of positions is made once";
  Memory uninterrupted = memory, restored = *parsed;
  Read(&uninterrupted, 20, 6);
  Read(&restored, 20, 6);
  EXPECT_EQ(restored.Digest(), uninterrupted.Digest());
}

TEST(StateFormat, AnotherModelsStateIsRefusedWithBothValues) {
  Memory memory = *Memory::Create(TinyModel(), kOptions);
  Read(&memory, 10, 4);
  testing::TinyModelOptions other_shape = kShape;
  other_shape.seed = 99;
  const std::shared_ptr<const Model> other = testing::LoadTinyModel(other_shape);
  const absl::StatusOr<Memory> parsed = Memory::Parse(other, memory.Serialize());
  EXPECT_THAT(parsed, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(TinyModel()->info().model_digest)));
  EXPECT_THAT(parsed, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(other->info().model_digest)));
  const std::shared_ptr<const Model> bf16 = testing::LoadTinyModel(kShape, Precision::kBf16);
  EXPECT_THAT(Memory::Parse(bf16, memory.Serialize()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("precision")));
}

TEST(StateFormat, RandomBytesNeverCrash) {
  std::mt19937 random(5);
  const std::string valid = Memory::Create(TinyModel(), kOptions)->Serialize();
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = valid;
    bytes.resize(random() % (2 * valid.size()));
    for (int i = 0; i < 8 && !bytes.empty(); ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (bytes != valid) {
      EXPECT_FALSE(Memory::Parse(TinyModel(), bytes).ok());
    }
  }
}

}  // namespace
}  // namespace tome
