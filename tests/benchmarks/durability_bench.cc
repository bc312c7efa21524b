// What durability costs: snapshots, restoring, commits, idle sessions. One JSON object to standard output.
//
//   tome-durability-bench --model MODEL.gguf [--tokens 1000000] [--sessions 10000] --folder EMPTY_FOLDER
//
// The state is a real one, of a text that is read until window and region memory are full. Its archive is then made as
// long as that of a text of --tokens tokens, for reading so much takes hours; nothing else of a state grows.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/memory/memory_state.h"
#include "nlohmann/json.hpp"
#include "server/session/document_appender.h"
#include "server/session/session_manager.h"
#include "server/session/snapshot_file.h"

namespace tome::server {
namespace {

using nlohmann::json;

struct Arguments {
  std::string model, folder;
  std::int64_t tokens = 1'000'000;
  int sessions = 10'000;
};

double Seconds(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  fmt::print(stderr, "tome-durability-bench: {}\n", status.ToString());
  std::exit(1);
}

// Words, so that tokens are as long as English has them.
std::string MakeText(std::size_t bytes) {
  const std::vector<std::string> words = {"the", "river",  "went", "past", "houses",
                                          "and", "people", "of",   "a",    "valley"};
  std::mt19937 random(1);
  std::string text;
  while (text.size() < bytes) text += words[random() % words.size()] + (random() % 12 == 0 ? ". " : " ");
  text.resize(bytes);
  return text;
}

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

// Commits as the server makes them, of messages of 64 KiB.
json BenchAppend(const Model& model, double tokens_per_second, const std::string& folder) {
  constexpr std::size_t kBytes = std::size_t{16} << 20, kMessage = std::size_t{64} << 10,
                        kCommit = std::size_t{1} << 20;
  const std::string text = MakeText(kBytes);
  StoredSession session{.id = "bench"};
  session.options = MemoryOptions();
  Check(SessionStore::Create(folder + "/append.db", session));
  auto store = SessionStore::Open(folder + "/append.db", "bench");
  Check(store.status());
  DocumentAppender appender("bench", {}, 1);
  const double seconds = Seconds([&] {
    for (std::size_t commit = 0; commit < kBytes; commit += kCommit) {
      Check(appender.Begin(&*store));
      for (std::size_t at = commit; at < commit + kCommit; at += kMessage) {
        Check(appender.Apply("doc", Utf8Policy::kRefuse, {.offset = at, .data = text.substr(at, kMessage)}, absl::Now())
                  .status());
      }
      Check(appender.Commit());
    }
  });
  const double tokens = static_cast<double>(model.tokenizer()->Encode(text.substr(0, kCommit)).size()) *
                        (static_cast<double>(kBytes) / static_cast<double>(kCommit));
  return {{"bytes", kBytes},
          {"commit_seconds", seconds},
          {"read_seconds", tokens / tokens_per_second},
          {"overhead", seconds / (tokens / tokens_per_second)}};
}

json BenchIdleSessions(const std::shared_ptr<const Model>& model, int count, const std::string& folder) {
  const std::string data = folder + "/data";
  const ModelInfo& info = model->info();
  std::filesystem::create_directories(data + "/sessions");
  for (int i = 0; i < count; ++i) {
    const std::string id = fmt::format("session-{}", i);
    std::filesystem::create_directories(data + "/sessions/" + id);
    StoredSession session{.id = id, .create_time = absl::UnixEpoch() + absl::Seconds(i)};
    session.options = MemoryOptions();
    session.model_digest = info.model_digest;
    session.tokenizer_digest = info.tokenizer_digest;
    Check(SessionStore::Create(data + "/sessions/" + id + "/session.db", session));
  }
  Observer observer;
  std::unique_ptr<SessionManager> manager;
  const double open_seconds = Seconds([&] {
    auto opened = SessionManager::Open({.data_folder = data, .max_sessions = count}, model, observer);
    Check(opened.status());
    manager = *std::move(opened);
  });
  std::size_t listed = 0, state_bytes = 0;
  const double list_seconds = Seconds([&] {
    for (std::string token; listed == 0 || !token.empty();) {
      const auto page = manager->List({.page_size = 1000, .page_token = token});
      Check(page.status());
      for (const SessionInfo& session : page->sessions) state_bytes += session.state_bytes;
      listed += page->sessions.size();
      token = page->next_page_token;
    }
  });
  return {{"sessions", listed},
          {"open_seconds", open_seconds},
          {"list_seconds", list_seconds},
          {"state_bytes", state_bytes}};
}

void Run(const Arguments& arguments) {
  std::filesystem::create_directories(arguments.folder);
  const auto model = Model::Load({.path = arguments.model});
  Check(model.status());
  absl::StatusOr<Memory> memory = Memory::Create(*model, MemoryOptions());
  Check(memory.status());
  const double tokens_per_second = Fill(&*memory);
  const json result = {
      {"model", (*model)->info().path},
      {"cpu", CpuFeatures()},
      {"snapshot", BenchSnapshot(Lengthened(*memory, arguments.tokens), tokens_per_second, arguments.folder)},
      {"append", BenchAppend(**model, tokens_per_second, arguments.folder)},
      {"idle_sessions", BenchIdleSessions(*model, arguments.sessions, arguments.folder)}};
  fmt::print("{}\n", result.dump(2));
}

}  // namespace
}  // namespace tome::server

int main(int argc, char** argv) {
  CLI::App app("Measures what durability costs.", "tome-durability-bench");
  tome::server::Arguments arguments;
  app.add_option("--model", arguments.model, "GGUF file or folder")->required();
  app.add_option("--folder", arguments.folder, "on the disk to measure; left full of files")->required();
  app.add_option("--tokens", arguments.tokens, "of the session")->capture_default_str();
  app.add_option("--sessions", arguments.sessions, "idle ones")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  tome::server::Run(arguments);
  return 0;
}
