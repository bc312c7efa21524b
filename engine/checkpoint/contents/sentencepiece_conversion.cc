#include "engine/checkpoint/contents/sentencepiece_conversion.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace tome {
namespace {

bool IsBoundary(std::string_view text, std::size_t at) { return (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80; }

}  // namespace

void ConvertToCharacterBpe(bool legacy, TokenizerData* data) {
  std::vector<std::size_t> order(data->pieces.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t id) { return data->pieces[id].type != PieceType::kNormal; });
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return data->pieces[a].score > data->pieces[b].score; });
  std::unordered_set<std::string_view> texts;
  for (const std::size_t id : order) texts.insert(data->pieces[id].text);
  for (const std::size_t id : order) {
    const std::string_view text = data->pieces[id].text;
    for (std::size_t at = 1; at < text.size(); ++at) {
      const std::string_view left = text.substr(0, at), right = text.substr(at);
      if (IsBoundary(text, at) && texts.contains(left) && texts.contains(right)) data->merges.emplace_back(left, right);
    }
  }
  data->kind = TokenizerKind::kCharacterBpe;
  data->spaces = {.normalizer_replaces = legacy, .normalizer_prepends = legacy && data->add_dummy_prefix};
  if (!legacy && data->add_dummy_prefix) data->spaces.prefix = SpaceRules::Prefix::kFirst;
}

}  // namespace tome
