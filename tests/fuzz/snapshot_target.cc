#include "tests/fuzz/snapshot_target.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/status.h"
#include "engine/engine.h"
#include "server/reading/reading_state.h"
#include "server/storage/snapshot_file.h"
#include "tests/fuzz/require.h"
#include "tests/server/tiny_server_model.h"

namespace tome::testing {
namespace {

using server::FileSystem;
using server::InputFile;
using server::OutputFile;
using server::ReadingState;
using server::StoredDocument;

// One file, in memory.
class OneFile final : public FileSystem {
 public:
  explicit OneFile(std::string bytes = {}) : bytes_(std::make_shared<std::string>(std::move(bytes))) {}
  const std::string& bytes() const { return *bytes_; }

  absl::StatusOr<std::unique_ptr<OutputFile>> Create(const std::string&) override {
    bytes_->clear();
    return std::make_unique<Output>(bytes_);
  }
  absl::StatusOr<std::unique_ptr<InputFile>> Open(const std::string&) override {
    return std::make_unique<Input>(bytes_);
  }
  absl::Status Rename(const std::string&, const std::string&) override { return absl::OkStatus(); }
  absl::Status Remove(const std::string&) override { return absl::OkStatus(); }
  absl::Status Link(const std::string&, const std::string&) override { return absl::OkStatus(); }
  absl::Status SyncFolder(const std::string&) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<std::string>> List(const std::string&) override { return std::vector<std::string>(); }

 private:
  struct Output final : OutputFile {
    explicit Output(std::shared_ptr<std::string> to) : bytes(std::move(to)) {}
    absl::StatusOr<std::size_t> Write(std::string_view piece) override {
      *bytes += piece;
      return piece.size();
    }
    absl::Status Sync() override { return absl::OkStatus(); }
    std::shared_ptr<std::string> bytes;
  };
  struct Input final : InputFile {
    explicit Input(std::shared_ptr<const std::string> from) : bytes(std::move(from)) {}
    std::uint64_t size() const override { return bytes->size(); }
    absl::Status Read(std::uint64_t offset, char* to, std::size_t size) const override {
      Require(offset <= bytes->size() && size <= bytes->size() - offset, "read beyond the end");
      std::copy_n(bytes->data() + offset, size, to);
      return absl::OkStatus();
    }
    std::shared_ptr<const std::string> bytes;
  };

  std::shared_ptr<std::string> bytes_;
};

const std::vector<std::string>& Texts() {
  static const auto& texts =
      *new std::vector<std::string>{SomeText(300, 1), "caf\xC3\xA9 \xFF\xE4\xBA and so on" + SomeText(300, 2)};
  return texts;
}

std::vector<StoredDocument> Documents() {
  std::vector<StoredDocument> documents;
  for (const std::string& text : Texts()) {
    StoredDocument& document = documents.emplace_back();
    document.name = std::to_string(documents.size());
    document.size = text.size();
    document.sealed = documents.size() < Texts().size();
  }
  return documents;
}

void ReadSegments(std::deque<Segment> segments, Memory* memory) {
  for (const Segment& segment : segments) {
    if (segment.tokens.empty()) continue;
    Task task = Task::Read(memory, segment.tokens, segment.spans);
    Task* tasks[] = {&task};
    Step(tasks)[0].status.IgnoreError();  // numbers near the limits of their type may fail a step
  }
}

absl::StatusOr<ReadingState> Load(FileSystem& files) {
  TOME_ASSIGN_OR_RETURN(const auto reader, server::SnapshotReader::Open(files, "snapshot"));
  TOME_ASSIGN_OR_RETURN(const std::string progress, reader->ReadReading());
  std::deque<Segment> unread;
  TextPipelineState pipeline;
  TOME_RETURN_IF_ERROR(server::ParseProgress(progress, &unread, &pipeline));
  TOME_ASSIGN_OR_RETURN(Memory memory, Memory::Parse(TinyServerModel(), reader->state()));
  TOME_RETURN_IF_ERROR(reader->Finish());
  ReadingState state{.memory = std::move(memory), .unread = std::move(unread), .pipeline = std::move(pipeline)};
  Require(server::SerializeProgress(state) == progress, "the progress is not written as it was read");
  TOME_RETURN_IF_ERROR(server::CheckProgress(state, Documents()));
  return state;
}

std::string Write(const ReadingState& state) {
  OneFile files;
  const server::SnapshotHeader header{.model_digest = TinyServerModel()->info().model_digest, .options = "some"};
  const auto info = server::WriteSnapshotFile(files, "snapshot", header, server::SerializeProgress(state),
                                              [&](const ByteSink& sink) { return state.memory.Serialize(sink); });
  Require(info.ok(), info.status().ToString());
  return files.bytes();
}

}  // namespace

bool RunSnapshot(std::string_view bytes) {
  OneFile files{std::string(bytes)};
  absl::StatusOr<ReadingState> state = Load(files);
  absl::Status status = state.status();
  std::unique_ptr<TextPipeline> pipeline;
  if (status.ok()) {
    auto resumed =
        TextPipeline::Resume(TinyServerModel()->tokenizer(), state->memory.options().segment_tokens, state->pipeline);
    status = resumed.status();
    if (resumed.ok()) pipeline = *std::move(resumed);
  }
  if (!status.ok()) {
    Require(absl::IsDataLoss(status) || absl::IsFailedPrecondition(status), status.ToString());
    return false;
  }
  std::deque<Segment> segments = state->unread;
  for (std::size_t at; (at = pipeline->document()) < Texts().size(); pipeline->FinishDocument(&segments)) {
    pipeline->Append(std::string_view(Texts()[at]).substr(pipeline->offset()), &segments);
  }
  ReadSegments(std::move(segments), &state->memory);
  for (const ReadRange& range : state->memory.ReadRanges()) {
    Require(range.document < Texts().size() && range.end <= Texts()[range.document].size(), "read what is not stored");
  }
  return true;
}

std::vector<std::string> SnapshotSeeds() {
  std::vector<std::string> seeds;
  ReadingState state{.memory = *Memory::Create(TinyServerModel(), kTinyMemoryOptions), .unread = {}, .pipeline = {}};
  TextPipeline pipeline(TinyServerModel()->tokenizer(), kTinyMemoryOptions.segment_tokens);
  for (const std::string& text : Texts()) {
    for (std::size_t at = 0; at < text.size(); at += 150) {
      pipeline.Append(std::string_view(text).substr(at, 150), &state.unread);
      state.pipeline = pipeline.Save();
      seeds.push_back(Write(state));
    }
    ReadSegments(std::exchange(state.unread, {}), &state.memory);
    if (&text != &Texts().back()) pipeline.FinishDocument(&state.unread);
    state.pipeline = pipeline.Save();
    seeds.push_back(Write(state));
  }
  return seeds;
}

}  // namespace tome::testing
