// tome-bench's section "routing": how long a question looks for its regions in a long archive.
#ifndef TOME_TESTS_BENCHMARKS_ROUTING_BENCH_H_
#define TOME_TESTS_BENCHMARKS_ROUTING_BENCH_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace tome {

struct RoutingBenchOptions {
  std::int64_t tokens = 1'000'000;
  int repeats = 5;
  std::string folder;  // of the archive's files
  std::size_t resident_bytes = ModelOptions{}.archive_resident_bytes;
};

// Times the routers of the model over an archive of `text`, repeated, with random routing codes: once all in memory,
// once with all but `resident_bytes` in files, which must give the same scores.
absl::StatusOr<nlohmann::json> BenchRouting(const Model& model, const std::vector<TokenId>& text,
                                            const RoutingBenchOptions& options);

}  // namespace tome

#endif  // TOME_TESTS_BENCHMARKS_ROUTING_BENCH_H_
