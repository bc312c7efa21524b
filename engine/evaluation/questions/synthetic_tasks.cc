#include "engine/evaluation/questions/synthetic_tasks.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "engine/base/status.h"
#include "engine/evaluation/questions/needles.h"
#include "fmt/format.h"

namespace tome {
namespace {

constexpr std::string_view kNoiseLine =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.\n";
// Text is measured in pieces, so that not all of a long book is when its beginning is enough.
constexpr std::size_t kMeasuredBytes = 64 << 10;
constexpr std::size_t kProbe = 64;  // lines or needles whose tokens are counted to guess how many are needed

// Well mixed bits of two numbers (the finaliser of SplitMix64).
std::uint64_t Mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t bits = a * 0x9E3779B97F4A7C15u + b + 1;
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  return bits ^ (bits >> 31);
}

NeedleKind NeedleKindOf(TaskKind kind) {
  switch (kind) {
    case TaskKind::kPassKey:
      return NeedleKind::kPassKey;
    case TaskKind::kKeyValue:
      return NeedleKind::kKeyValue;
    case TaskKind::kUuid:
      return NeedleKind::kUuid;
    case TaskKind::kNumber:
    case TaskKind::kMultiKey:
      break;
  }
  return NeedleKind::kNumber;
}

// The needle as published: pass keys are for nothing there, and the opening of RULER's answers has no colon.
Needle AsPublished(TaskKind kind, Needle needle) {
  if (kind == TaskKind::kPassKey) {
    needle.text = fmt::format("The pass key is {0}. Remember it. {0} is the pass key.", needle.answer);
    needle.question = "What is the pass key?";
    needle.opening = " The pass key is";
  } else if (kind != TaskKind::kKeyValue) {
    needle.opening.erase(needle.opening.find_last_not_of(':') + 1);
  }
  return needle;
}

std::string InstructionOf(TaskKind kind) {
  switch (kind) {
    case TaskKind::kPassKey:
      return "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. I will "
             "quiz "
             "you about the important information there.";
    case TaskKind::kKeyValue:
      return "Extract the value corresponding to the specified key in the JSON object below.\n\nJSON data:";
    case TaskKind::kUuid:
      return "A special magic uuid is hidden within the following text. Make sure to memorize it. I will quiz you "
             "about "
             "the uuid afterwards.";
    case TaskKind::kNumber:
    case TaskKind::kMultiKey:
      break;
  }
  return "A special magic number is hidden within the following text. Make sure to memorize it. I will quiz you about "
         "the number afterwards.";
}

// Text with the bytes up to which its first 1, 2, ... tokens reach.
struct MeasuredText {
  std::string_view text;
  std::vector<std::size_t> ends;
};

// Measures as much of `text` as has `tokens` tokens.
absl::StatusOr<MeasuredText> Measure(std::string_view text, std::int64_t tokens, const TokenBytes& token_bytes) {
  MeasuredText measured;
  std::size_t begin = 0;
  while (begin < text.size() && static_cast<std::int64_t>(measured.ends.size()) < tokens) {
    std::size_t end = std::min(text.size(), begin + kMeasuredBytes);
    if (const std::size_t space = text.substr(0, end).find_last_of(" \n"); end < text.size() && space > begin) {
      if (space != std::string_view::npos) end = space;
    }
    TOME_ASSIGN_OR_RETURN(const std::vector<std::uint32_t> sizes, token_bytes(text.substr(begin, end - begin)));
    std::size_t at = begin;
    for (const std::uint32_t size : sizes) measured.ends.push_back(at += size);
    begin = end;
  }
  measured.text = text.substr(0, begin);
  return measured;
}

// Where a sentence, or a line, begins at or after `from`.
std::size_t NextBeginning(std::string_view text, std::size_t from, bool lines) {
  if (from == 0) return 0;
  for (std::size_t i = from - 1; i + 1 < text.size(); ++i) {
    const bool ends_sentence = !lines && (text[i] == '.' || text[i] == '!' || text[i] == '?');
    if (ends_sentence && (text[i + 1] == ' ' || text[i + 1] == '\n')) return i + 2;
    if (lines && text[i] == '\n') return i + 1;
  }
  return text.size();
}

struct Insertion {
  std::size_t at = 0;
  std::string text;
  bool asked = false;
};

class Maker {
 public:
  Maker(const TaskSettings& settings, const TaskGrid& grid, const TokenBytes& token_bytes)
      : settings_(settings), grid_(grid), token_bytes_(token_bytes) {}

  absl::StatusOr<std::vector<TaskDocument>> Make();

 private:
  bool lines() const { return settings_.filler != Filler::kText; }
  bool is_json() const { return settings_.kind == TaskKind::kKeyValue && settings_.filler == Filler::kNeedles; }
  // Other needles that are hidden beside the one that is asked for.
  int distractors() const {
    return settings_.kind == TaskKind::kMultiKey && settings_.filler != Filler::kNeedles ? settings_.keys - 1 : 0;
  }
  // Documents of one repeat; each asks for a needle of its own.
  int asked_needles() const { return static_cast<int>(grid_.lengths.size() * grid_.depths.size()); }

  absl::Status PrepareRepeat(int repeat);
  absl::Status MeasureFiller(std::int64_t tokens);
  absl::StatusOr<std::string_view> CutFiller(std::int64_t length, const std::string& inserted) const;
  AskedQuestion Ask(const Needle& needle) const;
  absl::StatusOr<TaskDocument> MakeDocument(std::int64_t length, double depth, int repeat, const Needle& needle) const;
  std::vector<Insertion> Insertions(std::string_view filler, double depth, int repeat, const Needle& needle) const;

  const TaskSettings& settings_;
  const TaskGrid& grid_;
  const TokenBytes& token_bytes_;
  std::vector<Needle> needles_;  // of the repeat: those that are asked for, then all others
  std::string filler_;           // what `measured_` is of
  MeasuredText measured_;
};

absl::StatusOr<std::vector<TaskDocument>> Maker::Make() {
  std::vector<std::vector<TaskDocument>> repeats;
  for (int repeat = 0; repeat < grid_.repeats; ++repeat) {
    TOME_RETURN_IF_ERROR(PrepareRepeat(repeat));
    auto& documents = repeats.emplace_back();
    for (const std::int64_t length : grid_.lengths) {
      for (const double depth : grid_.depths) {
        TOME_ASSIGN_OR_RETURN(documents.emplace_back(),
                              MakeDocument(length, depth, repeat, needles_[documents.size()]));
      }
    }
  }
  std::vector<TaskDocument> ordered;
  for (int cell = 0; cell < asked_needles(); ++cell) {
    for (auto& documents : repeats) ordered.push_back(std::move(documents[cell]));
  }
  return ordered;
}

absl::Status Maker::PrepareRepeat(int repeat) {
  const std::int64_t longest = *std::max_element(grid_.lengths.begin(), grid_.lengths.end());
  const std::uint64_t seed = Mix(settings_.seed, static_cast<std::uint64_t>(repeat));
  int others = distractors();
  if (settings_.filler == Filler::kNeedles) {
    std::string probe;
    for (const Needle& needle : MakeNeedlesOf(NeedleKindOf(settings_.kind), kProbe, seed)) probe += needle.text + "\n";
    TOME_ASSIGN_OR_RETURN(const std::vector<std::uint32_t> sizes, token_bytes_(probe));
    others = static_cast<int>(longest * static_cast<std::int64_t>(kProbe) * 5 / 4 /
                              static_cast<std::int64_t>(std::max<std::size_t>(1, sizes.size()))) +
             1;
  }
  needles_ = MakeNeedlesOf(NeedleKindOf(settings_.kind), asked_needles() + others, seed);
  for (Needle& needle : needles_) needle = AsPublished(settings_.kind, std::move(needle));
  if (repeat > 0 && settings_.filler != Filler::kNeedles) return absl::OkStatus();
  return MeasureFiller(longest);
}

absl::Status Maker::MeasureFiller(std::int64_t tokens) {
  filler_.clear();
  switch (settings_.filler) {
    case Filler::kText:
      filler_ = settings_.text;
      break;
    case Filler::kNoise:
      // More bytes than any tokenizer puts into a token on average.
      while (static_cast<std::int64_t>(filler_.size()) < tokens * 8) filler_ += kNoiseLine;
      break;
    case Filler::kNeedles:
      for (std::size_t i = asked_needles(); i < needles_.size(); ++i) filler_ += needles_[i].text + "\n";
      break;
  }
  TOME_ASSIGN_OR_RETURN(measured_, Measure(filler_, tokens, token_bytes_));
  return absl::OkStatus();
}

std::vector<Insertion> Maker::Insertions(std::string_view filler, double depth, int repeat,
                                         const Needle& needle) const {
  const auto place = [&](double share) {
    return NextBeginning(filler, static_cast<std::size_t>(share * static_cast<double>(filler.size())), lines());
  };
  std::vector<Insertion> insertions = {{.at = place(depth), .text = needle.text, .asked = true}};
  for (int i = 0; i < distractors(); ++i) {
    const std::uint64_t bits = Mix(Mix(settings_.seed, static_cast<std::uint64_t>(repeat) + 1000), i);
    insertions.push_back(
        {.at = place(static_cast<double>(bits >> 11) * 0x1p-53), .text = needles_[asked_needles() + i].text});
  }
  std::stable_sort(insertions.begin(), insertions.end(),
                   [](const Insertion& a, const Insertion& b) { return a.at < b.at; });
  return insertions;
}

// The beginning of the filler that makes `length` tokens with these insertions.
absl::StatusOr<std::string_view> Maker::CutFiller(std::int64_t length, const std::string& inserted) const {
  TOME_ASSIGN_OR_RETURN(const std::vector<std::uint32_t> own, token_bytes_(inserted));
  // BOS, and where an inserted text meets others, may add a token each.
  const std::int64_t left = length - static_cast<std::int64_t>(own.size()) - 4;
  if (left < 1) return InvalidArgument("lengths: {} tokens cannot hold needles of {}", length, own.size());
  if (left > static_cast<std::int64_t>(measured_.ends.size())) {
    return InvalidArgument("the text has only {} tokens, and {} are wanted beside the needles; give more text",
                           measured_.ends.size(), left);
  }
  std::size_t end = measured_.ends[static_cast<std::size_t>(left - 1)];
  if (lines()) {
    const std::size_t line_end = measured_.text.substr(0, end).rfind('\n');
    return measured_.text.substr(0, line_end == std::string_view::npos ? 0 : line_end + 1);
  }
  const auto within_character = [&] {
    return end < measured_.text.size() && (static_cast<unsigned char>(measured_.text[end]) & 0xC0) == 0x80;
  };
  while (end > 0 && within_character()) --end;
  return measured_.text.substr(0, end);
}

AskedQuestion Maker::Ask(const Needle& needle) const {
  return {.group = std::string(TaskName(settings_.kind)),
          .text = needle.question,
          .form = PromptForm{.prompt = "{instruction}\n{text}\n{question}", .opening = needle.opening},
          .instruction = InstructionOf(settings_.kind),
          .references = {needle.answer}};
}

absl::StatusOr<TaskDocument> Maker::MakeDocument(std::int64_t length, double depth, int repeat,
                                                 const Needle& needle) const {
  TaskDocument document{.length = length, .depth = depth, .repeat = repeat, .asked = Ask(needle)};
  AskedQuestion& asked = document.asked;
  asked.id = fmt::format("{} tokens, depth {:.0f} %, repeat {}", length, 100 * depth, repeat + 1);
  std::string inserted = needle.text + "\n";
  for (int i = 0; i < distractors(); ++i) inserted += needles_[asked_needles() + i].text + "\n";
  TOME_ASSIGN_OR_RETURN(const std::string_view filler, CutFiller(length, inserted));
  if (is_json()) document.text.push_back('{');
  std::size_t taken = 0;
  for (const Insertion& insertion : Insertions(filler, depth, repeat, needle)) {
    document.text += filler.substr(taken, insertion.at - taken);
    taken = insertion.at;
    const std::size_t begin = document.text.size();
    document.text += insertion.text;
    if (insertion.asked) asked.evidence = {begin, document.text.size()};
    document.text += '\n';
  }
  document.text += filler.substr(taken);
  if (is_json()) {
    // The line end and the comma of the last pair.
    document.text.pop_back();
    document.text.back() = '}';
  }
  for (std::size_t at = document.text.find(needle.answer, asked.evidence.begin); at < asked.evidence.end;
       at = document.text.find(needle.answer, at + 1)) {
    asked.answers.push_back({at, at + needle.answer.size()});
  }
  return document;
}

absl::Status CheckSettings(const TaskSettings& settings, const TaskGrid& grid) {
  if (grid.lengths.empty() || grid.depths.empty() || grid.repeats < 1) {
    return InvalidArgument("expected at least one length, one depth and one repeat");
  }
  for (const double depth : grid.depths) {
    if (!(depth >= 0 && depth <= 1)) return InvalidArgument("depths: expected 0 to 1, found {}", depth);
  }
  if (settings.kind == TaskKind::kPassKey && settings.filler == Filler::kNeedles) {
    return InvalidArgument("among other pass keys none is the one that is asked for; hide it in text or noise");
  }
  if (settings.kind == TaskKind::kMultiKey && settings.keys < 2) {
    return InvalidArgument("keys: expected 2 or more, found {}", settings.keys);
  }
  return absl::OkStatus();
}

// The first run of digits.
std::string_view FirstNumber(std::string_view text) {
  const std::size_t begin = text.find_first_of("0123456789");
  if (begin == std::string_view::npos) return "";
  text.remove_prefix(begin);
  return text.substr(0, text.find_first_not_of("0123456789"));
}

bool HasWord(std::string_view text, std::string_view wanted) {
  constexpr std::string_view kSeparators = " \t\r\n:\"'.,?!{}";
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find_first_of(kSeparators));
    if (word == wanted) return true;
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  return false;
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

}  // namespace

std::string_view TaskName(TaskKind kind) {
  switch (kind) {
    case TaskKind::kPassKey:
      return "passkey";
    case TaskKind::kNumber:
      return "number";
    case TaskKind::kKeyValue:
      return "key-value";
    case TaskKind::kUuid:
      return "uuid";
    case TaskKind::kMultiKey:
      return "multi-key";
  }
  return "unknown";
}

absl::StatusOr<std::vector<TaskDocument>> MakeTaskDocuments(const TaskSettings& settings, const TaskGrid& grid,
                                                            const TokenBytes& token_bytes) {
  TOME_RETURN_IF_ERROR(CheckSettings(settings, grid));
  return Maker(settings, grid, token_bytes).Make();
}

double ScoreTaskAnswer(TaskKind kind, std::string_view answer, absl::Span<const std::string> references) {
  const std::string lower = LowerCase(answer);
  double right = 0;
  for (const std::string& reference : references) {
    if (kind == TaskKind::kPassKey) {
      right += FirstNumber(answer) == reference;
    } else if (kind == TaskKind::kKeyValue) {
      right += HasWord(answer, reference);
    } else {
      right += lower.find(LowerCase(reference)) != std::string::npos;
    }
  }
  return references.empty() ? 0 : right / static_cast<double>(references.size());
}

}  // namespace tome
