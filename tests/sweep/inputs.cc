#include "tests/sweep/inputs.h"

#include <string_view>

namespace tome::testing {
namespace {

std::vector<std::string> Concatenated(const std::vector<const std::vector<std::string>*>& lists) {
  std::vector<std::string> all;
  for (const auto* list : lists) all.insert(all.end(), list->begin(), list->end());
  return all;
}

char32_t RandomCodePoint(std::mt19937_64* random) {
  switch ((*random)() % 4) {
    case 0:
      return static_cast<char32_t>((*random)() % 0x80);
    case 1:
      return static_cast<char32_t>((*random)() % 0x3000);
    case 2:
      return static_cast<char32_t>((*random)() % 0x10000);
    default:
      return static_cast<char32_t>((*random)() % 0x110000);
  }
}

}  // namespace

std::string EncodeUtf8(char32_t code_point) {
  const auto byte = [](char32_t value) { return static_cast<char>(value); };
  if (code_point < 0x80) return {byte(code_point)};
  const char last = byte(0x80 | (code_point & 0x3F));
  if (code_point < 0x800) return {byte(0xC0 | (code_point >> 6)), last};
  const char middle = byte(0x80 | ((code_point >> 6) & 0x3F));
  if (code_point < 0x10000) return {byte(0xE0 | (code_point >> 12)), middle, last};
  return {byte(0xF0 | (code_point >> 18)), byte(0x80 | ((code_point >> 12) & 0x3F)), middle, last};
}

const std::vector<std::string>& SingleBytes() {
  static const auto& bytes = *new auto([] {
    std::vector<std::string> all;
    for (int byte = 0; byte < 256; ++byte) all.emplace_back(1, static_cast<char>(byte));
    return all;
  }());
  return bytes;
}

const std::vector<std::string>& CharactersOfEveryCategory() {
  static constexpr char32_t kCodePoints[] = {'A',    0x00C9,  0x0394,  0x1F152,                              // Lu
                                             'z',    0x00DF,  0x03C2,  0x1D41A,                              // Ll
                                             0x01C5, 0x1F88,                                                 // Lt
                                             0x02B0, 0x3005,                                                 // Lm
                                             0x05D0, 0x0627,  0x0905,  0x0E01,   0x3042,  0x4EBA,  0x20000,  // Lo
                                             0x0301, 0x05B0,  0x064B,  0xFE0F,                               // Mn
                                             0x0903, 0x1D165,                                                // Mc
                                             0x20DD, 0x0489,                                                 // Me
                                             '7',    0x0664,  0x0967,  0xFF17,                               // Nd
                                             0x2160, 0x3007,                                                 // Nl
                                             0x00BD, 0x2460,                                                 // No
                                             '_',    0x203F,                                                 // Pc
                                             '-',    0x05BE,  0x2014,                                        // Pd
                                             '(',    0x300C,                                                 // Ps
                                             ')',    0x300D,                                                 // Pe
                                             0x00AB, 0x201C,                                                 // Pi
                                             0x00BB, 0x201D,                                                 // Pf
                                             '!',    0x060C,  0x0964,  0x0589,   0x1362,  0x3002,  0xFF0C,   // Po
                                             '+',    0x2211,                                                 // Sm
                                             '$',    0x20AC,                                                 // Sc
                                             '^',    0x00A8,  0x1F3FB,                                       // Sk
                                             0x00A9, 0x1F600, 0x1F4D6,                                       // So
                                             ' ',    0x00A0,  0x1680,  0x2003,   0x3000,                     // Zs
                                             0x2028,                                                         // Zl
                                             0x2029,                                                         // Zp
                                             0x0000, 0x0009,  0x007F,  0x0085,                               // Cc
                                             0x00AD, 0x061C,  0x200B,  0x200D,   0x202E,  0xFEFF,  0xE0041,  // Cf
                                             0xD800, 0xDBFF,  0xDC00,  0xDFFF,                               // Cs
                                             0xE000, 0xF8FF,  0xF0000, 0x10FFFD,                             // Co
                                             0x0378, 0xFFFE,  0xFFFF,  0xFDD0,   0x1FFFE, 0x10FFFF};         // Cn
  static const auto& characters = *new auto([] {
    std::vector<std::string> all;
    for (const char32_t code_point : kCodePoints) all.push_back(EncodeUtf8(code_point));
    return all;
  }());
  return characters;
}

const std::vector<std::string>& OddTexts() {
  using namespace std::string_literals;
  static const auto& texts = *new std::vector<std::string>{"",
                                                           " ",
                                                           "\n",
                                                           "\n\n",
                                                           "\r\n",
                                                           " \t \n ",
                                                           "\x04\x06\x13\x14\x16\x1d",
                                                           "\x04word",
                                                           "word\x1d",
                                                           " \x04 ",
                                                           "\0"s,
                                                           "a\0b"s,
                                                           "\xEF\xBB\xBF",
                                                           "\xEF\xBB\xBFword",
                                                           "\xE2\x80\x8B\xE2\x80\x8D",
                                                           "e\xCC\x81",
                                                           "\xCC\x81",
                                                           "\xEF\xAC\x81sh",
                                                           "<|im_end|>",
                                                           "<|endoftext|><s></s>[INST]<<SYS>>",
                                                           "{text}",
                                                           "{question}",
                                                           "{text}\n\n{question}",
                                                           "\x04{text}\x1d{question}\x04",
                                                           "{question}{text}",
                                                           "\x04{question}\x1d{answer}",
                                                           "{instruction}{turns}{answer}{nothing}",
                                                           "{",
                                                           "sessions/other",
                                                           "sessions/",
                                                           "../book",
                                                           "book",
                                                           "\"",
                                                           "\\",
                                                           "'; DROP TABLE documents; --",
                                                           "%s%n%d",
                                                           "{}{0}{:d}",
                                                           "*",
                                                           "-1",
                                                           "1e999",
                                                           "nan",
                                                           "\xC0\x80",
                                                           "\xED\xA0\x80\xED\xB0\x80",
                                                           "\xF4\x90\x80\x80",
                                                           "caf\xC3",
                                                           "\xFF\xFE\x61\x00"s,
                                                           "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80",
                                                           "\xE2\x80\xAE txet"};
  return texts;
}

const std::vector<std::string>& HugeTexts() {
  static const auto& texts = *new auto([] {
    std::vector<std::string> all = {std::string(300, 'x'), std::string(5000, '\x04'), std::string(20'000, ' '),
                                    std::string(70'000, '\n'), std::string((1 << 20) + 1, 'x')};
    std::string words;
    while (words.size() < 100'000) words += "word \x1d";
    all.push_back(words);
    return all;
  }());
  return texts;
}

const std::vector<std::string>& AllTexts() {
  static const auto& texts = *new auto(Concatenated({&SingleBytes(), &CharactersOfEveryCategory(), &OddTexts()}));
  return texts;
}

std::string RandomText(std::mt19937_64* random) {
  const std::vector<std::string>& known = AllTexts();
  static constexpr std::string_view kWords[] = {"the", " lord", " said", " Moses", ".", "?", " 42", "\n\n"};
  const bool well_formed = (*random)() % 4 > 0;
  std::string text;
  for (std::size_t left = (*random)() % 12; left > 0; --left) {
    switch ((*random)() % 4) {
      case 0:
        text += kWords[(*random)() % std::size(kWords)];
        break;
      case 1: {
        const char32_t code_point = RandomCodePoint(random);
        const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
        text += EncodeUtf8(surrogate && well_formed ? 0xFFFD : code_point);
        break;
      }
      case 2:
        text += static_cast<char>((*random)() % (well_formed ? 0x80 : 0x100));
        break;
      default: {
        const std::string& part = known[(*random)() % (well_formed ? 0x80 : known.size())];
        text += part;
      }
    }
  }
  return text;
}

}  // namespace tome::testing
