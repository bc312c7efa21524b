// Which bytes of a session its memory holds exactly: those of the sink's and the window's tokens.
#ifndef TOME_SERVER_READING_ATTENDED_TEXT_H_
#define TOME_SERVER_READING_ATTENDED_TEXT_H_

#include <cstddef>
#include <deque>
#include <vector>

#include "engine/engine.h"
#include "engine/text/text_pipeline.h"

namespace tome::server {

// Bytes begin <= i < end of the document with this ordinal.
struct SpanRange {
  std::uint32_t document = 0;
  ByteOffset begin = 0;
  ByteOffset end = 0;

  friend bool operator==(const SpanRange&, const SpanRange&) = default;
};

// Follows the reading of a session as its Memory does: the sink fills up first, then the window slides. Bounded: a
// few bytes for each token that is kept. Not thread-safe; copyable.
class AttendedText {
 public:
  explicit AttendedText(const MemoryOptions& options);

  void Add(const std::vector<TokenSpan>& spans);

  // In reading order, as few ranges as possible, none empty. `tail`: tokens that follow, all of them attended.
  std::vector<SpanRange> Ranges(const std::vector<TokenSpan>& tail = {}) const;

 private:
  std::size_t sink_tokens_;
  std::size_t window_tokens_;
  std::size_t leaving_tokens_;  // that leave the window together
  std::vector<TokenSpan> sink_;
  std::deque<TokenSpan> window_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_READING_ATTENDED_TEXT_H_
