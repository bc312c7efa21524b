// What durability costs: snapshots, restoring, appends, idle sessions. One JSON object to standard output.
//
//   tome-durability-bench --model MODEL.gguf --folder EMPTY_FOLDER [--only snapshot append idle] [--rounds 5]
//                         [--tokens 1000000] [--sessions 10000]
//
// The state is a real one, of a text that is read until window and region memory are full. Its archive is then made as
// long as that of a text of --tokens tokens, for reading so much takes hours; nothing else of a state grows.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/memory/memory_state.h"
#include "nlohmann/json.hpp"
#include "server/storage/snapshot_file.h"
#include "tests/benchmarks/append_bench.h"
#include "tests/benchmarks/bench_support.h"
#include "tests/benchmarks/idle_sessions_bench.h"

namespace tome::server {
namespace {

using nlohmann::json;

struct Arguments {
  std::string model, folder;
  std::vector<std::string> only = {"snapshot", "append", "idle"};
  int rounds = 5;
  std::int64_t tokens = 1'000'000;
  int sessions = 10'000;
};

std::vector<TokenId> Tokens(const Model& model, std::int64_t count) {
  std::vector<TokenId> tokens;
  for (const TextToken& token : model.tokenizer()->Encode(MakeText(static_cast<std::size_t>(count) * 8))) {
    tokens.push_back(token.id);
  }
  tokens.resize(static_cast<std::size_t>(count));
  return tokens;
}

// Reads until nothing but the archive grows any more. Gives the tokens for each second.
double Fill(Memory* memory) {
  const MemoryOptions& options = memory->options();
  const std::int64_t ring = std::int64_t{options.regions.ring_regions} * options.region_tokens;
  const std::int64_t least = options.sink_tokens + options.window_tokens + ring + options.region_tokens;
  const std::int64_t count = (least / options.segment_tokens + 1) * options.segment_tokens;
  Task task = Task::Read(memory, Tokens(*memory->model(), count));
  Task* tasks[] = {&task};
  return static_cast<double>(count) / Seconds([&] {
           while (!task.finished()) Check(Step(tasks)[0].status);
         });
}

// The same state with an archive of at least so many tokens.
Memory Lengthened(const Memory& memory, std::int64_t tokens) {
  const MemoryState& state = *memory.state();
  const MemoryOptions& options = memory.options();
  Archive archive = state.archive();
  const std::vector<TokenId> text = Tokens(*memory.model(), 64 * options.segment_tokens);
  std::mt19937_64 random(1);
  ByteOffset begin = memory.ReadRanges().back().end;
  while (archive.num_tokens() < tokens) {
    std::vector<TokenId> segment;
    std::vector<TokenSpan> spans;
    for (int i = 0; i < options.segment_tokens; ++i) {
      segment.push_back(text[static_cast<std::size_t>(archive.num_tokens() + i) % text.size()]);
      const auto size = static_cast<std::uint32_t>(memory.model()->tokenizer()->TokenBytes(segment.back()).size());
      spans.push_back({.document = 0, .num_bytes = size, .begin = begin});
      begin += size;
    }
    std::string codes(segment.size() * static_cast<std::size_t>(archive.layout().code_bytes), '\0');
    for (char& code : codes) code = static_cast<char>(random());
    archive.Append(ArchiveBlock::Make(archive.layout(), segment, spans, codes, *memory.model()->tokenizer()));
  }
  const std::vector<const KeyValueBlock*> blocks = state.blocks();
  std::vector<std::shared_ptr<const KeyValueBlock>> window;
  for (std::size_t i = 1; i < blocks.size(); ++i) window.push_back(std::make_shared<const KeyValueBlock>(*blocks[i]));
  return Memory(memory.model(), std::make_shared<const MemoryState>(options, archive.num_tokens(),
                                                                    std::make_shared<const KeyValueBlock>(*blocks[0]),
                                                                    std::move(window), state.regions(), archive));
}

json BenchSnapshot(const Memory& memory, double tokens_per_second, const std::string& folder) {
  const std::string path = folder + "/snapshot";
  SnapshotFileInfo info;
  const double write_seconds = Seconds([&] {
    const auto written = WriteSnapshotFile(FileSystem::Real(), path, {}, "",
                                           [&](const ByteSink& sink) { return memory.Serialize(sink); });
    Check(written.status());
    info = *written;
  });
  const double load_seconds = Seconds([&] {
    const auto reader = SnapshotReader::Open(FileSystem::Real(), path);
    Check(reader.status());
    Check((*reader)->ReadReading().status());
    Check(Memory::Parse(memory.model(), (*reader)->state()).status());
    Check((*reader)->Finish());
  });
  const double read_seconds = static_cast<double>(memory.tokens_read()) / tokens_per_second;
  return {{"tokens", memory.tokens_read()},
          {"state_bytes", memory.state_bytes()},
          {"archive_bytes", memory.archive_bytes()},
          {"snapshot_bytes", info.size_bytes},
          {"write_seconds", write_seconds},
          {"load_seconds", load_seconds},
          {"read_tokens_per_second", tokens_per_second},
          {"read_seconds", read_seconds},
          {"restore_speedup", read_seconds / load_seconds}};
}

void Run(const Arguments& arguments) {
  const auto wanted = [&](const char* section) {
    return std::ranges::find(arguments.only, section) != arguments.only.end();
  };
  std::filesystem::create_directories(arguments.folder);
  const auto model = Model::Load({.path = arguments.model});
  Check(model.status());
  json result = {{"model", (*model)->info().path}, {"cpu", CpuFeatures()}, {"rounds", arguments.rounds}};
  if (wanted("snapshot") || wanted("append")) {
    absl::StatusOr<Memory> memory = Memory::Create(*model, MemoryOptions());
    Check(memory.status());
    const double tokens_per_second = Fill(&*memory);
    result["read_tokens_per_second"] = tokens_per_second;
    if (wanted("snapshot")) {
      result["snapshot"] = BenchSnapshot(Lengthened(*memory, arguments.tokens), tokens_per_second, arguments.folder);
    }
    if (wanted("append")) {
      result["append"] = BenchAppends(*model, tokens_per_second, arguments.rounds, arguments.folder + "/append");
    }
  }
  if (wanted("idle")) {
    result["idle_sessions"] =
        BenchIdleSessions(*model, arguments.sessions, arguments.rounds, arguments.folder + "/idle");
  }
  fmt::print("{}\n", result.dump(2));
}

}  // namespace
}  // namespace tome::server

int main(int argc, char** argv) {
  CLI::App app("Measures what durability costs.", "tome-durability-bench");
  tome::server::Arguments arguments;
  app.add_option("--model", arguments.model, "GGUF file or folder")->required();
  app.add_option("--folder", arguments.folder, "on the disk to measure; left full of files")->required();
  app.add_option("--only", arguments.only, "sections")
      ->check(CLI::IsMember({"snapshot", "append", "idle"}))
      ->capture_default_str();
  app.add_option("--rounds", arguments.rounds, "of what is told as a median")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--tokens", arguments.tokens, "of the session")->capture_default_str();
  app.add_option("--sessions", arguments.sessions, "idle ones")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  tome::server::Run(arguments);
  return 0;
}
