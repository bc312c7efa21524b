// What the process holds after a crowd has gone.
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/integration/server_fixture.h"
#include "tests/server/http_get.h"
#include "tests/server/tiny_server_model.h"

namespace tome::testing {
namespace {

class ProcessMemoryTest : public ServerFixture {
 protected:
  double Metric(const std::string& name) const {
    const std::string metrics = HttpGet(metrics_port_, "/metrics");
    const std::size_t at = metrics.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(metrics.substr(at + 1 + name.size()));
  }
  double Held() const { return Metric("tome_process_memory_bytes{kind=\"held\"}"); }
  double Accounted() const { return Metric("tome_process_memory_bytes{kind=\"accounted\"}"); }

  // One client that makes sessions, has them read and asked, and deletes them.
  void MakeAndDelete(int client, int sessions) {
    for (int i = 0; i < sessions; ++i) {
      const std::string name = CreateSession("s" + std::to_string(client) + "-" + std::to_string(1000 + i));
      AppendDocument(name, "doc", SomeText(12'000, client), /*chunk=*/12'000);
      WatchToTheEnd(name);
      v1::AskResult result;
      EXPECT_TRUE(Ask(Question(name, "What?"), &result).ok());
      grpc::ClientContext context;
      v1::DeleteSessionRequest request;
      request.set_name(name);
      google::protobuf::Empty nothing;
      EXPECT_TRUE(stub_->DeleteSession(&context, request, &nothing).ok());
    }
  }
};

TEST_F(ProcessMemoryTest, WhatIsHeldIsWhatIsAccountedForOnceACrowdIsGone) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's allocator keeps what was freed";
#endif
  Start();
  std::vector<std::thread> clients;
  for (int client = 0; client < 8; ++client) clients.emplace_back([this, client] { MakeAndDelete(client, 5); });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(Metric("tome_sessions"), 0);
  EXPECT_EQ(Metric("tome_state_bytes{kind=\"held\"}"), 0);
  const absl::Time end = absl::Now() + absl::Seconds(60);
  while (Held() > 1.1 * Accounted() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(200));
  EXPECT_GT(Accounted(), 0);
  EXPECT_LE(Held(), 1.1 * Accounted());
  EXPECT_GE(Held(), 0.9 * Accounted());
}

}  // namespace
}  // namespace tome::testing
