// What the benchmarks share.
#ifndef TOME_TESTS_BENCHMARKS_BENCH_SUPPORT_H_
#define TOME_TESTS_BENCHMARKS_BENCH_SUPPORT_H_

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/status.h"

namespace tome {

inline double Seconds(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Ends tome-durability-bench.
inline void Check(const absl::Status& status) {
  if (status.ok()) return;
  fmt::print(stderr, "tome-durability-bench: {}\n", status.ToString());
  std::exit(1);
}

// The value below which this share of them lies. `values` is not empty.
inline double Quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}
inline double Median(std::vector<double> values) { return Quantile(std::move(values), 0.5); }

// Words, so that tokens are as long as English has them.
inline std::string MakeText(std::size_t bytes) {
  const std::vector<std::string> words = {"the", "river",  "went", "past", "houses",
                                          "and", "people", "of",   "a",    "valley"};
  std::mt19937 random(1);
  std::string text;
  while (text.size() < bytes) text += words[random() % words.size()] + (random() % 12 == 0 ? ". " : " ");
  text.resize(bytes);
  return text;
}

}  // namespace tome

#endif  // TOME_TESTS_BENCHMARKS_BENCH_SUPPORT_H_
