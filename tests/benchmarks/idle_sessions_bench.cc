#include "tests/benchmarks/idle_sessions_bench.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "server/session/session_manager.h"
#include "server/storage/data_folder.h"
#include "server/storage/session_store.h"
#include "tests/benchmarks/bench_support.h"

namespace tome::server {
namespace {

using nlohmann::json;

void MakeSessions(const ModelInfo& model, int count, const std::string& folder) {
  for (int i = 0; i < count; ++i) {
    StoredSession session{.id = fmt::format("session-{}", i),
                          .display_name = fmt::format("Notes of day {}", i * 7919 % count),
                          .labels = {{"team", i % 2 == 0 ? "red" : "blue"}},
                          .create_time = absl::UnixEpoch() + absl::Seconds(i)};
    session.options = MemoryOptions();
    session.model_digest = model.model_digest;
    session.tokenizer_digest = model.tokenizer_digest;
    const std::string path = fmt::format("{}/sessions/{}", folder, session.id);
    std::filesystem::create_directories(path);
    Check(SessionStore::Create(DatabasePathIn(path), session));
  }
}

struct Listing {
  const char* name;
  int page_size;
  const char* filter;
  const char* order_by;
};
constexpr Listing kListings[] = {{"pages_of_1000", 1000, "", ""},
                                 {"pages_of_50", 50, "", ""},
                                 {"filter_by_label", 1000, "labels.team=red", ""},
                                 {"order_by_display_name", 1000, "", "display_name"},
                                 {"filter_and_order_pages_of_50", 50, "labels.team=red", "display_name desc"}};

// All pages.
void List(const SessionManager& manager, const Listing& listing, std::size_t* listed, std::size_t* state_bytes) {
  *listed = *state_bytes = 0;
  ListRequest request{.page_size = listing.page_size, .filter = listing.filter, .order_by = listing.order_by};
  do {
    const auto page = manager.List(request);
    Check(page.status());
    for (const SessionInfo& session : page->sessions) *state_bytes += session.state_bytes;
    *listed += page->sessions.size();
    request.page_token = page->next_page_token;
  } while (!request.page_token.empty());
}

}  // namespace

json BenchIdleSessions(const std::shared_ptr<const Model>& model, int count, int rounds, const std::string& folder) {
  MakeSessions(model->info(), count, folder);
  Observer observer;
  SessionManagerOptions options;
  options.data_folder = folder;
  options.max_sessions = count;
  std::unique_ptr<SessionManager> manager;
  std::vector<double> open_seconds;
  for (int round = 0; round < rounds; ++round) {
    manager.reset();
    open_seconds.push_back(Seconds([&] {
      auto opened = SessionManager::Open(options, model, observer);
      Check(opened.status());
      manager = *std::move(opened);
    }));
  }
  json result = {{"sessions", count}, {"open_seconds", Median(open_seconds)}};
  for (const Listing& listing : kListings) {
    std::size_t listed = 0, state_bytes = 0;
    std::vector<double> seconds;
    for (int round = 0; round < rounds; ++round) {
      seconds.push_back(Seconds([&] { List(*manager, listing, &listed, &state_bytes); }));
    }
    result[listing.name] = {{"listed", listed}, {"state_bytes", state_bytes}, {"seconds", Median(seconds)}};
  }
  return result;
}

}  // namespace tome::server
