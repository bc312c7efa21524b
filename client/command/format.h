// Numbers, times and foreign text in the form that people read.
#ifndef TOME_CLIENT_COMMAND_FORMAT_H_
#define TOME_CLIENT_COMMAND_FORMAT_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace tome::command {

// "512 B", "1.5 KB", "4.3 MB": powers of 1000.
std::string FormatBytes(std::uint64_t bytes);
// "1,234,567".
std::string FormatCount(std::uint64_t count);
// "0.8 s", "12 s", "3m05s", "2h04m", "5d03h".
std::string FormatDuration(std::chrono::milliseconds duration);
std::chrono::milliseconds ToMilliseconds(const google::protobuf::Duration& duration);
// "2026-11-21 10:05:03Z"; "-" for a time that is not set.
std::string FormatTime(const google::protobuf::Timestamp& time);
// "42%", rounded down so that 100% means all. "100%" of nothing.
std::string FormatPercent(std::uint64_t part, std::uint64_t whole);

// Text of others for a terminal: control characters, which could move the cursor or worse, become "\x1b" and the like.
// Line ends and tabs are kept with `keep_lines`. What is not UTF-8 becomes U+FFFD.
std::string Printable(std::string_view text, bool keep_lines = false);

// The beginning of a text on one line of at most so many columns: white space becomes single spaces, a cut end "...".
std::string Excerpt(std::string_view text, std::size_t columns);

// Text as a word of a shell's command line, in quotes where they are needed.
std::string ShellWord(std::string_view text);

// Columns that UTF-8 text takes on a terminal: two for wide characters, none for combining ones.
std::size_t DisplayWidth(std::string_view text);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_FORMAT_H_
