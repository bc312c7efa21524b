// Oniguruma's dialect (Ruby syntax, Unicode) in PCRE2's words.
#include <cctype>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/status.h"
#include "engine/text/splitting/regex.h"

namespace tome {
namespace {

// What Unicode 15 and 16 added to the letters and the numbers: Oniguruma knows it, Debian 12's PCRE2 10.42 does not.
constexpr std::string_view kLetters =
    R"(\p{L}\x{1C89}-\x{1C8A}\x{A7CB}-\x{A7CD}\x{A7DA}-\x{A7DC}\x{105C0}-\x{105F3}\x{10D4A}-\x{10D65})"
    R"(\x{10D6F}-\x{10D85}\x{10EC2}-\x{10EC4}\x{1123F}-\x{11240}\x{11380}-\x{11389}\x{1138B}\x{1138E})"
    R"(\x{11390}-\x{113B5}\x{113B7}\x{113D1}\x{113D3}\x{11BC0}-\x{11BE0}\x{11F02}\x{11F04}-\x{11F10})"
    R"(\x{11F12}-\x{11F33}\x{1342F}\x{13441}-\x{13446}\x{13460}-\x{143FA}\x{16100}-\x{1611D}\x{16D40}-\x{16D6C})"
    R"(\x{18CFF}\x{1B132}\x{1B155}\x{1DF25}-\x{1DF2A}\x{1E030}-\x{1E06D}\x{1E4D0}-\x{1E4EB}\x{1E5D0}-\x{1E5ED})"
    R"(\x{1E5F0}\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})";
constexpr std::string_view kNumbers =
    R"(\p{N}\x{10D40}-\x{10D49}\x{116D0}-\x{116E3}\x{11BF0}-\x{11BF9}\x{11F50}-\x{11F59}\x{16130}-\x{16139})"
    R"(\x{16D70}-\x{16D79}\x{1CCF0}-\x{1CCF9}\x{1D2C0}-\x{1D2D3}\x{1E4F0}-\x{1E4F9}\x{1E5F1}-\x{1E5FA})";

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  absl::StatusOr<std::string> Run() {
    while (position_ < pattern_.size()) TOME_RETURN_IF_ERROR(Next());
    if (in_class_) return Unsupported("a class without its end");
    return std::move(output_);
  }

 private:
  absl::Status Unsupported(std::string_view what) const {
    return InvalidArgument("regular expression '{}': {} at offset {} is not supported", pattern_, what, position_);
  }
  bool At(std::string_view text) const { return pattern_.substr(position_).substr(0, text.size()) == text; }
  void Copy(std::size_t size) {
    output_ += pattern_.substr(position_, size);
    position_ += size;
  }
  void Replace(std::size_t size, std::string_view by) {
    output_ += by;
    position_ += size;
  }

  absl::Status Next() {
    if (pattern_[position_] == '\\') return Escape();
    return in_class_ ? ClassMember() : Outside();
  }

  absl::Status Outside() {
    switch (pattern_[position_]) {
      case '^':
      case '$':
        return Unsupported("an anchor");
      case '(':
        return Group();
      case '{':
        return Interval();
      case '[':
        in_class_ = true;
        Copy(At("[^") ? 2 : 1);
        if (At("]")) return Unsupported("an empty class");
        return absl::OkStatus();
      default:
        Copy(1);
        return absl::OkStatus();
    }
  }

  absl::Status Group() {
    if (!At("(?")) {
      if (At("(*")) return Unsupported("a verb");
      Copy(1);
      return absl::OkStatus();
    }
    for (const std::string_view opening : {"(?:", "(?=", "(?!", "(?>", "(?i:", "(?-i:"}) {
      if (!At(opening)) continue;
      Copy(opening.size());
      return absl::OkStatus();
    }
    return Unsupported("this kind of group");
  }

  // {n}, {n,} and {n,m} are the same in both; "{,m}" is not, nor is a "+" after the brace.
  absl::Status Interval() {
    const std::size_t close = pattern_.find('}', position_);
    const std::string_view body =
        close == std::string_view::npos ? std::string_view() : pattern_.substr(position_ + 1, close - position_ - 1);
    const bool counts = body.find_first_not_of("0123456789,") == std::string_view::npos;
    if (body.empty() || body.front() == ',' || !counts) return Unsupported("this brace");
    Copy(body.size() + 2);
    if (At("+")) return Unsupported("a repeated interval");
    return absl::OkStatus();
  }

  absl::Status ClassMember() {
    if (At("[")) return Unsupported("a class within a class");
    if (At("&&")) return Unsupported("an intersection of classes");
    if (At("]")) in_class_ = false;
    Copy(1);
    return absl::OkStatus();
  }

  absl::Status Escape() {
    if (position_ + 1 == pattern_.size()) return Unsupported("a trailing backslash");
    const char letter = pattern_[position_ + 1];
    switch (letter) {
      case 's':
        Replace(2, "\\p{White_Space}");
        return absl::OkStatus();
      case 'S':
        Replace(2, "\\P{White_Space}");
        return absl::OkStatus();
      case 'd':
        Replace(2, "\\p{Nd}");
        return absl::OkStatus();
      case 'D':
        Replace(2, "\\P{Nd}");
        return absl::OkStatus();
      case 'w':
        Replace(2, in_class_ ? WordMembers() : fmt::format("[{}]", WordMembers()));
        return absl::OkStatus();
      case 'W':
        if (in_class_) return Unsupported("\\W in a class");
        Replace(2, fmt::format("[^{}]", WordMembers()));
        return absl::OkStatus();
      case 'p':
      case 'P':
        return Property();
      case 'u':
      case 'x':
        return CodePoint();
      case 'v':
        Replace(2, "\\x0B");
        return absl::OkStatus();
      default:
        return PlainEscape(letter);
    }
  }

  absl::Status PlainEscape(char letter) {
    const bool control = std::string_view("tnrfae").find(letter) != std::string_view::npos;
    const bool punctuation = static_cast<unsigned char>(letter) < 0x80 && std::ispunct(letter) != 0;
    if (!control && !punctuation && letter != ' ') return Unsupported(fmt::format("\\{}", letter));
    Copy(2);
    return absl::OkStatus();
  }

  absl::Status Property() {
    const std::size_t close = pattern_.find('}', position_);
    if (position_ + 2 >= pattern_.size() || pattern_[position_ + 2] != '{' || close == std::string_view::npos) {
      return Unsupported("a property without braces");
    }
    const std::string_view name = pattern_.substr(position_ + 2, close - position_ - 1);
    if (name != "{L}" && name != "{N}") {
      Copy(close - position_ + 1);
      return absl::OkStatus();
    }
    const bool is_negated = pattern_[position_ + 1] == 'P';
    if (is_negated && in_class_) return Unsupported("a negated property in a class");
    const std::string_view members = name == "{L}" ? kLetters : kNumbers;
    Replace(close - position_ + 1, in_class_    ? std::string(members)
                                   : is_negated ? fmt::format("[^{}]", members)
                                                : fmt::format("[{}]", members));
    return absl::OkStatus();
  }

  // \uHHHH, \xHH and \x{H...}, all as \x{H...}.
  absl::Status CodePoint() {
    const bool braced = At("\\x{");
    std::size_t digits = pattern_[position_ + 1] == 'u' ? 4 : 2;
    std::size_t begin = position_ + 2;
    if (braced) {
      begin += 1;
      const std::size_t close = pattern_.find('}', begin);
      digits = close == std::string_view::npos ? 0 : close - begin;
    }
    const std::string_view hex = pattern_.substr(begin, digits);
    if (hex.empty() || hex.size() != digits ||
        hex.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
      return Unsupported("this code point");
    }
    Replace(begin + digits + (braced ? 1 : 0) - position_, fmt::format("\\x{{{}}}", hex));
    return absl::OkStatus();
  }

  static std::string WordMembers() { return fmt::format("{}\\p{{Alphabetic}}\\p{{M}}\\p{{Nd}}\\p{{Pc}}", kLetters); }

  std::string_view pattern_;
  std::size_t position_ = 0;
  bool in_class_ = false;
  std::string output_;
};

}  // namespace

absl::StatusOr<std::string> TranslateOnigurumaPattern(std::string_view pattern) { return Translator(pattern).Run(); }

}  // namespace tome
