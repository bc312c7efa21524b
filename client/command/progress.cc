#include "client/command/progress.h"

#include <algorithm>
#include <cmath>

#include "client/command/format.h"
#include "fmt/format.h"

namespace tome::command {
namespace {

constexpr auto kRedrawInterval = std::chrono::milliseconds(100);
constexpr auto kLineInterval = std::chrono::seconds(3);
constexpr int kSmallestBar = 8;
constexpr int kLargestBar = 60;
constexpr char kEraseLine[] = "\r\x1b[K";

// In tenths of the total; all of nothing is all.
int Tenth(const ProgressView& view) {
  const std::uint64_t total = view.total_bytes.value_or(0);
  if (view.done_bytes >= total) return 10;
  return static_cast<int>(10.0 * static_cast<double>(view.done_bytes) / static_cast<double>(total));
}

std::string Bar(const ProgressView& view, int cells) {
  const double total = std::max<double>(static_cast<double>(*view.total_bytes), 1);
  const auto cells_of = [&](std::uint64_t bytes) {
    return std::clamp(static_cast<int>(cells * (static_cast<double>(bytes) / total)), 0, cells);
  };
  const int done = *view.total_bytes == 0 ? cells : cells_of(view.done_bytes);
  const int stored = std::max(done, cells_of(view.stored_bytes));
  return std::string(done, '#') + std::string(stored - done, '=') + std::string(cells - stored, '.');
}

std::string Amount(const ProgressView& view) {
  if (!view.total_bytes.has_value()) {
    if (view.done_bytes == view.stored_bytes) return fmt::format("{} so far", FormatBytes(view.done_bytes));
    return fmt::format("{} of {} so far", FormatBytes(view.done_bytes), FormatBytes(view.stored_bytes));
  }
  return fmt::format("{} of {}", FormatBytes(view.done_bytes), FormatBytes(*view.total_bytes));
}

std::string Rate(const ProgressView& view) {
  if (!(view.tokens_per_second > 0)) {
    const double bytes = std::min(view.bytes_per_second, 1e15);
    return bytes > 0 ? fmt::format("  {}/s", FormatBytes(static_cast<std::uint64_t>(std::llround(bytes)))) : "";
  }
  const double shown = std::min(view.tokens_per_second, 1e15);
  return fmt::format("  {} tokens/s", FormatCount(static_cast<std::uint64_t>(std::llround(shown))));
}

std::string TimeLeft(const ProgressView& view) {
  const bool any = view.time_left.has_value() && view.time_left->count() > 0;
  return any ? fmt::format("  {} left", FormatDuration(*view.time_left)) : "";
}

std::string Percent(const ProgressView& view) {
  if (!view.total_bytes.has_value()) return "";
  return fmt::format("{:>4}  ", FormatPercent(view.done_bytes, *view.total_bytes));
}

}  // namespace

std::string FormatBar(const ProgressView& view, int columns) {
  const std::string head = view.label + "  ";
  const std::string tail = Percent(view) + Amount(view) + Rate(view) + TimeLeft(view);
  // The last column stays free: some terminals wrap when it is written.
  const int room = columns - 1;
  const int bar = room - static_cast<int>(head.size() + tail.size()) - 4;
  if (view.total_bytes.has_value() && bar >= kSmallestBar) {
    return fmt::format("{}[{}] {}", head, Bar(view, std::min(bar, kLargestBar)), tail);
  }
  for (const std::string& line : {head + tail, head + Percent(view) + Amount(view) + TimeLeft(view),
                                  head + Percent(view) + Amount(view), Percent(view)}) {
    if (static_cast<int>(line.size()) <= room) return line;
  }
  return "";
}

std::string FormatPlain(const ProgressView& view) {
  const std::string percent =
      view.total_bytes.has_value() ? FormatPercent(view.done_bytes, *view.total_bytes) + "  " : "";
  return fmt::format("{}  {}{}{}{}", view.label, percent, Amount(view), Rate(view), TimeLeft(view));
}

ProgressDisplay::ProgressDisplay(std::ostream& out, std::function<int()> columns, Clock clock)
    : out_(out), columns_(std::move(columns)), clock_(std::move(clock)) {}

ProgressDisplay::~ProgressDisplay() { Finish(/*keep=*/true); }

void ProgressDisplay::Show(const ProgressView& view) {
  std::lock_guard lock(mutex_);
  latest_ = view;
  latest_shown_ = false;
  if (Due(view, clock_())) Draw(view);
}

bool ProgressDisplay::Due(const ProgressView& view, std::chrono::steady_clock::time_point now) const {
  if (!shown_at_.has_value()) return true;
  const bool new_label = view.label != shown_label_;
  if (columns_) return new_label || now - *shown_at_ >= kRedrawInterval;
  if (now - *shown_at_ < kLineInterval) return false;
  return new_label || !view.total_bytes.has_value() || Tenth(view) > shown_tenth_;
}

void ProgressDisplay::Draw(const ProgressView& view) {
  if (columns_) {
    out_ << kEraseLine << FormatBar(view, columns_()) << std::flush;
    bar_drawn_ = true;
  } else {
    const std::string line = FormatPlain(view);
    if (line != shown_line_) out_ << line << std::endl;
    shown_line_ = line;
  }
  shown_at_ = clock_();
  shown_label_ = view.label;
  shown_tenth_ = Tenth(view);
  latest_shown_ = true;
}

void ProgressDisplay::Erase() {
  if (bar_drawn_) out_ << kEraseLine << std::flush;
  bar_drawn_ = false;
}

void ProgressDisplay::Note(const std::string& line) {
  std::lock_guard lock(mutex_);
  const bool redraw = bar_drawn_;
  Erase();
  out_ << line << std::endl;
  if (redraw && latest_.has_value()) Draw(*latest_);
}

void ProgressDisplay::Finish(bool keep) {
  std::lock_guard lock(mutex_);
  if (!keep) {
    Erase();
  } else if (latest_.has_value()) {
    if (!latest_shown_) Draw(*latest_);
    if (bar_drawn_) out_ << std::endl;
    bar_drawn_ = false;
  }
  latest_.reset();
}

}  // namespace tome::command
