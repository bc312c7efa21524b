#include "engine/evaluation/pattern_picture.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace tome {
namespace {

constexpr int kPanel = 320, kGap = 24, kTop = 56, kBottom = 40;

// Heads with the same pattern, in order of their first one.
std::vector<std::pair<HeadPattern, std::vector<std::int64_t>>> GroupHeads(const std::vector<HeadPattern>& heads) {
  std::vector<std::pair<HeadPattern, std::vector<std::int64_t>>> groups;
  for (std::size_t head = 0; head < heads.size(); ++head) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& own) { return own.first == heads[head]; });
    if (group == groups.end()) group = groups.insert(groups.end(), {heads[head], {}});
    group->second.push_back(static_cast<std::int64_t>(head));
  }
  return groups;
}

// A square of tokens x tokens cells; runs of one colour in a row are one rectangle. `colour`: "" for none.
std::string DrawSquare(int left, std::int64_t tokens, const std::string& title,
                       const std::function<std::string(std::int64_t query, std::int64_t key)>& colour) {
  const double cell = static_cast<double>(kPanel) / static_cast<double>(tokens);
  std::string svg = fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", left, kTop - 10, title);
  for (std::int64_t query = 0; query < tokens; ++query) {
    for (std::int64_t key = 0, end = 0; key < tokens; key = end) {
      const std::string own = colour(query, key);
      end = key + 1;
      while (end < tokens && colour(query, end) == own) ++end;
      if (own.empty()) continue;
      svg += fmt::format("<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" fill=\"{}\"/>\n",
                         left + cell * static_cast<double>(key), kTop + cell * static_cast<double>(query),
                         cell * static_cast<double>(end - key), cell, own);
    }
  }
  return svg + fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#444\"/>\n", left,
                           kTop, kPanel, kPanel);
}

// Dark blue for the first layer, paler for each further one.
std::string LayerColour(int layer, int layers) {
  const double pale = layers < 2 ? 0 : 0.85 * static_cast<double>(layer - 1) / static_cast<double>(layers - 1);
  const auto mix = [&](int dark) { return static_cast<int>(dark + (255 - dark) * pale); };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(0x1b), mix(0x5e), mix(0x8c));
}

}  // namespace

std::vector<std::vector<int>> ReceptiveField(const std::vector<HeadPattern>& heads, std::int64_t tokens, int layers) {
  std::vector<std::vector<int>> reached(tokens, std::vector<int>(tokens, 0));
  // What each query sees within one layer, its own position always: the residual stream keeps it.
  std::vector<std::vector<bool>> sees(tokens, std::vector<bool>(tokens, false));
  for (std::int64_t query = 0; query < tokens; ++query) {
    sees[query][query] = true;
    for (const HeadPattern& head : heads) {
      const KeyRange keys = head.Visible(query);
      for (std::int64_t key = keys.first; key <= keys.last; key += keys.step) sees[query][key] = true;
    }
  }
  std::vector<std::vector<bool>> field = sees;
  for (int layer = 1; layer <= layers; ++layer) {
    for (std::int64_t query = 0; query < tokens; ++query) {
      for (std::int64_t key = 0; key <= query; ++key) {
        if (field[query][key] && reached[query][key] == 0) reached[query][key] = layer;
      }
    }
    if (layer == layers) break;
    // One layer more: what the tokens reach that a query sees.
    std::vector<std::vector<bool>> next = field;
    for (std::int64_t query = 0; query < tokens; ++query) {
      for (std::int64_t middle = 0; middle <= query; ++middle) {
        if (!sees[query][middle]) continue;
        for (std::int64_t key = 0; key <= middle; ++key) next[query][key] = next[query][key] || field[middle][key];
      }
    }
    field = std::move(next);
  }
  return reached;
}

std::string DrawPattern(const AttentionPattern& pattern, const std::vector<HeadPattern>& heads, std::int64_t tokens,
                        int layers) {
  const auto groups = GroupHeads(heads);
  std::string panels;
  int left = kGap;
  for (const auto& [head, members] : groups) {
    const auto title = fmt::format("head{} {}", members.size() > 1 ? "s" : "", fmt::join(members, ", "));
    panels += DrawSquare(left, tokens, title, [&, own = head](std::int64_t query, std::int64_t key) {
      return own.Visible(query).Contains(key) ? std::string("#1b5e8c") : std::string();
    });
    left += kPanel + kGap;
  }
  const auto field = ReceptiveField(heads, tokens, layers);
  const auto title = fmt::format("reached after 1 (dark) to {} layers (pale)", layers);
  panels += DrawSquare(left, tokens, title, [&](std::int64_t query, std::int64_t key) {
    return field[query][key] == 0 ? std::string() : LayerColour(field[query][key], layers);
  });
  const int width = left + kPanel + kGap, height = kTop + kPanel + kBottom;
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n"
      "<text x=\"{2}\" y=\"20\" font-size=\"14\">{3}: {4} tokens, queries downwards, keys to the "
      "right</text>\n{5}</svg>\n",
      width, height, kGap, pattern.ToString(), tokens, panels);
}

}  // namespace tome
