// Random changes of the kinds that parsers trip over.
#ifndef TOME_TESTS_FUZZ_MUTATE_H_
#define TOME_TESTS_FUZZ_MUTATE_H_

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <random>
#include <string>
#include <utility>

namespace tome::testing {

// A few changes. Half of them fall into the first bytes, where the structure is.
inline std::string Mutate(std::string bytes, std::mt19937& random) {
  const auto below = [&](std::size_t limit) { return limit == 0 ? 0 : random() % limit; };
  constexpr unsigned char kTelling[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '"', '{', '}', '[', ']', '-', '9', ','};
  const std::size_t changes = 1 + below(4);
  for (std::size_t i = 0; i < changes; ++i) {
    const std::size_t reach = random() % 2 == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 1024);
    const std::size_t at = below(reach), length = std::min<std::size_t>(1 + below(16), bytes.size() - at);
    switch (random() % 6) {
      case 0:
        if (at < bytes.size()) bytes[at] ^= static_cast<char>(1 << below(8));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<char>(kTelling[below(std::size(kTelling))]);
        break;
      case 2:
        for (std::size_t k = 0; k < std::min<std::size_t>(length, 8); ++k) bytes[at + k] = '\xff';
        break;
      case 3:
        bytes.erase(at, length);
        break;
      case 4:
        bytes.insert(at, bytes.substr(below(bytes.size()), length));
        break;
      default:
        bytes.resize(below(bytes.size() + 1));
        break;
    }
  }
  return bytes;
}

}  // namespace tome::testing

#endif  // TOME_TESTS_FUZZ_MUTATE_H_
