// What sessions cost that nobody uses.
#ifndef TOME_TESTS_BENCHMARKS_IDLE_SESSIONS_BENCH_H_
#define TOME_TESTS_BENCHMARKS_IDLE_SESSIONS_BENCH_H_

#include <memory>
#include <string>

#include "engine/engine.h"
#include "nlohmann/json.hpp"

namespace tome::server {

// Makes `count` sessions, opens them as a server does when it starts, and lists them all: medians of so many rounds.
nlohmann::json BenchIdleSessions(const std::shared_ptr<const Model>& model, int count, int rounds,
                                 const std::string& folder);

}  // namespace tome::server

#endif  // TOME_TESTS_BENCHMARKS_IDLE_SESSIONS_BENCH_H_
