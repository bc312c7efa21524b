#include "engine/evaluation/questions/needles.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <set>
#include <utility>

#include "engine/evaluation/questions/paraphrased_facts.h"
#include "fmt/format.h"

namespace tome {
namespace {

constexpr std::string_view kAdjectives[] = {
    "amber", "ancient", "bitter", "brave",   "broken", "bronze", "careful", "cheerful", "clever", "crimson",
    "dusty", "eager",   "fading", "famous",  "frozen", "gentle", "golden",  "hidden",   "hollow", "humble",
    "jolly", "lonely",  "lucky",  "marble",  "merry",  "narrow", "noble",   "patient",  "polite", "purple",
    "quiet", "rapid",   "rusty",  "scarlet", "silent", "sleepy", "spotted", "tender",   "velvet", "wandering"};
constexpr std::string_view kNouns[] = {
    "anchor",  "badger",  "barrel",  "beacon",   "bridge",  "candle",  "castle",  "cobra",    "compass", "dolphin",
    "falcon",  "feather", "fiddle",  "fountain", "garden",  "hammer",  "harbour", "hedgehog", "kettle",  "ladder",
    "lantern", "lizard",  "magnet",  "meadow",   "mirror",  "orchard", "otter",   "pelican",  "pigeon",  "pillow",
    "rocket",  "saddle",  "scooter", "tiger",    "trumpet", "tunnel",  "turtle",  "violin",   "walnut",  "wagon"};
constexpr std::string_view kTrades[] = {"postmaster", "locksmith", "ferryman",  "librarian", "watchmaker",
                                        "blacksmith", "tailor",    "innkeeper", "printer",   "chemist"};
constexpr std::string_view kPlaces[] = {"Dunmore", "Halverton", "Quillhaven", "Ostby",   "Fernleigh",
                                        "Carrick", "Mossdale",  "Tarnwick",   "Belford", "Ravensea"};

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t Below(std::size_t count) { return engine_() % count; }
  template <typename List>
  std::string Pick(const List& list) {
    return std::string(list[Below(std::size(list))]);
  }
  std::string Digits(int count) {
    std::string digits(1, static_cast<char>('1' + Below(9)));
    while (static_cast<int>(digits.size()) < count) digits.push_back(static_cast<char>('0' + Below(10)));
    return digits;
  }
  // A version 4 UUID.
  std::string Uuid() {
    std::string text = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
    for (char& letter : text) {
      if (letter == 'x') letter = "0123456789abcdef"[Below(16)];
      if (letter == 'y') letter = "89ab"[Below(4)];
    }
    return text;
  }
  template <typename Item>
  void Shuffle(std::vector<Item>* items) {
    for (std::size_t i = items->size(); i > 1; --i) std::swap((*items)[i - 1], (*items)[Below(i)]);
  }

 private:
  std::mt19937_64 engine_;
};

Needle MakeMagicNeedle(NeedleKind kind, std::string_view type, std::string key, std::string value) {
  return {.kind = kind,
          .text = fmt::format("One of the special magic {}s for {} is: {}.", type, key, value),
          .question = fmt::format("What is the special magic {} for {} mentioned in the provided text?", type, key),
          .opening = fmt::format(" The special magic {} for {} mentioned in the provided text is:", type, key),
          .answer = std::move(value)};
}

std::string MakeKey(NeedleKind kind, Random* random) {
  if (kind == NeedleKind::kKeyValue) return random->Uuid();
  if (kind == NeedleKind::kSentence) {
    const std::string trade = random->Pick(kTrades);
    return fmt::format("{} of {}", trade, random->Pick(kPlaces));
  }
  const std::string adjective = random->Pick(kAdjectives);
  return fmt::format("{}-{}", adjective, random->Pick(kNouns));
}

Needle MakeNeedle(NeedleKind kind, const std::string& key, Random* random) {
  switch (kind) {
    case NeedleKind::kPassKey: {
      const std::string value = random->Digits(5);
      return {.kind = kind,
              .text = fmt::format("The pass key for the {0} is {1}. Remember it. {1} is the pass key for the {0}.", key,
                                  value),
              .question = fmt::format("What is the pass key for the {}?", key),
              .opening = fmt::format(" The pass key for the {} is", key),
              .answer = value};
    }
    case NeedleKind::kNumber:
      return MakeMagicNeedle(kind, "number", key, random->Digits(7));
    case NeedleKind::kWord: {
      const std::string adjective = random->Pick(kAdjectives);
      return MakeMagicNeedle(kind, "word", key, fmt::format("{}-{}", adjective, random->Pick(kNouns)));
    }
    case NeedleKind::kUuid:
      return MakeMagicNeedle(kind, "uuid", key, random->Uuid());
    case NeedleKind::kKeyValue: {
      const std::string value = random->Uuid();
      return {.kind = kind,
              .text = fmt::format("\"{}\": \"{}\",", key, value),
              .question = fmt::format("Key: \"{}\"\nThe value associated with the specified key is:", key),
              .opening = " \"",
              .answer = value};
    }
    case NeedleKind::kSentence: {
      const std::string adjective = random->Pick(kAdjectives);
      const std::string value = fmt::format("{} {}", adjective, random->Pick(kNouns));
      return {.kind = kind,
              .text = fmt::format("On Sundays the {} carries a {} to the market.", key, value),
              .question = fmt::format("What does the {} carry to the market on Sundays?", key),
              .opening = fmt::format(" On Sundays the {} carries a", key),
              .answer = value};
    }
    case NeedleKind::kParaphrased:
      break;
  }
  return {};
}

// Where a sentence begins at or after `from`, at most `end`.
std::size_t NextSentence(std::string_view text, std::size_t from, std::size_t end) {
  for (std::size_t i = from; i + 2 <= end; ++i) {
    if (text[i] == '.' && (text[i + 1] == ' ' || text[i + 1] == '\n')) return i + 2;
  }
  const std::size_t space = text.substr(0, end).find_first_of(" \n", from);
  return space == std::string_view::npos ? end : space + 1;
}

}  // namespace

std::string_view NeedleKindName(NeedleKind kind) {
  switch (kind) {
    case NeedleKind::kPassKey:
      return "pass-key";
    case NeedleKind::kNumber:
      return "number";
    case NeedleKind::kWord:
      return "word";
    case NeedleKind::kUuid:
      return "uuid";
    case NeedleKind::kKeyValue:
      return "key-value";
    case NeedleKind::kSentence:
      return "sentence";
    case NeedleKind::kParaphrased:
      return "paraphrased";
  }
  return "unknown";
}

namespace {

// Of `kinds` in turn.
std::vector<Needle> MakeDistinctNeedles(absl::Span<const NeedleKind> kinds, int count, std::uint64_t seed) {
  Random random(seed);
  std::set<std::string> keys;
  std::vector<Needle> needles;
  for (int i = 0; i < count; ++i) {
    const NeedleKind kind = kinds[static_cast<std::size_t>(i) % kinds.size()];
    std::string key = MakeKey(kind, &random);
    // There are fewer trades and places than needles may be asked for: a number tells them apart then.
    for (int tries = 0; !keys.insert(key).second; ++tries) {
      key = MakeKey(kind, &random);
      if (tries > 100) key += fmt::format(" {}", i);
    }
    needles.push_back(MakeNeedle(kind, key, &random));
  }
  return needles;
}

}  // namespace

std::vector<Needle> MakeVerbatimNeedles(int count, std::uint64_t seed) {
  return MakeDistinctNeedles(kVerbatimKinds, count, seed);
}

std::vector<Needle> MakeNeedlesOf(NeedleKind kind, int count, std::uint64_t seed) {
  return MakeDistinctNeedles({kind}, count, seed);
}

std::optional<FactSet> ParseFactSet(std::string_view name) {
  if (name == "calibration") return FactSet::kCalibration;
  if (name == "development") return FactSet::kDevelopment;
  if (name == "evaluation") return FactSet::kEvaluation;
  return std::nullopt;
}

std::vector<Needle> MakeParaphrasedNeedles(int count, FactSet set) {
  std::vector<Needle> needles;
  for (const ParaphrasedFact& fact : ParaphrasedFacts(set)) {
    if (static_cast<int>(needles.size()) == count) break;
    needles.push_back({.kind = NeedleKind::kParaphrased,
                       .text = std::string(fact.text),
                       .question = std::string(fact.question),
                       .answer = std::string(fact.answer)});
  }
  return needles;
}

Haystack HideNeedles(std::string_view text, std::vector<Needle> needles, std::uint64_t seed) {
  Random random(seed);
  random.Shuffle(&needles);
  Haystack haystack;
  std::size_t taken = 0;
  for (std::size_t i = 0; i < needles.size(); ++i) {
    const std::size_t begin = text.size() * i / needles.size(), end = text.size() * (i + 1) / needles.size();
    const std::size_t from = begin + random.Below(std::max<std::size_t>(1, (end - begin) * 3 / 4));
    const std::size_t place = std::max(taken, NextSentence(text, from, end));
    haystack.text.append(text.substr(taken, place - taken));
    taken = place;
    PlacedNeedle placed{.needle = std::move(needles[i]), .bytes = {.begin = haystack.text.size()}};
    haystack.text += placed.needle.text;
    placed.bytes.end = haystack.text.size();
    haystack.text += '\n';
    const std::string& answer = placed.needle.answer;
    for (std::size_t at = placed.needle.text.find(answer); at != std::string::npos;
         at = placed.needle.text.find(answer, at + 1)) {
      placed.answers.push_back({placed.bytes.begin + at, placed.bytes.begin + at + answer.size()});
    }
    haystack.needles.push_back(std::move(placed));
  }
  haystack.text.append(text.substr(taken));
  return haystack;
}

}  // namespace tome
