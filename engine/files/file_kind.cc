#include "engine/files/file_kind.h"

#include <algorithm>

#include "engine/base/quote.h"
#include "engine/base/utf8.h"
#include "fmt/format.h"

namespace tome {
namespace {

using namespace std::string_view_literals;

struct Kind {
  std::string_view begin;
  std::string_view name;
};

constexpr Kind kKinds[] = {
    {"TOMEARCH"sv, "a bundle that tome export wrote"},
    {"TOMESNAP"sv, "a snapshot out of the data folder of a tome-server"},
    {"GGUF"sv, "a GGUF model file"},
    {"SQLite format 3\0"sv, "an SQLite database"},
    {"%PDF"sv, "a PDF file; take its text out first (pdftotext)"},
    {"\x1F\x8B"sv, "a gzip file; unpack it first (gunzip)"},
    {"\x28\xB5\x2F\xFD"sv, "a zstd file; unpack it first (unzstd)"},
    {"\xFD"
     "7zXZ"sv,
     "an xz file; unpack it first (unxz)"},
    {"BZh"sv, "a bzip2 file; unpack it first (bunzip2)"},
    {"PK\x03\x04"sv, "a zip file (or an office document, which is one); unpack it first"},
    {"\x7F"
     "ELF"sv,
     "a program"},
    {"\xFF\xFE"sv, "UTF-16 text"},
    {"\xFE\xFF"sv, "UTF-16 text"},
};

constexpr std::size_t kShownBytes = 16;

}  // namespace

std::string DescribeFile(std::string_view first_bytes) {
  if (first_bytes.empty()) return "an empty file";
  for (const Kind& kind : kKinds) {
    if (first_bytes.starts_with(kind.begin) || (first_bytes.size() >= 8 && kind.begin.starts_with(first_bytes))) {
      return std::string(kind.name);
    }
  }
  const std::string_view shown = first_bytes.substr(0, kShownBytes);
  Utf8Validator validator;
  const bool text = validator.Append(shown) && std::none_of(shown.begin(), shown.end(), [](char c) {
                      return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t';
                    });
  return fmt::format("{} that begin{} {}", text ? "text" : "bytes", text ? "s" : "", Quote(shown));
}

}  // namespace tome
