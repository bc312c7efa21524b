#include "engine/base/text_encoding.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace tome {
namespace {

// So few bytes are judged strictly, because by chance they may look like anything.
constexpr std::size_t kFewBytes = 1024;
constexpr std::size_t kVeryFewBytes = 64;
// At the end of a text shorter than the first point at which it is judged.
constexpr std::size_t kLeastUtf16Bytes = 4, kLeastUtf32Bytes = 8, kLeastBinaryBytes = 16;

bool IsPointOfJudgement(std::size_t taken) { return taken == 4 || (taken >= 16 && std::has_single_bit(taken)); }

}  // namespace

std::string_view ForeignTextName(ForeignText kind) {
  switch (kind) {
    case ForeignText::kUtf16Le:
      return "UTF-16LE";
    case ForeignText::kUtf16Be:
      return "UTF-16BE";
    case ForeignText::kUtf16:
      return "UTF-16";
    case ForeignText::kUtf32Le:
      return "UTF-32LE";
    case ForeignText::kUtf32Be:
      return "UTF-32BE";
    case ForeignText::kUtf32:
      return "UTF-32";
    case ForeignText::kBinary:
      break;
  }
  return "binary";
}

std::optional<ForeignText> ForeignTextDetector::Append(std::string_view bytes) {
  for (const char c : bytes.substr(0, kInspectedBytes - taken_)) {
    const auto byte = static_cast<unsigned char>(c);
    const std::size_t place = taken_ % 4;
    if (taken_ < first_.size()) first_[taken_] = byte;
    nuls_[place] += byte == 0 ? 1 : 0;
    const bool blank = byte == '\t' || byte == '\n' || byte == '\r';
    blanks_[place] += blank ? 1 : 0;
    controls_[place] += byte > 0 && byte < 0x20 && !blank ? 1 : 0;
    ++taken_;
    if (!IsPointOfJudgement(taken_)) continue;
    if (const auto found = taken_ == 4 ? Marked() : Guess(/*at_end=*/taken_ == kInspectedBytes)) return found;
  }
  return std::nullopt;
}

std::optional<ForeignText> ForeignTextDetector::Finish() const {
  const std::optional<ForeignText> marked = Marked();
  return marked ? marked : Guess(/*at_end=*/true);
}

std::optional<ForeignText> ForeignTextDetector::Marked() const {
  const auto begins_with = [this](std::initializer_list<unsigned char> mark) {
    return taken_ >= mark.size() && std::equal(mark.begin(), mark.end(), first_.begin());
  };
  if (begins_with({0xFF, 0xFE, 0, 0}) || begins_with({0, 0, 0xFE, 0xFF})) return ForeignText::kUtf32;
  if (begins_with({0xFF, 0xFE}) || begins_with({0xFE, 0xFF})) return ForeignText::kUtf16;
  return std::nullopt;
}

std::optional<ForeignText> ForeignTextDetector::Guess(bool at_end) const {
  if (const auto found = GuessUtf32()) return found;
  if (const auto found = GuessUtf16()) return found;
  const std::size_t nuls = std::accumulate(nuls_.begin(), nuls_.end(), std::size_t{0});
  const bool binary = at_end && taken_ >= kLeastBinaryBytes && 5 * nuls >= 2 * taken_;
  return binary ? std::optional(ForeignText::kBinary) : std::nullopt;
}

// Code points have at least one byte of zeros beside those that only the most exotic ones use.
std::optional<ForeignText> ForeignTextDetector::GuessUtf32() const {
  if (taken_ < kLeastUtf32Bytes) return std::nullopt;
  const double all = static_cast<double>(taken_ / 4);
  const auto zeros = [&](std::size_t place) { return nuls_[place] >= 0.9 * all; };
  const auto text = [&](std::size_t place) { return nuls_[place] <= 0.5 * all; };
  if (zeros(3) && zeros(2) && text(0)) return ForeignText::kUtf32Le;
  if (zeros(0) && zeros(1) && text(3)) return ForeignText::kUtf32Be;
  return std::nullopt;
}

// The high bytes, every second byte, say the script: NUL is Latin, and most others are control characters, among them
// tabs and ends of lines. With the low bytes it is not so.
std::optional<ForeignText> ForeignTextDetector::GuessUtf16() const {
  if (taken_ < kLeastUtf16Bytes) return std::nullopt;
  const double all = static_cast<double>(taken_ / 2);
  const bool few = taken_ < kFewBytes;
  for (const std::size_t high : {1, 0}) {
    const auto count = [](const Counts& counts, std::size_t place) { return counts[place] + counts[place + 2]; };
    const std::size_t low = 1 - high;
    const double nuls = count(nuls_, high), controls = nuls + count(controls_, high);
    const double low_nuls = count(nuls_, low), low_odd = low_nuls + count(controls_, low) + count(blanks_, low);
    const bool latin = nuls >= (few ? 0.9 : 0.4) * all && low_nuls <= 0.1 * all;
    const bool script = controls + count(blanks_, high) >= (few ? 0.9 : 0.75) * all &&
                        controls >= (taken_ < kVeryFewBytes ? 0.5 : 0.1) * all && low_odd <= 0.6 * all &&
                        taken_ >= kLeastBinaryBytes;
    if (latin || script) return high == 1 ? ForeignText::kUtf16Le : ForeignText::kUtf16Be;
  }
  return std::nullopt;
}

}  // namespace tome
