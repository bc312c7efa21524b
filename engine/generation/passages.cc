#include "engine/generation/passages.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "engine/base/utf8.h"
#include "engine/generation/sentences.h"

namespace tome {
namespace {

// Between passages that do not follow each other.
constexpr std::string_view kEllipsis = "\n...\n";
// Regions that together are right with this probability are enough: others distract, and take time to read.
constexpr double kEnough = 0.95;
// And so is the best alone beside one that is so many times less probable, also where its own is a little short of
// that.
constexpr double kFaint = 1.0 / 20;
// A region beside the best one is as worth reading as another of this part of the best one's score.
constexpr double kBeside = 0.25;

// The regions to read, each with where its text ends.
using Regions = std::map<std::int64_t, RegionRun>;

RegionRun Whole(std::int64_t region) { return {.first = region, .end = region + 1}; }

class RegionChoice {
 public:
  RegionChoice(const Archive& archive, const Tokenizer& tokenizer, int budget_tokens)
      : archive_(archive), tokenizer_(tokenizer), left_(budget_tokens) {}

  // Whether there is room for the region, or it is chosen already.
  bool Take(std::int64_t region) {
    if (chosen_.contains(region)) return true;
    const RegionRun run = InSentences(archive_, tokenizer_, region);
    if (archive_.NumTokens(run) > left_) return TakeAlone(region);
    left_ -= archive_.NumTokens(run);
    chosen_[region] = run;
    return true;
  }
  void TakeBeside(std::int64_t region) {
    if (AreNeighbours(region, region + 1)) Take(region + 1);
    if (AreNeighbours(region - 1, region)) Take(region - 1);
  }
  // The regions between this one and others that are chosen, where but one is between.
  void TakeBetween(std::int64_t region) {
    for (const std::int64_t side : {-1, 1}) {
      const std::int64_t first = std::min(region, region + 2 * side);
      if (!chosen_.contains(region + 2 * side)) continue;
      if (AreNeighbours(first, first + 1) && AreNeighbours(first + 1, first + 2)) Take(first + 1);
    }
  }
  Regions TakeChosen() && { return std::move(chosen_); }

 private:
  bool AreNeighbours(std::int64_t region, std::int64_t next) const {
    return region >= 0 && next < archive_.num_regions() && archive_.AreNeighbours(region, next);
  }
  // The best region, where the budget has room for no more than it.
  bool TakeAlone(std::int64_t region) {
    if (!chosen_.empty() || archive_.NumTokens(Whole(region)) > left_) return false;
    left_ = 0;
    chosen_[region] = Whole(region);
    return true;
  }

  const Archive& archive_;
  const Tokenizer& tokenizer_;
  int left_;
  Regions chosen_;
};

Regions ChooseRegions(const Archive& archive, const Tokenizer& tokenizer, const std::vector<FoundRegion>& found,
                      int budget_tokens) {
  if (archive.num_tokens() <= budget_tokens) {
    Regions all;
    for (std::int64_t region = 0; region < archive.num_regions(); ++region) all[region] = Whole(region);
    return all;
  }
  if (found.empty()) return {};
  RegionChoice choice(archive, tokenizer, budget_tokens);
  const FoundRegion& best = found.front();
  double probability = 0;
  bool beside = false;  // whether the regions beside the best one had their turn
  for (const FoundRegion& next : found) {
    if (&next != &best && !beside && next.score <= kBeside * best.score) {
      choice.TakeBeside(best.region);
      beside = true;
    }
    if (probability >= kEnough || next.score < kFaint * best.score) break;
    probability += next.score;
    if (!choice.Take(next.region)) break;
    choice.TakeBetween(next.region);
  }
  if (!beside) choice.TakeBeside(best.region);
  return std::move(choice).TakeChosen();
}

// Runs of neighbouring regions in the order of the archive; where documents meet, several.
std::vector<Passage> MakePassages(const Archive& archive, const Regions& regions,
                                  const std::vector<FoundRegion>& found) {
  std::map<std::int64_t, double> scores;
  for (const FoundRegion& region : found) scores[region.region] = region.score;
  std::vector<Passage> passages;
  for (const auto& [region, run] : regions) {
    const bool follows =
        !passages.empty() && passages.back().regions.end == region && archive.AreNeighbours(region - 1, region);
    if (!follows) passages.push_back({.regions = run});
    Passage& passage = passages.back();
    passage.regions.end = run.end;
    passage.regions.after = run.after;
    if (const auto score = scores.find(region); score != scores.end()) passage.score += score->second;
  }
  for (Passage& passage : passages) {
    passage.span = archive.RunSpan(passage.regions);
    passage.tokens = archive.NumTokens(passage.regions);
  }
  return passages;
}

void PutBestLast(const std::vector<FoundRegion>& found, std::vector<Passage>* passages) {
  if (found.empty()) return;
  const std::int64_t region = found.front().region;
  const auto best = std::find_if(passages->begin(), passages->end(), [region](const Passage& passage) {
    return passage.regions.first <= region && region < passage.regions.end;
  });
  if (best != passages->end()) std::rotate(best, best + 1, passages->end());
}

// Everything that was read is told in its order.
bool IsWhole(const Archive& archive, const Regions& regions) {
  return static_cast<std::int64_t>(regions.size()) == archive.num_regions();
}

// Where the tokens of ascending, disjoint runs stand in all that was read.
std::vector<TokenRange> TokensOf(const Archive& archive, const std::vector<RegionRun>& runs) {
  std::vector<TokenRange> ranges;
  std::int64_t block = 0, block_begin = 0;
  for (const RegionRun& run : runs) {
    while (archive.first_region(block) + archive.block(block).num_regions() <= run.first) {
      block_begin += archive.block(block++).num_tokens();
    }
    const std::int64_t first = block_begin + archive.region(run.first).first - run.before;
    ranges.push_back({first, first + archive.NumTokens(run)});
  }
  return ranges;
}

}  // namespace

std::vector<Passage> ChoosePassages(const Archive& archive, const Tokenizer& tokenizer,
                                    const std::vector<FoundRegion>& found, int budget_tokens) {
  const Regions chosen = ChooseRegions(archive, tokenizer, found, budget_tokens);
  std::vector<Passage> passages = MakePassages(archive, chosen, found);
  if (!IsWhole(archive, chosen)) PutBestLast(found, &passages);
  return passages;
}

std::vector<Passage> ChooseStoredPassages(const MemoryState& state, const Tokenizer& tokenizer,
                                          const std::vector<FoundRegion>& found, int budget_tokens) {
  const Archive& archive = state.archive();
  const StoredTokens stored(state);
  const Regions chosen = ChooseRegions(archive, tokenizer, found, budget_tokens);
  std::vector<RegionRun> runs;
  for (const auto& [region, run] : chosen) runs.push_back(run);
  const std::vector<TokenRange> tokens = TokensOf(archive, runs);
  Regions held, gone;
  for (std::size_t i = 0; i < runs.size(); ++i) (stored.Hold(tokens[i]) ? held : gone)[runs[i].first] = runs[i];
  std::vector<Passage> passages = MakePassages(archive, held, found);
  for (Passage& passage : passages) passage.stored = true;
  std::vector<Passage> reread = MakePassages(archive, gone, found);
  PutBestLast(found, &reread);
  passages.insert(passages.end(), reread.begin(), reread.end());
  return passages;
}

std::vector<TokenRange> AttendedTokens(const MemoryState& state, const std::vector<Passage>& passages) {
  std::vector<RegionRun> runs;
  for (const Passage& passage : passages) {
    if (passage.stored) runs.push_back(passage.regions);
  }
  std::vector<TokenRange> attended;
  if (state.sink_tokens() > 0) attended.push_back({0, state.sink_tokens()});
  for (TokenRange range : TokensOf(state.archive(), runs)) {
    if (!attended.empty()) range.first = std::max(range.first, attended.back().end);
    if (range.first < range.end) attended.push_back(range);
  }
  return attended;
}

std::string PassageText(const Archive& archive, const Tokenizer& tokenizer, const Passage& passage) {
  std::string bytes;
  for (const TextToken& token : archive.RunTokens(passage.regions)) bytes += tokenizer.TokenBytes(token.id);
  // A token may begin or end within a character.
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
    std::string part = PassageText(archive, tokenizer, passage);
    absl::StripAsciiWhitespace(&part);
    text += part;
  }
  return text;
}

}  // namespace tome
