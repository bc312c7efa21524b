// Says on stderr how far a long piece of work is: after two seconds, then every five.
#ifndef TOME_ENGINE_EVALUATION_FIGURES_PROGRESS_H_
#define TOME_ENGINE_EVALUATION_FIGURES_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "fmt/format.h"

namespace tome {

class Progress {
 public:
  // `first`: what was done before, which does not count for the rate.
  Progress(std::string label, std::int64_t total, std::int64_t first = 0)
      : label_(std::move(label)), total_(total), first_(first) {}

  // `note`: what else there is to say.
  void Show(std::int64_t done, const std::string& note = "") {
    using std::chrono::steady_clock;
    const steady_clock::time_point now = steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - begin_).count();
    if (seconds < 2 || (now - shown_ < std::chrono::seconds(5) && done < total_)) return;
    shown_ = now;
    const double rate = static_cast<double>(done - first_) / seconds;
    const double left = rate > 0 ? static_cast<double>(total_ - done) / rate : 0;
    fmt::print(stderr, "{}: {} of {}, {:.3g}/s, {:.0f} s, about {:.0f} s left{}{}\n", label_, done, total_, rate,
               seconds, left, note.empty() ? "" : "; ", note);
  }

 private:
  std::string label_;
  std::int64_t total_, first_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now(), shown_;
};

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_FIGURES_PROGRESS_H_
