#include "tests/benchmarks/append_bench.h"

#include <atomic>
#include <filesystem>
#include <future>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "server/session/session_manager.h"
#include "server/telemetry/observer.h"
#include "tests/benchmarks/bench_support.h"

namespace tome::server {
namespace {

using nlohmann::json;

struct Policy {
  const char* name;
  std::size_t commit_bytes;
  absl::Duration commit_delay;
};

// Streams that append as fast as they are taken, each to a session of its own.
struct Load {
  const char* name;
  int streams;
  std::size_t message_bytes;
  int messages;  // of each stream
};
constexpr Load kLoads[] = {{"one_stream_of_4_kib", 1, 4 << 10, 512},
                           {"eight_streams_of_4_kib", 8, 4 << 10, 128},
                           {"one_stream_of_256_kib", 1, 256 << 10, 32}};

class CommitCounter final : public Observer {
 public:
  void OnBytesStored(std::uint64_t, absl::Duration) override { ++commits; }
  std::atomic<int> commits = 0;
};

// A server's sessions in a folder of their own, without a snapshot in the end.
class Server {
 public:
  Server(const std::shared_ptr<const Model>& model, const Policy& policy, const std::string& folder) {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(std::filesystem::path(folder).parent_path());
    SessionManagerOptions options;
    options.data_folder = folder;
    options.max_commit_bytes = policy.commit_bytes;
    options.max_commit_delay = policy.commit_delay;
    auto opened = SessionManager::Open(options, model, counter_);
    Check(opened.status());
    manager_ = *std::move(opened);
  }
  ~Server() { manager_->Shutdown(absl::ZeroDuration()); }

  std::unique_ptr<DocumentWriter> NewWriter(const std::string& session) {
    std::promise<absl::Status> made;
    manager_->Create({.session_id = session}, [&](const auto& info) { made.set_value(info.status()); });
    Check(made.get_future().get());
    auto writer = manager_->OpenDocument(session, "doc", Utf8Policy::kRefuse);
    Check(writer.status());
    return *std::move(writer);
  }

  int commits() const { return counter_.commits; }

 private:
  CommitCounter counter_;
  std::unique_ptr<SessionManager> manager_;
};

// Until the last message is durable.
void Stream(DocumentWriter& writer, const Load& load, const std::string& text) {
  std::promise<absl::Status> last;
  for (int i = 0; i < load.messages; ++i) {
    std::promise<void> room;
    writer.WhenRoom([&] { room.set_value(); });
    room.get_future().get();
    const std::size_t offset = static_cast<std::size_t>(i) * load.message_bytes;
    writer.Write({.offset = offset, .data = text.substr(offset, load.message_bytes)},
                 [&last, ends = i + 1 == load.messages](const absl::StatusOr<WriteResult>& result) {
                   if (ends) return last.set_value(result.status());
                   Check(result.status());
                 });
  }
  Check(last.get_future().get());
}

struct Measured {
  std::vector<double> seconds, commits;
};

void RunLoad(Server& server, const Load& load, const std::string& text, Measured* measured) {
  std::vector<std::unique_ptr<DocumentWriter>> writers;
  for (int i = 0; i < load.streams; ++i) writers.push_back(server.NewWriter(fmt::format("stream-{}", i)));
  const int before = server.commits();
  measured->seconds.push_back(Seconds([&] {
    std::vector<std::thread> threads;
    for (const auto& writer : writers) threads.emplace_back([&] { Stream(*writer, load, text); });
    for (std::thread& thread : threads) thread.join();
  }));
  measured->commits.push_back(server.commits() - before);
}

// Milliseconds from a message of a few bytes to its acknowledgement, each sent `pause` after the one before was
// acknowledged.
void RunWaits(DocumentWriter& writer, int messages, absl::Duration pause, ByteOffset* offset,
              std::vector<double>* milliseconds) {
  for (int i = 0; i < messages; ++i) {
    absl::SleepFor(pause);
    const std::string data = "A few words. ";
    milliseconds->push_back(1000 * Seconds([&] {
                              std::promise<absl::Status> done;
                              writer.Write({.offset = *offset, .data = data},
                                           [&](const auto& result) { done.set_value(result.status()); });
                              Check(done.get_future().get());
                            }));
    *offset += data.size();
  }
}

json WaitsOf(const std::vector<double>& milliseconds) {
  return {{"median_ms", Median(milliseconds)}, {"p99_ms", Quantile(milliseconds, 0.99)}};
}

}  // namespace

json BenchAppends(const std::shared_ptr<const Model>& model, double tokens_per_second, int rounds,
                  const std::string& folder) {
  const SessionManagerOptions defaults;
  const Policy policies[] = {{"each_message", 1, absl::ZeroDuration()},
                             {"groups", defaults.max_commit_bytes, defaults.max_commit_delay}};
  const std::string text = MakeText(std::size_t{8} << 20);
  const double bytes_per_token =
      static_cast<double>(1 << 20) / static_cast<double>(model->tokenizer()->Encode(text.substr(0, 1 << 20)).size());
  std::map<std::pair<std::string, std::string>, Measured> measured;
  std::map<std::string, std::vector<double>> after_pause, in_turn;
  for (int round = 0; round < rounds; ++round) {
    for (const Policy& policy : policies) {
      for (const Load& load : kLoads) {
        Server server(model, policy, folder);
        RunLoad(server, load, text, &measured[{policy.name, load.name}]);
      }
      Server server(model, policy, folder);
      const std::unique_ptr<DocumentWriter> writer = server.NewWriter("waits");
      ByteOffset offset = 0;
      RunWaits(*writer, 50, absl::Milliseconds(40), &offset, &after_pause[policy.name]);
      RunWaits(*writer, 100, absl::ZeroDuration(), &offset, &in_turn[policy.name]);
    }
  }
  json result;
  for (const Policy& policy : policies) {
    json& entry = result[policy.name];
    for (const Load& load : kLoads) {
      const Measured& of_load = measured[{policy.name, load.name}];
      const double bytes = static_cast<double>(load.message_bytes) * load.messages * load.streams;
      const double seconds = Median(of_load.seconds);
      entry[load.name] = {{"bytes", bytes},
                          {"seconds", seconds},
                          {"messages_per_second", load.messages * load.streams / seconds},
                          {"commits", Median(of_load.commits)},
                          {"share_of_reading", seconds / (bytes / bytes_per_token / tokens_per_second)}};
    }
    entry["wait_after_a_pause"] = WaitsOf(after_pause[policy.name]);
    entry["wait_one_after_another"] = WaitsOf(in_turn[policy.name]);
  }
  return result;
}

}  // namespace tome::server
