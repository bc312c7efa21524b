#include "server/reading/attended_text.h"

namespace tome::server {

AttendedText::AttendedText(const MemoryOptions& options)
    : sink_tokens_(static_cast<std::size_t>(options.sink_tokens)),
      window_tokens_(static_cast<std::size_t>(options.window_tokens)),
      leaving_tokens_(options.regions.selected > 0 ? static_cast<std::size_t>(options.region_tokens) : 1) {}

void AttendedText::Add(const std::vector<TokenSpan>& spans) {
  for (const TokenSpan& span : spans) {
    if (sink_.size() < sink_tokens_) {
      sink_.push_back(span);
      continue;
    }
    window_.push_back(span);
    if (window_.size() < window_tokens_ + leaving_tokens_) continue;
    window_.erase(window_.begin(), window_.begin() + static_cast<std::ptrdiff_t>(leaving_tokens_));
  }
}

std::vector<SpanRange> AttendedText::Ranges(const std::vector<TokenSpan>& tail) const {
  std::vector<SpanRange> ranges;
  const auto add = [&ranges](const TokenSpan& span) {
    if (span.num_bytes == 0) return;
    if (!ranges.empty() && ranges.back().document == span.document && ranges.back().end == span.begin) {
      ranges.back().end += span.num_bytes;
    } else {
      ranges.push_back({.document = span.document, .begin = span.begin, .end = span.begin + span.num_bytes});
    }
  };
  for (const TokenSpan& span : sink_) add(span);
  for (const TokenSpan& span : window_) add(span);
  for (const TokenSpan& span : tail) add(span);
  return ranges;
}

}  // namespace tome::server
