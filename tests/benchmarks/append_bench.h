// What it costs to make appended text durable, with a commit for each message and with commits of many.
#ifndef TOME_TESTS_BENCHMARKS_APPEND_BENCH_H_
#define TOME_TESTS_BENCHMARKS_APPEND_BENCH_H_

#include <memory>
#include <string>

#include "engine/engine.h"
#include "nlohmann/json.hpp"

namespace tome::server {

// Medians of so many rounds. The sessions are read by the model at the same time, as in a server; reading so much text
// at `tokens_per_second` is what the seconds are compared with.
nlohmann::json BenchAppends(const std::shared_ptr<const Model>& model, double tokens_per_second, int rounds,
                            const std::string& folder);

}  // namespace tome::server

#endif  // TOME_TESTS_BENCHMARKS_APPEND_BENCH_H_
