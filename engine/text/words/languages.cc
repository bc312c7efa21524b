#include "engine/text/words/languages.h"

#include <algorithm>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/text/words/stop_words.h"

namespace tome {
namespace {

constexpr std::array<std::string_view, kNumLanguages> kNames = {
    "",        "arabic",     "armenian", "basque",    "catalan",    "danish",    "dutch",      "english",
    "finnish", "french",     "german",   "greek",     "hindi",      "hungarian", "indonesian", "irish",
    "italian", "lithuanian", "nepali",   "norwegian", "portuguese", "romanian",  "russian",    "serbian",
    "spanish", "swedish",    "tamil",    "turkish",   "yiddish"};

// Scripts of several languages, and what stands for the language where nothing is known.
struct Choice {
  WritingScript script;
  Language usual;
};
constexpr std::array<Choice, 5> kChoices = {{{WritingScript::kLatin, Language::kEnglish},
                                             {WritingScript::kCyrillic, Language::kRussian},
                                             {WritingScript::kArabic, Language::kArabic},
                                             {WritingScript::kDevanagari, Language::kHindi},
                                             {WritingScript::kHebrew, Language::kPlain}}};
constexpr int kBitsOfLanguage = 6;

std::optional<std::size_t> ChoiceOf(WritingScript script) {
  for (std::size_t i = 0; i < kChoices.size(); ++i) {
    if (kChoices[i].script == script) return i;
  }
  return std::nullopt;
}

// A word counts for each language that has it, the less the more they are. 840 is a multiple of 1 to 8.
constexpr int kWholeWord = 840;
constexpr std::size_t kMostLanguagesOfAWord = 8;
// So often at most: programs repeat a few words that are none.
constexpr int kMostOfAWord = 4;
// Fewer words tell nothing.
constexpr std::int64_t kLeastCount = std::int64_t{3} * kWholeWord / 2;

struct HashOfText {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

struct StopWord {
  std::size_t number = 0;
  std::vector<std::size_t> lists;  // that have it
};
struct StopWordIndex {
  std::unordered_map<std::string, StopWord, HashOfText, std::equal_to<>> words;
  std::size_t longest = 0;  // bytes
};

std::ptrdiff_t NumCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; });
}

const StopWordIndex& Index() {
  static const StopWordIndex* const index = [] {
    auto* made = new StopWordIndex;
    WordFinder finder;
    for (std::size_t list = 0; list < StopWordLists().size(); ++list) {
      const TextWords& words = finder.Find(StopWordLists()[list].words);
      for (const TextWord& word : words.words) {
        const std::string bare(words.WithoutAccents(word));
        if (NumCharacters(bare) < 2) continue;  // a letter is a name of something in any language
        StopWord& known =
            made->words.try_emplace(bare, StopWord{.number = made->words.size(), .lists = {}}).first->second;
        if (known.lists.empty() || known.lists.back() != list) known.lists.push_back(list);
        made->longest = std::max(made->longest, bare.size());
      }
    }
    for (auto& [word, known] : made->words) {
      if (known.lists.size() > kMostLanguagesOfAWord) known.lists.clear();
    }
    return made;
  }();
  return *index;
}

}  // namespace

std::string_view LanguageName(Language language) { return kNames[static_cast<std::size_t>(language)]; }

TextLanguages::TextLanguages() {
  for (std::size_t i = 0; i < kChoices.size(); ++i) languages_[i] = kChoices[i].usual;
}

Language TextLanguages::Of(WritingScript script) const {
  if (const std::optional<std::size_t> choice = ChoiceOf(script)) return languages_[*choice];
  switch (script) {
    case WritingScript::kGreek:
      return Language::kGreek;
    case WritingScript::kArmenian:
      return Language::kArmenian;
    case WritingScript::kTamil:
      return Language::kTamil;
    default:
      return Language::kPlain;
  }
}

void TextLanguages::Set(WritingScript script, Language language) {
  if (const std::optional<std::size_t> choice = ChoiceOf(script)) languages_[*choice] = language;
}

std::uint32_t TextLanguages::Packed() const {
  std::uint32_t packed = 0;
  for (std::size_t i = 0; i < languages_.size(); ++i) {
    packed |= static_cast<std::uint32_t>(languages_[i]) << (kBitsOfLanguage * i);
  }
  return packed;
}

std::optional<TextLanguages> TextLanguages::Unpack(std::uint32_t packed) {
  TextLanguages languages;
  for (Language& language : languages.languages_) {
    const std::uint32_t number = packed & ((1u << kBitsOfLanguage) - 1);
    if (number >= kNumLanguages) return std::nullopt;
    language = static_cast<Language>(number);
    packed >>= kBitsOfLanguage;
  }
  if (packed != 0) return std::nullopt;
  return languages;
}

TextLanguages DetectLanguages(const TextWords& words, const TextLanguages& before) {
  const StopWordIndex& index = Index();
  const std::vector<StopWordList>& lists = StopWordLists();
  std::vector<std::int64_t> counts(lists.size());
  std::vector<int> seen(index.words.size());
  for (const TextWord& word : words.words) {
    if (word.bare_size > index.longest) continue;
    const auto found = index.words.find(words.WithoutAccents(word));
    if (found == index.words.end() || ++seen[found->second.number] > kMostOfAWord) continue;
    const std::vector<std::size_t>& its_lists = found->second.lists;
    for (const std::size_t list : its_lists) counts[list] += kWholeWord / static_cast<std::int64_t>(its_lists.size());
  }
  TextLanguages languages = before;
  for (const Choice& choice : kChoices) {
    std::int64_t best = kLeastCount - 1;
    for (std::size_t i = 0; i < lists.size(); ++i) {
      if (lists[i].script == choice.script && lists[i].language == before.Of(choice.script)) {
        best = std::max(best, counts[i]);
      }
    }
    for (std::size_t i = 0; i < lists.size(); ++i) {
      if (lists[i].script != choice.script || counts[i] <= best) continue;
      best = counts[i];
      languages.Set(choice.script, lists[i].language);
    }
  }
  return languages;
}

}  // namespace tome
