#include "client/command/regions.h"

#include <cstdint>
#include <string_view>

#include "client/command/format.h"
#include "client/command/table.h"
#include "fmt/format.h"

namespace tome::command {
namespace {

constexpr std::size_t kExcerptColumns = 72;

std::string Indented(const std::string& text) {
  std::string result = "    ";
  for (const char c : Printable(text, /*keep_lines=*/true)) {
    result += c;
    if (c == '\n') result += "    ";
  }
  return result;
}

// The text from the sentence on by which the region was ranked, if it was.
template <typename Region>
std::string_view TextFromSentence(const Region& region) {
  std::string_view text = region.text();
  const std::uint64_t begin = region.range().begin();
  if (region.sentence().begin() <= begin || region.sentence().begin() >= begin + text.size()) return text;
  text.remove_prefix(region.sentence().begin() - begin);
  return text;
}

template <typename Region>
std::string Render(const google::protobuf::RepeatedPtrField<Region>& regions, bool whole_text) {
  Table table({{"#", true}, {"SCORE", true}, {"BYTES"}, {"TEXT"}});
  std::string texts;
  for (int i = 0; i < regions.size(); ++i) {
    const std::string score = fmt::format("{:.3f}", regions[i].score());
    const std::string range = FormatRange(regions[i].range());
    table.AddRow({std::to_string(i + 1), score, range, Excerpt(TextFromSentence(regions[i]), kExcerptColumns)});
    texts += fmt::format("[{}] {}  score {}\n{}\n\n", i + 1, Printable(range), score, Indented(regions[i].text()));
  }
  return whole_text ? texts : table.Render();
}

}  // namespace

std::string FormatRange(const v1::ByteRange& range) {
  return fmt::format("{}:{}-{}", range.document(), range.begin(), range.end());
}

std::string RenderRegions(const google::protobuf::RepeatedPtrField<v1::Citation>& regions, bool whole_text) {
  return Render(regions, whole_text);
}

std::string RenderRegions(const google::protobuf::RepeatedPtrField<v1::SearchRegion>& regions, bool whole_text) {
  return Render(regions, whole_text);
}

}  // namespace tome::command
