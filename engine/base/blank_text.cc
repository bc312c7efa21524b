#include "engine/base/blank_text.h"

#include <algorithm>
#include <iterator>

#include "engine/base/utf8.h"

namespace tome {
namespace {

struct Range {
  char32_t first, last;
};

// The properties White_Space and Default_Ignorable_Code_Point of Unicode 15, and the controls (Cc), in order.
constexpr Range kUnseen[] = {
    {0x0000, 0x0020},   {0x007F, 0x00A0},   {0x00AD, 0x00AD},  {0x034F, 0x034F}, {0x061C, 0x061C}, {0x115F, 0x1160},
    {0x1680, 0x1680},   {0x17B4, 0x17B5},   {0x180B, 0x180F},  {0x2000, 0x200F}, {0x2028, 0x202F}, {0x205F, 0x206F},
    {0x3000, 0x3000},   {0x3164, 0x3164},   {0xFE00, 0xFE0F},  {0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFF8},
    {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF}};

bool IsUnseen(char32_t code_point) {
  const Range* const range = std::find_if(std::begin(kUnseen), std::end(kUnseen),
                                          [code_point](const Range& r) { return code_point <= r.last; });
  return range != std::end(kUnseen) && code_point >= range->first;
}

}  // namespace

bool IsBlank(std::string_view text) {
  Utf8Decoder decoder;
  char32_t code_point = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool begins = decoder.pending_bytes() == 0;
    const Utf8Decoder::Result result = decoder.Take(byte);
    if (result == Utf8Decoder::Result::kIllFormed) return false;
    const unsigned char lead_bits = byte < 0x80 ? 0x7F : byte < 0xE0 ? 0x1F : byte < 0xF0 ? 0x0F : 0x07;
    code_point = begins ? byte & lead_bits : (code_point << 6) | (byte & 0x3F);
    if (result == Utf8Decoder::Result::kComplete && !IsUnseen(code_point)) return false;
  }
  return decoder.pending_bytes() == 0;
}

}  // namespace tome
