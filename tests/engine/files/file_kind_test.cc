#include "engine/files/file_kind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace tome {
namespace {

TEST(FileKindTest, NamesWhatPeopleGiveByMistake) {
  using namespace std::string_literals;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "an empty file"},
      {"TOMEARCH\1\0\0\0"s, "a bundle that tome export wrote"},
      {"TOMESNAP\1\0\0\0"s, "a snapshot out of the data folder of a tome-server"},
      {"GGUF\3\0\0\0"s, "a GGUF model file"},
      {"SQLite format 3\0more"s, "an SQLite database"},
      {"SQLite forma", "an SQLite database"},
      {"%PDF-1.7", "a PDF file; take its text out first (pdftotext)"},
      {"\x1F\x8B\x08\0"s, "a gzip file; unpack it first (gunzip)"},
      {"PK\x03\x04\x14\0"s, "a zip file (or an office document, which is one); unpack it first"},
      {"\xFF\xFEH\0i\0"s, "UTF-16 text"},
      {"Once upon a time there was a king.", "text that begins 'Once upon a time'"},
      {"{\"a\": 1}", "text that begins '{\"a\": 1}'"},
      {"S", "text that begins 'S'"},
      {"\0\1\2"s, "bytes that begin '\\x00\\x01\\x02'"},
      {"\xC0\xC1", "bytes that begin '\\xc0\\xc1'"}};
  for (const auto& [bytes, expected] : cases) EXPECT_EQ(DescribeFile(bytes), expected);
}

}  // namespace
}  // namespace tome
