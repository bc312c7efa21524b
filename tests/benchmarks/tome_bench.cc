// tome-bench: how fast the engine reads and answers. Prints one JSON object.
//
// Sections: prefill (a dense prompt of N tokens), decode (tokens after a context of N), stream (a long document through
// a memory, with the rate by position and the process's peak memory), routing (a question's search in a long archive,
// in memory and in files), attention (one layer's dense attention with each kernel), patterns (with each pattern),
// words (finding and stemming those of the text), adapters (what one costs).
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "tests/benchmarks/adapter_bench.h"
#include "tests/benchmarks/attention_bench.h"
#include "tests/benchmarks/pattern_bench.h"
#include "tests/benchmarks/routing_bench.h"
#include "tests/benchmarks/words_bench.h"

namespace tome {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double PeakMegabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

[[noreturn]] void Die(const absl::Status& status) {
  std::fprintf(stderr, "tome-bench: %s\n", std::string(status.message()).c_str());
  std::exit(1);
}

template <typename T>
T ValueOrDie(absl::StatusOr<T> value) {
  if (!value.ok()) Die(value.status());
  return *std::move(value);
}

void StepOnce(Task* task) {
  Task* tasks[] = {task};
  const std::vector<StepResult> results = Step(tasks);
  if (!results[0].status.ok()) Die(results[0].status);
}

struct Settings {
  std::string model_path, tokenizer_path, text_path;
  std::string precision = "auto";
  std::vector<int> lengths = {512, 2048};
  std::vector<std::string> sections = {"prefill", "decode", "stream"};
  int threads = 0;
  int repeats = 5;
  int decode_tokens = 64;
  std::int64_t stream_tokens = 32768;
  int window_tokens = 2048;
  RoutingBenchOptions routing;
  PatternBenchOptions patterns;
};

// Text tokens, repeated when the text is shorter.
std::vector<TokenId> TakeTokens(const std::vector<TokenId>& text, std::int64_t count) {
  std::vector<TokenId> tokens;
  tokens.reserve(count);
  for (std::int64_t i = 0; i < count; ++i) tokens.push_back(text[i % text.size()]);
  return tokens;
}

json Summary(std::vector<double> tokens_per_second) {
  std::sort(tokens_per_second.begin(), tokens_per_second.end());
  return {{"tokens_per_second", tokens_per_second[tokens_per_second.size() / 2]},
          {"best", tokens_per_second.back()},
          {"worst", tokens_per_second.front()},
          {"runs", tokens_per_second.size()}};
}

// An empty memory whose questions are read in chunks of `segment` tokens.
Memory EmptyMemory(const std::shared_ptr<const Model>& model, int segment) {
  return ValueOrDie(Memory::Create(
      model, {.sink_tokens = 0, .window_tokens = 1, .segment_tokens = segment, .regions = {.selected = 0}}));
}

// Reading a prompt of `length` tokens, dense, to the logits of its last token.
json BenchPrefill(const std::shared_ptr<const Model>& model, const std::vector<TokenId>& text, int length,
                  int repeats) {
  std::vector<double> rates;
  for (int i = 0; i <= repeats; ++i) {
    Task task = ValueOrDie(Task::Generate(EmptyMemory(model, 512), TakeTokens(text, length), {.max_tokens = 1}));
    const Clock::time_point start = Clock::now();
    while (!task.finished()) StepOnce(&task);
    if (i > 0) rates.push_back(length / SecondsSince(start));  // the first run warms up
  }
  json result = Summary(rates);
  result["tokens"] = length;
  return result;
}

// Generating after a context of `length` tokens.
json BenchDecode(const std::shared_ptr<const Model>& model, const std::vector<TokenId>& text, int length,
                 const Settings& settings) {
  std::vector<double> rates;
  for (int i = 0; i < settings.repeats; ++i) {
    GenerationOptions options;
    options.max_tokens = settings.decode_tokens + 1;
    Task task = ValueOrDie(Task::Generate(EmptyMemory(model, 512), TakeTokens(text, length), options));
    while (!task.decoding() && !task.finished()) StepOnce(&task);
    const Clock::time_point start = Clock::now();
    int generated = 0;
    for (; !task.finished(); ++generated) StepOnce(&task);
    if (generated > 0) rates.push_back(generated / SecondsSince(start));
  }
  if (rates.empty()) Die(absl::InternalError("the model ended its answer at once: give another --text"));
  json result = Summary(rates);
  result["context_tokens"] = length;
  return result;
}

// Reading a long document: the rate over each 16k tokens.
json BenchStream(const std::shared_ptr<const Model>& model, const std::vector<TokenId>& text,
                 const Settings& settings) {
  constexpr std::int64_t kSpan = 16384;
  Memory memory = ValueOrDie(Memory::Create(model, {.window_tokens = settings.window_tokens}));
  json spans = json::array();
  const Clock::time_point begin = Clock::now();
  Clock::time_point span_begin = begin;
  for (std::int64_t read = 0; read < settings.stream_tokens;) {
    const std::int64_t count = std::min<std::int64_t>(memory.options().segment_tokens, settings.stream_tokens - read);
    std::vector<TokenId> segment;
    for (std::int64_t i = 0; i < count; ++i) segment.push_back(text[(read + i) % text.size()]);
    Task task = Task::Read(&memory, std::move(segment));
    while (!task.finished()) StepOnce(&task);
    read += count;
    if (read % kSpan != 0 && read < settings.stream_tokens) continue;
    const std::int64_t span = read % kSpan == 0 ? kSpan : read % kSpan;
    spans.push_back({{"tokens_read", read},
                     {"tokens_per_second", static_cast<double>(span) / SecondsSince(span_begin)},
                     {"state_bytes", memory.state_bytes()},
                     {"peak_mb", PeakMegabytes()}});
    std::fprintf(stderr, "stream: %lld of %lld tokens, %.0f tokens/s\n", static_cast<long long>(read),
                 static_cast<long long>(settings.stream_tokens), spans.back()["tokens_per_second"].get<double>());
    span_begin = Clock::now();
  }
  return {{"tokens", settings.stream_tokens},
          {"tokens_per_second", static_cast<double>(settings.stream_tokens) / SecondsSince(begin)},
          {"spans", spans},
          {"peak_mb", PeakMegabytes()}};
}

std::string ReadText(const Settings& settings) {
  std::string text;
  if (settings.text_path.empty()) {
    // English-like filler: speed does not depend on what is read.
    for (int i = 0; i < 4000; ++i) text += fmt::format("The river passed {} houses on its way to the sea. ", i);
  } else {
    std::ifstream file(settings.text_path, std::ios::binary);
    if (!file) Die(absl::NotFoundError(settings.text_path + ": cannot be read"));
    std::ostringstream all;
    all << file.rdbuf();
    text = all.str();
  }
  return text;
}

std::vector<TokenId> Encode(const Model& model, const std::string& text) {
  std::vector<TokenId> tokens;
  for (const TextToken& token : model.tokenizer()->Encode(text)) tokens.push_back(token.id);
  if (tokens.empty()) Die(absl::InvalidArgumentError("the text is empty"));
  return tokens;
}

json Describe(const Model& model) {
  const ModelInfo& info = model.info();
  return {{"model", info.path},
          {"parameters", info.num_parameters},
          {"precision", PrecisionName(info.precision)},
          {"precision_reason", info.precision_reason},
          {"decode_weights", info.decode_weights},
          {"threads", info.num_threads},
          {"cpu_features", CpuFeatures()},
          {"engine", EngineBuildInfo()}};
}

int Main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Times the engine on this machine and prints JSON.");
  app.add_option("--model", settings.model_path, "A .gguf file, a Hugging Face folder or a llama2.c .bin")->required();
  app.add_option("--tokenizer", settings.tokenizer_path, "llama2.c's vocabulary");
  app.add_option("--text", settings.text_path, "A text to read; default: made-up English");
  app.add_option("--precision", settings.precision, "auto, fp32 or bf16")->capture_default_str();
  app.add_option("--threads", settings.threads, "Compute threads; 0 = all cores")->capture_default_str();
  app.add_option("--lengths", settings.lengths, "Prompt and context lengths")->delimiter(',');
  app.add_option("--sections", settings.sections,
                 "prefill, decode, stream, routing, attention, patterns, words, adapters")
      ->delimiter(',');
  app.add_option("--repeats", settings.repeats, "Runs of each measurement")->check(CLI::PositiveNumber);
  app.add_option("--decode-tokens", settings.decode_tokens, "Tokens generated in a run")->check(CLI::PositiveNumber);
  app.add_option("--stream-tokens", settings.stream_tokens, "Tokens of the document")->check(CLI::PositiveNumber);
  app.add_option("--window-tokens", settings.window_tokens, "Window of the session")->capture_default_str();
  app.add_option("--archive-tokens", settings.routing.tokens, "Tokens of the archive that is searched")
      ->check(CLI::PositiveNumber);
  app.add_option("--archive-folder", settings.routing.folder, "Folder of the archive's files");
  app.add_option("--archive-resident-bytes", settings.routing.resident_bytes, "Archive beside its files")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--pattern-tokens", settings.patterns.tokens, "Tokens that attend with each pattern")
      ->check(CLI::Range(1, 1 << 20));
  CLI11_PARSE(app, argc, argv);
  settings.patterns.repeats = std::min(settings.repeats, settings.patterns.repeats);
  settings.routing.repeats = settings.repeats;
  if (settings.routing.folder.empty()) settings.routing.folder = std::filesystem::temp_directory_path();

  const std::shared_ptr<const Model> model =
      ValueOrDie(Model::Load({.path = settings.model_path,
                              .tokenizer_path = settings.tokenizer_path,
                              .precision = ValueOrDie(ParsePrecision(settings.precision)),
                              .num_threads = settings.threads}));
  const std::string bytes = ReadText(settings);
  const std::vector<TokenId> text = Encode(*model, bytes);
  json output = Describe(*model);
  for (const std::string& section : settings.sections) {
    if (section == "stream") {
      output["stream"] = BenchStream(model, text, settings);
    } else if (section == "routing") {
      output["routing"] = ValueOrDie(BenchRouting(*model, text, settings.routing));
    } else if (section == "attention") {
      output["attention"] = BenchAttention({.repeats = settings.repeats});
    } else if (section == "patterns") {
      output["patterns"] = ValueOrDie(BenchPatterns(settings.patterns));
    } else if (section == "words") {
      output["words"] = BenchWords(bytes, settings.repeats);
    } else if (section == "adapters") {
      output["adapters"] = ValueOrDie(
          BenchAdapters(*model, text, {.decode_tokens = settings.decode_tokens, .repeats = settings.repeats}));
    } else if (section == "prefill") {
      for (const int length : settings.lengths) {
        output["prefill"].push_back(BenchPrefill(model, text, length, settings.repeats));
      }
    } else if (section == "decode") {
      for (const int length : settings.lengths) output["decode"].push_back(BenchDecode(model, text, length, settings));
    } else {
      Die(absl::InvalidArgumentError(
          "--sections: expected prefill, decode, stream, routing, attention, patterns, words or adapters, found " +
          section));
    }
  }
  std::cout << output.dump(2) << "\n";
  return 0;
}

}  // namespace
}  // namespace tome

int main(int argc, char** argv) { return tome::Main(argc, argv); }
