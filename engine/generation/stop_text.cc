#include "engine/generation/stop_text.h"

#include <algorithm>

namespace tome {
namespace {

// The most characters at the end of `text` with which `stop` begins, short of all of it.
std::size_t OverlapAtEnd(std::string_view text, std::string_view stop) {
  std::size_t length = std::min(text.size(), stop.size() - 1);
  while (length > 0 && text.substr(text.size() - length) != stop.substr(0, length)) --length;
  return length;
}

}  // namespace

StopTextFilter::StopTextFilter(std::vector<std::string> stop_texts) : stop_texts_(std::move(stop_texts)) {
  std::erase(stop_texts_, std::string());
}

std::string StopTextFilter::Append(std::string_view text) {
  if (stopped_) return {};
  held_.append(text);
  std::size_t first_end = std::string::npos, begin = std::string::npos;
  for (const std::string& stop : stop_texts_) {
    const std::size_t found = held_.find(stop);
    if (found == std::string::npos) continue;
    const std::size_t end = found + stop.size();
    if (end < first_end || (end == first_end && found < begin)) {
      first_end = end;
      begin = found;
    }
  }
  if (begin != std::string::npos) {
    stopped_ = true;
    std::string certain = held_.substr(0, begin);
    held_.clear();
    return certain;
  }
  std::size_t overlap = 0;
  for (const std::string& stop : stop_texts_) overlap = std::max(overlap, OverlapAtEnd(held_, stop));
  std::string certain = held_.substr(0, held_.size() - overlap);
  held_.erase(0, certain.size());
  return certain;
}

std::string StopTextFilter::Finish() { return std::exchange(held_, {}); }

}  // namespace tome
