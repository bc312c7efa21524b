// Shows how a document or session is read: a bar that redraws itself on a terminal, plain lines elsewhere.
#ifndef TOME_CLIENT_COMMAND_PROGRESS_H_
#define TOME_CLIENT_COMMAND_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>

namespace tome::command {

struct ProgressView {
  std::string label;               // "reading"
  std::uint64_t done_bytes = 0;    // drawn as '#'
  std::uint64_t stored_bytes = 0;  // drawn as '=' beyond done_bytes
  std::optional<std::uint64_t> total_bytes;
  double tokens_per_second = 0;
  double bytes_per_second = 0;  // shown where there are no tokens
  std::optional<std::chrono::milliseconds> time_left;
};

// One line of fewer than `columns` columns, with what fits: the bar goes first, then the rate, then the time.
std::string FormatBar(const ProgressView& view, int columns);
// One line for a log.
std::string FormatPlain(const ProgressView& view);

// Thread-safe.
class ProgressDisplay {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;
  // `columns` gives the terminal's width, asked anew at each redraw; empty when `out` is no terminal.
  ProgressDisplay(std::ostream& out, std::function<int()> columns, Clock clock = std::chrono::steady_clock::now);
  // Ends the bar's line.
  ~ProgressDisplay();

  // On a terminal at most ten times a second; elsewhere at most every three seconds and, where the total is known, once
  // for each 10%. A new label is shown at once on a terminal. Views in between are dropped.
  void Show(const ProgressView& view);
  // A whole line among the progress.
  void Note(const std::string& line);
  // Takes the bar away, or leaves its last state as a line; on a log, writes the last view if it was dropped.
  void Finish(bool keep);

 private:
  bool Due(const ProgressView& view, std::chrono::steady_clock::time_point now) const;
  void Draw(const ProgressView& view);
  void Erase();

  std::ostream& out_;
  const std::function<int()> columns_;
  const Clock clock_;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::optional<ProgressView> latest_;
  bool latest_shown_ = false;
  bool bar_drawn_ = false;
  std::optional<std::chrono::steady_clock::time_point> shown_at_;
  std::string shown_label_;
  std::string shown_line_;
  int shown_tenth_ = -1;
};

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_PROGRESS_H_
