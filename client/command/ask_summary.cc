#include "client/command/ask_summary.h"

#include "client/command/format.h"
#include "fmt/format.h"

namespace tome::command {
namespace {

std::string Ending(v1::AskResult::FinishReason reason) {
  switch (reason) {
    case v1::AskResult::FINISH_REASON_STOP_TOKEN:
      return "complete";
    case v1::AskResult::FINISH_REASON_STOP_TEXT:
      return "ended at a stop text";
    case v1::AskResult::FINISH_REASON_MAX_TOKENS:
      return "cut at --max-tokens";
    case v1::AskResult::FINISH_REASON_CONTEXT_FULL:
      return "cut because the context is full";
    default:
      return "ended";
  }
}

std::string Speed(const v1::AskResult& result) {
  const double seconds = static_cast<double>(ToMilliseconds(result.timings().generating()).count()) / 1000;
  if (seconds <= 0) return "";
  return fmt::format(" at {:.1f} tokens/s", static_cast<double>(result.usage().generated_tokens()) / seconds);
}

std::string Times(const v1::Timings& timings) {
  std::string text = fmt::format("first token after {}", FormatDuration(ToMilliseconds(timings.time_to_first_token())));
  std::string parts;
  const auto add = [&parts](const char* name, const google::protobuf::Duration& duration) {
    const auto milliseconds = ToMilliseconds(duration);
    if (milliseconds.count() < 50) return;
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", name, FormatDuration(milliseconds));
  };
  add("waiting", timings.waiting());
  add("queued", timings.queued());
  add("question", timings.reading_question());
  return parts.empty() ? text : fmt::format("{} ({})", text, parts);
}

std::string Seen(const v1::Usage& usage, const v1::Coverage& coverage) {
  std::string text = fmt::format("saw {} of {} tokens read", FormatCount(usage.attended_tokens()),
                                 FormatCount(coverage.ingested_tokens()));
  std::string ranges;
  for (const v1::ByteRange& range : coverage.exact()) {
    ranges +=
        fmt::format("{}{} {}-{}", ranges.empty() ? "" : ", ", Printable(range.document()), range.begin(), range.end());
  }
  if (!ranges.empty()) text += fmt::format(" (bytes {})", ranges);
  if (coverage.forgotten_bytes() > 0)
    text += fmt::format(", {} have left the window", FormatBytes(coverage.forgotten_bytes()));
  const std::uint64_t reached = coverage.ingested_bytes() + coverage.pending_bytes();
  if (coverage.durable_bytes() > reached) {
    text += fmt::format(", {} are not read yet", FormatBytes(coverage.durable_bytes() - reached));
  }
  return text;
}

}  // namespace

std::string FormatAskSummary(const v1::AskResult& result) {
  return fmt::format("{} | {} prompt + {} generated tokens{} | {} | {}", Ending(result.finish_reason()),
                     FormatCount(result.usage().prompt_tokens()), FormatCount(result.usage().generated_tokens()),
                     Speed(result), Times(result.timings()), Seen(result.usage(), result.coverage()));
}

}  // namespace tome::command
