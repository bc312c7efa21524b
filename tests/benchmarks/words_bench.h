// tome-bench's section "words": how fast the words of a text are found and stemmed.
#ifndef TOME_TESTS_BENCHMARKS_WORDS_BENCH_H_
#define TOME_TESTS_BENCHMARKS_WORDS_BENCH_H_

#include <nlohmann/json.hpp>
#include <string_view>

namespace tome {

// On one thread, in pieces as long as a segment's text, the best of the repeats.
nlohmann::json BenchWords(std::string_view text, int repeats);

}  // namespace tome

#endif  // TOME_TESTS_BENCHMARKS_WORDS_BENCH_H_
