#include "engine/generation/passages.h"

#include <algorithm>
#include <map>
#include <set>

#include "engine/base/utf8.h"

namespace tome {
namespace {

// Between passages that do not follow each other.
constexpr std::string_view kEllipsis = "\n...\n";
// Regions that together are right with this probability are enough: others distract, and take time to read.
constexpr double kEnough = 0.95;
// And so is the best alone beside one that is so many times less probable, also where its own is a little short of
// that.
constexpr double kFaint = 1.0 / 20;

using Regions = std::set<std::int64_t>;

int NumTokens(const Archive& archive, std::int64_t region) {
  const ArchivedRegion found = archive.region(region);
  return found.end - found.first;
}

Regions ChooseRegions(const Archive& archive, const std::vector<FoundRegion>& found, int budget_tokens) {
  Regions chosen;
  if (archive.num_tokens() <= budget_tokens) {
    for (std::int64_t region = 0; region < archive.num_regions(); ++region) chosen.insert(region);
    return chosen;
  }
  int left = budget_tokens;
  const auto take = [&](std::int64_t region) {
    if (chosen.contains(region) || NumTokens(archive, region) > left) return;
    left -= NumTokens(archive, region);
    chosen.insert(region);
  };
  double probability = 0;
  for (const FoundRegion& next : found) {
    if (probability >= kEnough || next.score < kFaint * found.front().score) break;
    probability += next.score;
    const std::int64_t region = next.region;
    take(region);
    if (!chosen.contains(region)) break;
    if (&next != &found.front()) continue;
    if (region + 1 < archive.num_regions() && archive.AreNeighbours(region, region + 1)) take(region + 1);
    if (region > 0 && archive.AreNeighbours(region - 1, region)) take(region - 1);
  }
  return chosen;
}

// Runs of neighbouring regions in the order of the archive; where documents meet, several.
std::vector<Passage> MakePassages(const Archive& archive, const Regions& regions,
                                  const std::vector<FoundRegion>& found) {
  std::map<std::int64_t, double> scores;
  for (const FoundRegion& region : found) scores[region.region] = region.score;
  std::vector<Passage> passages;
  for (const std::int64_t region : regions) {
    const bool follows =
        !passages.empty() && passages.back().end_region == region && archive.AreNeighbours(region - 1, region);
    if (!follows) passages.push_back({.first_region = region});
    Passage& passage = passages.back();
    passage.end_region = region + 1;
    passage.tokens += NumTokens(archive, region);
    if (const auto score = scores.find(region); score != scores.end()) passage.score += score->second;
  }
  for (Passage& passage : passages) passage.span = archive.RegionSpan(passage.first_region, passage.end_region);
  return passages;
}

void PutBestLast(const std::vector<FoundRegion>& found, std::vector<Passage>* passages) {
  if (found.empty()) return;
  const std::int64_t region = found.front().region;
  const auto best = std::find_if(passages->begin(), passages->end(), [region](const Passage& passage) {
    return passage.first_region <= region && region < passage.end_region;
  });
  if (best != passages->end()) std::rotate(best, best + 1, passages->end());
}

// Everything that was read is told in its order.
bool IsWhole(const Archive& archive, const Regions& regions) {
  return static_cast<std::int64_t>(regions.size()) == archive.num_regions();
}

// Where the tokens of ascending regions stand in all that was read.
std::vector<TokenRange> TokensOf(const Archive& archive, const Regions& regions) {
  std::vector<TokenRange> ranges;
  std::int64_t block = 0, block_begin = 0;
  for (const std::int64_t region : regions) {
    while (archive.first_region(block) + archive.block(block).num_regions() <= region) {
      block_begin += archive.block(block++).num_tokens();
    }
    const ArchivedRegion found = archive.region(region);
    ranges.push_back({block_begin + found.first, block_begin + found.end});
  }
  return ranges;
}

}  // namespace

std::vector<Passage> ChoosePassages(const Archive& archive, const std::vector<FoundRegion>& found, int budget_tokens) {
  const Regions chosen = ChooseRegions(archive, found, budget_tokens);
  std::vector<Passage> passages = MakePassages(archive, chosen, found);
  if (!IsWhole(archive, chosen)) PutBestLast(found, &passages);
  return passages;
}

std::vector<Passage> ChooseStoredPassages(const MemoryState& state, const std::vector<FoundRegion>& found,
                                          int budget_tokens) {
  const Archive& archive = state.archive();
  const Regions chosen = ChooseRegions(archive, found, budget_tokens);
  const std::vector<TokenRange> tokens = TokensOf(archive, chosen);
  const StoredTokens stored(state);
  Regions held, gone;
  std::size_t i = 0;
  for (const std::int64_t region : chosen) (stored.Hold(tokens[i++]) ? held : gone).insert(region);
  std::vector<Passage> passages = MakePassages(archive, held, found);
  for (Passage& passage : passages) passage.stored = true;
  std::vector<Passage> reread = MakePassages(archive, gone, found);
  PutBestLast(found, &reread);
  passages.insert(passages.end(), reread.begin(), reread.end());
  return passages;
}

std::vector<TokenRange> AttendedTokens(const MemoryState& state, const std::vector<Passage>& passages) {
  Regions regions;
  for (const Passage& passage : passages) {
    for (std::int64_t region = passage.first_region; passage.stored && region < passage.end_region; ++region) {
      regions.insert(region);
    }
  }
  std::vector<TokenRange> attended;
  if (state.sink_tokens() > 0) attended.push_back({0, state.sink_tokens()});
  for (TokenRange range : TokensOf(state.archive(), regions)) {
    if (!attended.empty()) range.first = std::max(range.first, attended.back().end);
    if (range.first < range.end) attended.push_back(range);
  }
  return attended;
}

std::string PassageText(const Archive& archive, const Tokenizer& tokenizer, const Passage& passage) {
  std::string bytes;
  for (const TokenId token : archive.RegionTokens(passage.first_region, passage.end_region)) {
    bytes += tokenizer.TokenBytes(token);
  }
  // A region may begin or end within a character.
  std::size_t begin = 0;
  while (begin < bytes.size() && begin < 3 && (static_cast<unsigned char>(bytes[begin]) & 0xC0) == 0x80) ++begin;
  Utf8Replacer replacer;
  std::string text;
  replacer.Append(std::string_view(bytes).substr(begin), &text);
  return text;
}

std::string JoinPassages(const Archive& archive, const Tokenizer& tokenizer, const std::vector<Passage>& passages) {
  std::string text;
  for (const Passage& passage : passages) {
    if (passage.stored) continue;
    if (!text.empty()) text += kEllipsis;
    text += PassageText(archive, tokenizer, passage);
  }
  return text;
}

}  // namespace tome
