#include "server/storage/snapshot_file.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>

#include "engine/base/crc32c.h"
#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/errors.h"
#include "server/reading/reading_state.h"
#include "tests/fuzz/snapshot_target.h"
#include "tests/server/storage/faulty_files.h"
#include "tests/server/tiny_server_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome::server {
namespace {

using ::testing::HasSubstr;
using tome::testing::FaultyFiles;
using tome::testing::IsOk;
using tome::testing::ReadFile;
using tome::testing::SomeText;
using tome::testing::StatusIs;

const SnapshotHeader kHeader = {.model_digest = "abc",
                                .tokenizer_digest = "def",
                                .precision = "fp32",
                                .options = "sink=1",
                                .ingested_bytes = 12,
                                .ingested_tokens = 3,
                                .create_time = absl::FromUnixSeconds(1'700'000'000)};

std::string RandomBytes(std::size_t size, int seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

class SnapshotFileTest : public ::testing::Test {
 protected:
  absl::StatusOr<SnapshotFileInfo> Write(const std::string& reading, const std::vector<std::string>& state) {
    return WriteSnapshotFile(files_, path_, kHeader, reading, [&](const ByteSink& sink) -> absl::Status {
      for (const std::string& piece : state) TOME_RETURN_IF_ERROR(sink(piece));
      return absl::OkStatus();
    });
  }

  struct Content {
    SnapshotHeader header;
    std::string digest, reading, state;
  };
  absl::StatusOr<Content> Read() {
    TOME_ASSIGN_OR_RETURN(const auto reader, SnapshotReader::Open(files_, path_));
    Content content{.header = reader->header(), .digest = reader->digest()};
    TOME_ASSIGN_OR_RETURN(content.reading, reader->ReadReading());
    SizedByteSource& state = reader->state();
    std::mt19937 random(1);
    while (state.remaining() > 0) {
      const std::size_t size = 1 + random() % (std::size_t{3} << 20);
      TOME_ASSIGN_OR_RETURN(const std::string_view piece, state.Next(std::min<std::uint64_t>(size, state.remaining())));
      content.state += piece;
    }
    TOME_RETURN_IF_ERROR(reader->Finish());
    return content;
  }

  tome::testing::TempDir folder_;
  const std::string path_ = folder_.File("snapshot");
  FaultyFiles files_;
};

TEST_F(SnapshotFileTest, GivesBackWhatWasWritten) {
  const std::string text(3'000'000, 'x'), noise = RandomBytes(2'500'000, 1);
  const std::vector<std::vector<std::string>> states = {{},
                                                        {"a"},
                                                        {"", "bc", ""},
                                                        {noise},
                                                        {text, noise},
                                                        {noise.substr(0, kFrameBytes)},
                                                        {noise.substr(0, kFrameBytes - 1), "yz"}};
  for (const auto& state : states) {
    TOME_ASSERT_OK_AND_ASSIGN(const SnapshotFileInfo info, Write("reading", state));
    EXPECT_EQ(info.size_bytes, std::filesystem::file_size(path_));
    TOME_ASSERT_OK_AND_ASSIGN(const Content content, Read());
    EXPECT_EQ(content.header, kHeader);
    EXPECT_EQ(content.digest, info.digest);
    EXPECT_EQ(content.reading, "reading");
    std::string whole;
    for (const std::string& piece : state) whole += piece;
    EXPECT_EQ(content.state, whole);
  }
}

TEST_F(SnapshotFileTest, CompressesWhereItPays) {
  const std::string noise = RandomBytes(1'000'000, 2), text(1'000'000, 'x');
  EXPECT_LT(Write(noise, {})->size_bytes, 1'001'000u) << "what cannot be compressed is stored as it is";
  EXPECT_LT(Write(text, {})->size_bytes, 10'000u);
}

TEST_F(SnapshotFileTest, DigestIsOfAllBytesBeforeIt) {
  TOME_ASSERT_OK_AND_ASSIGN(const SnapshotFileInfo info, Write("reading", {"state"}));
  const std::string bytes = ReadFile(path_);
  EXPECT_EQ(Sha256Hex(std::string_view(bytes).substr(0, bytes.size() - 32)), info.digest);
  EXPECT_EQ(HexEncode(std::string_view(bytes).substr(bytes.size() - 32)), info.digest);
}

TEST_F(SnapshotFileTest, EveryFlippedBitEveryTruncationAndEveryExtraByteIsDetected) {
  // A raw frame and a compressed one.
  TOME_ASSERT_OK_AND_ASSIGN(const SnapshotFileInfo info, Write(RandomBytes(60, 3), {std::string(200, 'x')}));
  const std::string bytes = ReadFile(path_);
  ASSERT_THAT(Read(), IsOk());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      tome::testing::WriteFile(path_, damaged);
      EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("snapshot"))) << "bit " << bit << " of " << i;
    }
    tome::testing::WriteFile(path_, bytes.substr(0, i));
    EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("snapshot"))) << "length " << i;
  }
  tome::testing::WriteFile(path_, bytes + "x");
  EXPECT_FALSE(Read().ok());
}

TEST_F(SnapshotFileTest, AnotherFormatVersionIsRefusedWithBothValues) {
  ASSERT_THAT(Write("reading", {"state"}), IsOk());
  std::string bytes = ReadFile(path_);
  bytes[8] = 9;
  std::uint32_t size;
  std::memcpy(&size, bytes.data() + 12, sizeof size);
  const std::uint32_t crc = Crc32c(std::string_view(bytes).substr(0, 16 + size));
  std::memcpy(bytes.data() + 16 + size, &crc, sizeof crc);
  tome::testing::WriteFile(path_, bytes);
  const absl::Status status = Read().status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("format version 9, this server reads version 1")));
  EXPECT_EQ(GetErrorDetails(status)->metadata.at("found"), "9");
  EXPECT_EQ(GetErrorDetails(status)->metadata.at("expected"), "1");
}

TEST_F(SnapshotFileTest, EveryCallThatFailsIsTold) {
  files_.FailAfter(1 << 30, absl::OkStatus());
  ASSERT_THAT(Write("reading", {RandomBytes(1'500'000, 4)}), IsOk());
  const int changes = files_.Heal();
  EXPECT_GE(changes, 6);
  for (int n = 0; n < changes; ++n) {
    files_.FailAfter(n, absl::ResourceExhaustedError("full"));
    EXPECT_THAT(Write("reading", {RandomBytes(1'500'000, 4)}),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("full")))
        << "change " << n;
  }
  files_.Heal();
  files_.WriteAtMost(1000);
  ASSERT_THAT(Write("reading", {RandomBytes(1'500'000, 4)}), IsOk()) << "short writes are gone on with";
  EXPECT_EQ(Read()->state, RandomBytes(1'500'000, 4));
}

TEST(SnapshotFuzzTest, SeedsAreTakenAndDamagedOnesRefused) {
  const std::vector<std::string> seeds = tome::testing::SnapshotSeeds();
  for (const std::string& seed : seeds) EXPECT_TRUE(tome::testing::RunSnapshot(seed));
  std::mt19937 random(8);
  for (int round = 0; round < 500; ++round) {
    std::string bytes = seeds[random() % seeds.size()];
    bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    EXPECT_FALSE(tome::testing::RunSnapshot(bytes));
    bytes.resize(random() % bytes.size());
    EXPECT_FALSE(tome::testing::RunSnapshot(bytes));
  }
}

// The first format, as it was written once: later versions must read it, or refuse it by its version. The model is the
// small one of tests/golden. TOME_WRITE_GOLDEN=1 writes it anew.
class GoldenSnapshotTest : public ::testing::Test {
 protected:
  static constexpr MemoryOptions kOptions = {
      .sink_tokens = 4,
      .window_tokens = 16,
      .segment_tokens = 8,
      .region_tokens = 8,
      .regions = {.selected = 1, .query_region_tokens = 8, .ring_regions = 1, .pool_regions = 0}};
  const std::string path_ = std::string(TOME_SOURCE_DIR) + "/tests/golden/snapshots/version_1.snapshot";
  const std::shared_ptr<const Model> model_ =
      *Model::Load({.path = std::string(TOME_SOURCE_DIR) + "/tests/golden/tiny_llama",
                    .precision = Precision::kFp32,
                    .num_threads = 1});

  const std::string first_ = "In the beginning was a caf\xC3\xA9.";
  const std::string second_ = "And \xFF then came the flood of words, \xE2\x82";

  // What a session of two documents has read, the second one unfinished.
  ReadingState Make() {
    TextPipeline pipeline(model_->tokenizer(), kOptions.segment_tokens);
    std::deque<Segment> segments;
    pipeline.Append(first_, &segments);
    pipeline.FinishDocument(&segments);
    pipeline.Append(second_, &segments);
    ReadingState state{.memory = *Memory::Create(model_, kOptions), .unread = {}, .pipeline = {}};
    const std::size_t read = segments.size() - 1;
    for (std::size_t i = 0; i < read; ++i) {
      Task task = Task::Read(&state.memory, segments[i].tokens, segments[i].spans);
      Task* tasks[] = {&task};
      EXPECT_THAT(Step(tasks)[0].status, IsOk());
    }
    state.unread.assign(segments.begin() + static_cast<std::ptrdiff_t>(read), segments.end());
    state.pipeline = pipeline.Save();
    return state;
  }

  // Where a word is found first.
  struct Found {
    TokenSpan span;
    double score = 0;
    friend bool operator==(const Found&, const Found&) = default;
  };
  std::vector<Found> FoundByWords(const Memory& memory, const std::string& word) {
    Task task = *Task::Search(memory, {}, word, {.effort = Effort::kFast});
    Task* tasks[] = {&task};
    StepResult result;
    while (!task.finished()) result = std::move(Step(tasks)[0]);
    std::vector<Found> found;
    for (const FoundRegion& region : result.evidence->found) found.push_back({region.span, region.stem_score});
    return found;
  }
};

TEST_F(GoldenSnapshotTest, FirstVersionIsRead) {
  const ReadingState made = Make();
  if (std::getenv("TOME_WRITE_GOLDEN") != nullptr) {
    const SnapshotHeader header{.model_digest = model_->info().model_digest,
                                .tokenizer_digest = model_->info().tokenizer_digest,
                                .precision = "fp32",
                                .options = FormatMemoryOptions(kOptions),
                                .ingested_bytes = made.memory.ReadRanges().back().end,
                                .ingested_tokens = static_cast<std::uint64_t>(made.memory.tokens_read()),
                                .create_time = kHeader.create_time};
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
    ASSERT_THAT(WriteSnapshotFile(FileSystem::Real(), path_, header, SerializeProgress(made),
                                  [&](const ByteSink& sink) { return made.memory.Serialize(sink); }),
                IsOk());
  }
  TOME_ASSERT_OK_AND_ASSIGN(const auto reader, SnapshotReader::Open(FileSystem::Real(), path_));
  EXPECT_EQ(reader->header().model_digest, model_->info().model_digest);
  EXPECT_EQ(reader->header().tokenizer_digest, model_->info().tokenizer_digest);
  EXPECT_EQ(reader->header().options, FormatMemoryOptions(kOptions));
  TOME_ASSERT_OK_AND_ASSIGN(const std::string progress, reader->ReadReading());
  ReadingState state{.memory = *Memory::Create(model_, kOptions), .unread = {}, .pipeline = {}};
  ASSERT_THAT(ParseProgress(progress, &state.unread, &state.pipeline), IsOk());
  std::int64_t stemmed = 0;
  TOME_ASSERT_OK_AND_ASSIGN(state.memory, Memory::Parse(model_, reader->state(), [&](const StemsProgress& progress) {
                              stemmed = progress.tokens;
                              return absl::OkStatus();
                            }));
  ASSERT_THAT(reader->Finish(), IsOk());
  EXPECT_EQ(SerializeProgress(state), SerializeProgress(made));
  EXPECT_EQ(state.memory.ReadRanges(), made.memory.ReadRanges());
  EXPECT_EQ(state.memory.KeptSpans(), made.memory.KeptSpans());
  // Its words are those of an older version, and are found as they are today.
  EXPECT_EQ(stemmed, std::getenv("TOME_WRITE_GOLDEN") == nullptr ? state.memory.tokens_read() : 0);
  for (const char* word : {"BEGINNING", "cafe", "came"}) {
    EXPECT_EQ(FoundByWords(state.memory, word), FoundByWords(made.memory, word)) << word;
    const std::vector<Found> found = FoundByWords(state.memory, word);
    EXPECT_TRUE(std::any_of(found.begin(), found.end(), [](const Found& region) { return region.score > 0; })) << word;
  }
  const std::vector<StoredDocument> documents = {{.name = "a", .size = first_.size(), .sealed = true},
                                                 {.name = "b", .size = second_.size()}};
  EXPECT_THAT(CheckProgress(state, documents), IsOk());
  EXPECT_THAT(TextPipeline::Resume(model_->tokenizer(), kOptions.segment_tokens, state.pipeline), IsOk());
}

}  // namespace
}  // namespace tome::server
