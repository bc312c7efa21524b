#include "client/command/format.h"

#include <algorithm>
#include <array>
#include <clocale>
#include <ctime>
#include <cwchar>

#include "engine/base/utf8.h"
#include "fmt/format.h"

namespace tome::command {
namespace {

// Takes the first character off well-formed UTF-8.
char32_t NextCodePoint(std::string_view& text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t point = size == 1 ? lead : lead & (0x7F >> size);
  for (std::size_t i = 1; i < size; ++i) point = (point << 6) | (static_cast<unsigned char>(text[i]) & 0x3F);
  text.remove_prefix(size);
  return point;
}

int ColumnsOf(char32_t point) {
  // The table of widths is the C library's, which knows it in a UTF-8 locale only.
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (locale == nullptr) return 1;
  const locale_t before = uselocale(locale);
  const int columns = wcwidth(static_cast<wchar_t>(point));
  uselocale(before);
  return columns < 0 ? 1 : columns;
}

}  // namespace

std::string FormatBytes(std::uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  constexpr std::array<const char*, 6> kUnits = {"KB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string FormatCount(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  const std::int64_t milliseconds = std::max<std::int64_t>(duration.count(), 0);
  if (milliseconds < 9'950) return fmt::format("{:.1f} s", static_cast<double>(milliseconds) / 1000);
  const std::int64_t seconds = (milliseconds + 500) / 1000;
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  const std::int64_t minutes = seconds / 60;
  if (minutes < 24 * 60) return fmt::format("{}h{:02}m", minutes / 60, minutes % 60);
  return fmt::format("{}d{:02}h", minutes / (24 * 60), minutes / 60 % 24);
}

std::chrono::milliseconds ToMilliseconds(const google::protobuf::Duration& duration) {
  constexpr std::int64_t kMostSeconds = 1'000'000'000;
  const std::int64_t seconds = std::clamp<std::int64_t>(duration.seconds(), -kMostSeconds, kMostSeconds);
  return std::chrono::milliseconds(seconds * 1000 + duration.nanos() / 1'000'000);
}

std::string FormatTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0 && time.nanos() == 0) return "-";
  const std::time_t seconds = static_cast<std::time_t>(time.seconds());
  std::tm parts = {};
  if (gmtime_r(&seconds, &parts) == nullptr) return "-";
  char text[64];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &parts));
}

std::string FormatPercent(std::uint64_t part, std::uint64_t whole) {
  if (part >= whole) return "100%";
  return fmt::format("{}%", static_cast<int>(100.0 * static_cast<double>(part) / static_cast<double>(whole)));
}

std::string Printable(std::string_view text, bool keep_lines) {
  const std::string valid = ReplaceInvalidUtf8(text);
  std::string result;
  for (std::string_view rest = valid; !rest.empty();) {
    const std::string_view before = rest;
    const char32_t point = NextCodePoint(rest);
    const bool control = point < 0x20 || (point >= 0x7F && point < 0xA0);
    if (!control || (keep_lines && (point == '\n' || point == '\t'))) {
      result += before.substr(0, before.size() - rest.size());
    } else if (point == '\n') {
      result += "\\n";
    } else if (point == '\t') {
      result += "\\t";
    } else {
      result += fmt::format("\\x{:02x}", static_cast<unsigned>(point));
    }
  }
  return result;
}

std::string Excerpt(std::string_view text, std::size_t columns) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  constexpr std::string_view kEllipsis = "...";
  std::string line;
  for (std::size_t at = text.find_first_not_of(kSpace); at != std::string_view::npos && line.size() <= 8 * columns;) {
    const std::size_t end = std::min(text.find_first_of(kSpace, at), text.size());
    if (!line.empty()) line += ' ';
    line += text.substr(at, end - at);
    at = text.find_first_not_of(kSpace, end);
  }
  line = Printable(line);
  if (DisplayWidth(line) <= columns) return line;
  std::size_t width = kEllipsis.size(), size = 0;
  for (std::string_view rest = line; width <= columns;) {
    size = line.size() - rest.size();
    width += ColumnsOf(NextCodePoint(rest));
  }
  return line.substr(0, size) + std::string(kEllipsis);
}

std::string ShellWord(std::string_view text) {
  const std::string printable = Printable(text);
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,";
  if (!printable.empty() && printable.find_first_not_of(kPlain) == std::string::npos) return printable;
  std::string word = "'";
  for (const char c : printable) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

std::size_t DisplayWidth(std::string_view text) {
  const std::string valid = ReplaceInvalidUtf8(text);
  std::size_t columns = 0;
  for (std::string_view rest = valid; !rest.empty();) columns += ColumnsOf(NextCodePoint(rest));
  return columns;
}

}  // namespace tome::command
