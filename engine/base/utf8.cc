#include "engine/base/utf8.h"

#include <cstring>

namespace tome {
namespace {

// How many of the first bytes are ASCII, found eight at a time; may stop up to seven early.
std::size_t AsciiPrefix(std::string_view bytes) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080;
  std::size_t length = 0;
  for (; length + 8 <= bytes.size(); length += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + length, sizeof(word));
    if ((word & kHighBits) != 0) break;
  }
  return length;
}

}  // namespace

Utf8Decoder::Result Utf8Decoder::Take(unsigned char byte) {
  if (missing_ > 0) {
    if (byte < lowest_ || byte > highest_) {
      *this = Utf8Decoder();
      return Result::kIllFormed;
    }
    lowest_ = 0x80, highest_ = 0xBF;
    ++pending_;
    if (--missing_ > 0) return Result::kIncomplete;
    pending_ = 0;
    return Result::kComplete;
  }
  if (byte < 0x80) return Result::kComplete;
  if (byte < 0xC2 || byte > 0xF4) return Result::kIllFormed;
  pending_ = 1;
  missing_ = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
  // The second byte's range excludes overlong forms (E0, F0), surrogates (ED) and what is above U+10FFFF (F4).
  if (byte == 0xE0) lowest_ = 0xA0;
  if (byte == 0xED) highest_ = 0x9F;
  if (byte == 0xF0) lowest_ = 0x90;
  if (byte == 0xF4) highest_ = 0x8F;
  return Result::kIncomplete;
}

bool Utf8Validator::Append(std::string_view bytes) {
  if (error_offset_) return false;
  std::size_t next = 0;
  while (next < bytes.size()) {
    const int pending = decoder_.pending_bytes();
    if (pending == 0) next += AsciiPrefix(bytes.substr(next));
    if (next == bytes.size()) break;
    if (decoder_.Take(static_cast<unsigned char>(bytes[next])) == Utf8Decoder::Result::kIllFormed) {
      error_offset_ = offset_ + next - pending;
      offset_ += next;
      return false;
    }
    ++next;
  }
  offset_ += bytes.size();
  return true;
}

bool Utf8Validator::Finish() {
  if (!error_offset_ && decoder_.pending_bytes() > 0) error_offset_ = offset_ - decoder_.pending_bytes();
  return !error_offset_;
}

bool IsValidUtf8(std::string_view text) {
  Utf8Validator validator;
  return validator.Append(text) && validator.Finish();
}

void Utf8Replacer::Replace(int source_bytes, std::string* output, std::vector<Utf8Replacement>* replacements) {
  if (replacements != nullptr) {
    replacements->push_back({output_offset_, source_offset_, static_cast<std::uint32_t>(source_bytes)});
  }
  output->append(kReplacementCharacter);
  output_offset_ += kReplacementCharacter.size();
  source_offset_ += source_bytes;
}

void Utf8Replacer::Append(std::string_view bytes, std::string* output, std::vector<Utf8Replacement>* replacements) {
  const auto copy = [&](const char* data, std::size_t size) {
    output->append(data, size);
    output_offset_ += size;
    source_offset_ += size;
  };
  std::size_t next = 0;
  while (next < bytes.size()) {
    const int pending = decoder_.pending_bytes();
    if (pending == 0) {
      const std::size_t ascii = AsciiPrefix(bytes.substr(next));
      copy(bytes.data() + next, ascii);
      next += ascii;
      if (next == bytes.size()) return;
    }
    switch (decoder_.Take(static_cast<unsigned char>(bytes[next]))) {
      case Utf8Decoder::Result::kIncomplete:
        pending_[pending] = bytes[next++];
        break;
      case Utf8Decoder::Result::kComplete:
        pending_[pending] = bytes[next++];
        copy(pending_, pending + 1);
        break;
      case Utf8Decoder::Result::kIllFormed:
        Replace(pending > 0 ? pending : 1, output, replacements);
        if (pending == 0) ++next;
        break;
    }
  }
}

void Utf8Replacer::Finish(std::string* output, std::vector<Utf8Replacement>* replacements) {
  if (decoder_.pending_bytes() > 0) Replace(decoder_.pending_bytes(), output, replacements);
  decoder_ = Utf8Decoder();
}

std::string ReplaceInvalidUtf8(std::string_view bytes, std::vector<Utf8Replacement>* replacements) {
  Utf8Replacer replacer;
  std::string output;
  output.reserve(bytes.size());
  replacer.Append(bytes, &output, replacements);
  replacer.Finish(&output, replacements);
  return output;
}

}  // namespace tome
