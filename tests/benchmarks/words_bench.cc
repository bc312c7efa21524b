#include "tests/benchmarks/words_bench.h"

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "engine/text/words/word_stems.h"

namespace tome {
namespace {

constexpr std::size_t kPieceBytes = 2048;

struct Run {
  double seconds = 0;
  std::size_t stems = 0;
};

Run StemAll(std::string_view text) {
  WordStemmer stemmer;
  TextLanguages languages;
  Run run;
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t at = 0; at < text.size(); at += kPieceBytes) {
    const WordStemmer::Analysis piece = stemmer.AnalyzeText(text.substr(at, kPieceBytes), languages);
    languages = piece.languages;
    run.stems += piece.stems.size();
  }
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return run;
}

}  // namespace

nlohmann::json BenchWords(std::string_view text, int repeats) {
  Run best = StemAll(text);
  for (int i = 1; i < repeats; ++i) {
    const Run run = StemAll(text);
    if (run.seconds < best.seconds) best = run;
  }
  return {{"bytes", text.size()},
          {"stems", best.stems},
          {"megabytes_per_second", static_cast<double>(text.size()) / best.seconds / 1e6},
          {"stems_per_second", static_cast<double>(best.stems) / best.seconds}};
}

}  // namespace tome
