#include "tests/benchmarks/routing_bench.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include "engine/base/status.h"
#include "engine/memory/archive.h"
#include "engine/memory/routing.h"

namespace tome {
namespace {

using nlohmann::json;

constexpr char kQuestion[] = "How many houses did the river pass on its way to the sea?";
constexpr int kQueries = 20;  // of a question, for each retrieval head

template <typename Body>
double Milliseconds(Body body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

Archive MakeArchive(const Model& model, const std::vector<TokenId>& text, std::int64_t tokens,
                    std::shared_ptr<SpillFolder> spill) {
  const MemoryOptions memory;
  Archive archive(ArchiveLayoutOf(model, memory), std::move(spill));
  std::mt19937_64 random(1);
  ByteOffset begin = 0;
  while (archive.num_tokens() < tokens) {
    std::vector<TokenId> segment;
    std::vector<TokenSpan> spans;
    for (int i = 0; i < memory.segment_tokens; ++i) {
      segment.push_back(text[(archive.num_tokens() + i) % text.size()]);
      const auto size = static_cast<std::uint32_t>(model.tokenizer()->TokenBytes(segment.back()).size());
      spans.push_back({.document = 0, .num_bytes = size, .begin = begin});
      begin += size;
    }
    std::string codes(segment.size() * archive.layout().code_bytes, '\0');
    for (char& code : codes) code = static_cast<char>(random());
    archive.Append(ArchiveBlock::Make(archive.layout(), segment, spans, codes, *model.tokenizer()));
  }
  return archive;
}

std::vector<HeadQueries> RandomQueries(const ModelProfile& profile) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0, 0.05f);
  std::vector<HeadQueries> queries;
  for (const RetrievalHead& head : profile.heads) {
    HeadQueries own{.num_queries = kQueries};
    for (int i = 0; i < kQueries * head.code_dims(); ++i) own.values.push_back(normal(random));
    queries.push_back(std::move(own));
  }
  return queries;
}

struct Scores {
  std::vector<float> attention, stems, tokens;
  friend bool operator==(const Scores&, const Scores&) = default;
};

// Medians of several rounds, and what the first of them took.
json Time(const Model& model, const Archive& archive, int repeats, Scores* scores) {
  const std::vector<HeadQueries> queries = RandomQueries(model.profile());
  std::vector<TokenId> question;
  for (const TextToken& token : model.tokenizer()->Encode(kQuestion)) question.push_back(token.id);
  std::vector<double> attention, words, all;
  for (int i = 0; i <= repeats; ++i) {
    attention.push_back(Milliseconds([&] {
      const std::vector<float> weights = TokenWeights(archive, question);
      scores->attention = ScoreByAttention(archive, model.profile(), queries, weights).scores;
    }));
    words.push_back(Milliseconds([&] {
      scores->stems = ScoreByStems(archive, kQuestion);
      scores->tokens = ScoreByTokens(archive, question);
    }));
    all.push_back(attention.back() + words.back());
  }
  const double first = all.front();
  const auto median = [](std::vector<double> times) {
    times.erase(times.begin());
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  };
  return {{"resident_bytes", archive.resident_bytes()},
          {"spilled_bytes", archive.spilled_bytes()},
          {"attention_ms", median(attention)},
          {"words_ms", median(words)},
          {"all_ms", median(all)},
          {"first_ms", first}};
}

}  // namespace

absl::StatusOr<json> BenchRouting(const Model& model, const std::vector<TokenId>& text,
                                  const RoutingBenchOptions& options) {
  const auto spill = std::make_shared<SpillFolder>(options.folder, options.resident_bytes);
  TOME_RETURN_IF_ERROR(spill->Prepare());
  const Archive in_memory = MakeArchive(model, text, options.tokens, nullptr);
  const Archive in_files = MakeArchive(model, text, options.tokens, spill);
  Scores expected, found;
  json result = {{"tokens", in_memory.num_tokens()},
                 {"regions", in_memory.num_regions()},
                 {"archive_bytes", in_memory.bytes()},
                 {"heads", model.profile().heads.size()},
                 {"queries", kQueries}};
  result["in_memory"] = Time(model, in_memory, options.repeats, &expected);
  result["in_files"] = Time(model, in_files, options.repeats, &found);
  if (found != expected) return Internal("archives in memory and in files give other scores");
  return result;
}

}  // namespace tome
