#include "server/telemetry/metrics.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "server/telemetry/metrics_endpoint.h"
#include "tests/server/http_get.h"
#include "tests/support/status_matchers.h"

namespace tome::server {
namespace {

using ::testing::HasSubstr;
using tome::testing::HttpGet;
using tome::testing::StatusIs;

std::string Rendered(const Metrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.registry()->Collect());
}

TEST(MetricsTest, AllFamiliesAreThereBeforeAnythingHappened) {
  const Metrics metrics({.version = "1.2.3", .revision = "abc"});
  const std::string text = Rendered(metrics);
  for (const char* line : {"tome_tokens_read_total{kind=\"document\"} 0",
                           "tome_tokens_read_total{kind=\"restore\"} 0",
                           "tome_tokens_read_total{kind=\"question\"} 0",
                           "tome_tokens_generated_total 0",
                           "tome_segment_seconds_count 0",
                           "tome_time_to_first_token_seconds_count 0",
                           "tome_question_duration_seconds_count{outcome=\"ok\"} 0",
                           "tome_question_phase_seconds_total{phase=\"routing\"} 0",
                           "tome_bytes_appended_total 0",
                           "tome_commit_seconds_count 0",
                           "tome_sessions 0",
                           "tome_sessions_resident 0",
                           "tome_state_bytes{kind=\"reserved\"} 0",
                           "tome_state_bytes{kind=\"held\"} 0",
                           "tome_process_memory_bytes{kind=\"accounted\"} 0",
                           "tome_process_memory_bytes{kind=\"held\"} 0",
                           "tome_archive_bytes{kind=\"resident\"} 0",
                           "tome_archive_bytes{kind=\"spilled\"} 0",
                           "tome_snapshots_total{outcome=\"written\"} 0",
                           "tome_snapshots_total{outcome=\"failed\"} 0",
                           "tome_snapshot_bytes_total 0",
                           "tome_snapshot_seconds_count 0",
                           "tome_snapshot_load_seconds_count 0",
                           "tome_snapshots_refused_total{reason=\"damaged\"} 0",
                           "tome_snapshots_refused_total{reason=\"mismatch\"} 0",
                           "tome_restores_total{source=\"snapshot\"} 0",
                           "tome_restores_total{source=\"first_byte\"} 0",
                           "tome_archive_spill_failures_total 0",
                           "tome_queue_depth{kind=\"waiting\"} 0",
                           "tome_queue_depth{kind=\"running\"} 0"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, HasSubstr("tome_build_info{"));
  EXPECT_THAT(text, HasSubstr("version=\"1.2.3\""));
}

TEST(MetricsTest, CountsWhatIsReported) {
  Metrics metrics({});
  metrics.OnCallFinished({.method = "Ask", .duration = absl::Seconds(2), .code = absl::StatusCode::kNotFound});
  metrics.OnCallFinished({.method = "Ask", .duration = absl::Seconds(2)});
  metrics.OnSegmentRead(512, absl::Milliseconds(300), false);
  metrics.OnSegmentRead(100, absl::Milliseconds(300), true);
  metrics.OnPromptRead(40);
  metrics.OnTokensGenerated(3);
  metrics.OnFirstToken(absl::Milliseconds(700));
  metrics.OnQuestionFinished({.status = absl::CancelledError("")});
  metrics.OnQuestionFinished({.status = absl::InternalError("")});
  metrics.OnQuestionFinished({.status = absl::OkStatus(),
                              .waiting = absl::Seconds(1),
                              .queued = absl::Seconds(2),
                              .reading_question = absl::Seconds(4),
                              .routing = absl::Seconds(8),
                              .reranking = absl::Seconds(16),
                              .reading_text = absl::Seconds(32),
                              .generating = absl::Seconds(64)});
  metrics.OnBytesStored(4096, absl::Milliseconds(3));
  metrics.OnSessions(9);
  metrics.OnResidentSessions(2);
  metrics.OnStateBytes(1000, 600);
  metrics.OnArchiveBytes(70, 900);
  metrics.OnArchiveSpillsFailed(2, absl::ResourceExhaustedError("full"));
  metrics.OnSnapshotWritten(700, absl::Seconds(2));
  metrics.OnSnapshotFailed(absl::InternalError(""));
  metrics.OnSnapshotLoaded(absl::Seconds(3));
  metrics.OnSnapshotRefused(/*damaged=*/true);
  for (int i = 0; i < 2; ++i) metrics.OnSnapshotRefused(/*damaged=*/false);
  for (int i = 0; i < 3; ++i) metrics.OnRestoreBegun(/*from_snapshot=*/true);
  metrics.OnRestoreBegun(/*from_snapshot=*/false);
  metrics.OnWaitingQuestions(5);
  metrics.OnRunningQuestions(4);

  const std::string text = Rendered(metrics);
  for (const char* line : {"tome_rpc_requests_total{code=\"NOT_FOUND\",method=\"Ask\"} 1",
                           "tome_rpc_requests_total{code=\"OK\",method=\"Ask\"} 1",
                           "tome_rpc_duration_seconds_count{method=\"Ask\"} 2",
                           "tome_rpc_duration_seconds_sum{method=\"Ask\"} 4",
                           "tome_tokens_read_total{kind=\"document\"} 512",
                           "tome_tokens_read_total{kind=\"restore\"} 100",
                           "tome_tokens_read_total{kind=\"question\"} 40",
                           "tome_tokens_generated_total 3",
                           "tome_segment_seconds_count 2",
                           "tome_time_to_first_token_seconds_sum 0.7",
                           "tome_question_duration_seconds_count{outcome=\"cancelled\"} 1",
                           "tome_question_duration_seconds_count{outcome=\"error\"} 1",
                           "tome_question_duration_seconds_sum{outcome=\"ok\"} 127",
                           "tome_question_phase_seconds_total{phase=\"waiting\"} 1",
                           "tome_question_phase_seconds_total{phase=\"queued\"} 2",
                           "tome_question_phase_seconds_total{phase=\"reading_question\"} 4",
                           "tome_question_phase_seconds_total{phase=\"routing\"} 8",
                           "tome_question_phase_seconds_total{phase=\"reranking\"} 16",
                           "tome_question_phase_seconds_total{phase=\"reading_text\"} 32",
                           "tome_question_phase_seconds_total{phase=\"generating\"} 64",
                           "tome_bytes_appended_total 4096",
                           "tome_sessions 9",
                           "tome_sessions_resident 2",
                           "tome_state_bytes{kind=\"reserved\"} 1000",
                           "tome_state_bytes{kind=\"held\"} 600",
                           "tome_archive_bytes{kind=\"resident\"} 70",
                           "tome_archive_bytes{kind=\"spilled\"} 900",
                           "tome_snapshots_total{outcome=\"written\"} 1",
                           "tome_snapshots_total{outcome=\"failed\"} 1",
                           "tome_snapshot_bytes_total 700",
                           "tome_snapshot_seconds_sum 2",
                           "tome_snapshot_load_seconds_sum 3",
                           "tome_snapshots_refused_total{reason=\"damaged\"} 1",
                           "tome_snapshots_refused_total{reason=\"mismatch\"} 2",
                           "tome_restores_total{source=\"snapshot\"} 3",
                           "tome_restores_total{source=\"first_byte\"} 1",
                           "tome_archive_spill_failures_total 2",
                           "tome_queue_depth{kind=\"waiting\"} 5",
                           "tome_queue_depth{kind=\"running\"} 4"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(MetricsEndpointTest, IsScrapedOverHttp) {
  Metrics metrics({});
  metrics.OnSessions(3);
  const auto endpoint = MetricsEndpoint::Start("127.0.0.1:0", metrics.registry());
  ASSERT_THAT(endpoint, tome::testing::IsOk());
  EXPECT_GT((*endpoint)->port(), 0);
  const std::string answer = HttpGet((*endpoint)->port(), "/metrics");
  EXPECT_THAT(answer, HasSubstr("200 OK"));
  EXPECT_THAT(answer, HasSubstr("tome_sessions 3"));
}

TEST(MetricsEndpointTest, PortInUseIsAnError) {
  Metrics metrics({});
  const auto first = MetricsEndpoint::Start("127.0.0.1:0", metrics.registry());
  ASSERT_THAT(first, tome::testing::IsOk());
  const std::string address = "127.0.0.1:" + std::to_string((*first)->port());
  EXPECT_THAT(MetricsEndpoint::Start(address, metrics.registry()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(address)));
}

}  // namespace
}  // namespace tome::server
