// States as earlier versions of the engine wrote them.
#ifndef TOME_TESTS_SUPPORT_OLD_STATE_H_
#define TOME_TESTS_SUPPORT_OLD_STATE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "engine/base/crc32c.h"

namespace tome::testing {

// A state of today, Memory::Serialize(), as version 4 wrote it: without a version of stems, with blocks that have no
// languages, and with stems that mean nothing today. `archive_bytes`: Memory::archive_bytes().
class StateOfVersionFour {
 public:
  static std::string From(std::string_view state, std::size_t archive_bytes) {
    return StateOfVersionFour(state).Write(archive_bytes);
  }

 private:
  explicit StateOfVersionFour(std::string_view state) : state_(state) {}

  template <typename T>
  T Number(std::size_t at) const {
    T value;
    std::memcpy(&value, state_.data() + at, sizeof(T));
    return value;
  }
  template <typename T>
  static void Append(T value, std::string* bytes) {
    bytes->append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void SkipText() { at_ += 8 + Number<std::uint64_t>(at_); }

  std::string Write(std::size_t archive_bytes) {
    at_ = 12;  // magic and version
    for (int i = 0; i < 4; ++i) SkipText();
    at_ += 3 * 8;
    std::string old = std::string(state_.substr(0, 8));
    Append<std::uint32_t>(4, &old);
    old += state_.substr(12, at_ - 12);
    SkipText();  // the version of stems
    const std::size_t options = at_;
    region_tokens_ = Number<std::uint32_t>(options + 3 * 4);
    at_ += 13 * 4;
    SkipText();
    SkipText();
    const auto num_blocks = Number<std::uint64_t>(at_ + 5 * 8);
    at_ += 6 * 8;
    old += state_.substr(options, at_ - options);
    Append(Crc32c(old), &old);
    const std::size_t archive = state_.size() - archive_bytes - 12 * num_blocks;
    old += state_.substr(at_ + 4, archive - at_ - 4);
    for (at_ = archive; at_ < state_.size();) AppendBlock(&old);
    return old;
  }

  void AppendBlock(std::string* old) {
    const auto size = Number<std::uint64_t>(at_);
    const std::size_t begin = at_ + 8;
    const auto tokens = Number<std::uint32_t>(begin), stems = Number<std::uint32_t>(begin + 16);
    std::string block(state_.substr(begin, 24));
    block += state_.substr(begin + 28, size - 28);
    const std::size_t first = 24 + 4 * ((tokens + region_tokens_ - 1) / region_tokens_);
    for (std::size_t i = 0; i < stems; ++i) block[first + 4 * i] ^= static_cast<char>(0x5A);
    Append<std::uint64_t>(block.size(), old);
    *old += block;
    Append(Crc32c(block), old);
    at_ = begin + size + 4;
  }

  std::string_view state_;
  std::size_t at_ = 0;
  std::size_t region_tokens_ = 0;
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SUPPORT_OLD_STATE_H_
