#include "engine/evaluation/figures/metrics.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "fmt/format.h"

namespace tome {
namespace {

bool Contains(absl::Span<const std::int64_t> list, std::int64_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

std::vector<std::string> Words(std::string_view normalized) {
  std::vector<std::string> words;
  std::size_t begin = 0;
  while (begin < normalized.size()) {
    const std::size_t end = std::min(normalized.find(' ', begin), normalized.size());
    words.emplace_back(normalized.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

double F1(std::string_view answer, std::string_view reference) {
  const std::vector<std::string> found = Words(NormalizeAnswer(answer)), wanted = Words(NormalizeAnswer(reference));
  if (found.empty() || wanted.empty()) return found.empty() && wanted.empty() ? 1.0 : 0.0;
  std::map<std::string, int> left;
  for (const std::string& word : wanted) ++left[word];
  int common = 0;
  for (const std::string& word : found) common += left[word]-- > 0;
  return 2.0 * common / static_cast<double>(found.size() + wanted.size());
}

double LongestCommonSubsequence(const std::vector<std::string>& first, const std::vector<std::string>& second) {
  std::vector<int> row(second.size() + 1);
  for (const std::string& word : first) {
    int diagonal = 0;
    for (std::size_t i = 0; i < second.size(); ++i) {
      const int above = row[i + 1];
      row[i + 1] = word == second[i] ? diagonal + 1 : std::max(above, row[i]);
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

int RankByScore(absl::Span<const float> scores, absl::Span<const std::int64_t> wanted) {
  float best = 0;
  for (const std::int64_t region : wanted) best = std::max(best, scores[region]);
  if (best <= 0) return 0;
  int rank = 1;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    rank += scores[i] >= best && !Contains(wanted, static_cast<std::int64_t>(i));
  }
  return rank;
}

int RankInList(absl::Span<const std::int64_t> list, absl::Span<const std::int64_t> wanted) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (Contains(wanted, list[i])) return static_cast<int>(i) + 1;
  }
  return 0;
}

void Recall::Add(int rank) {
  ++count_;
  for (std::size_t i = 0; i < kRecallDepths.size(); ++i) found_[i] += rank >= 1 && rank <= kRecallDepths[i];
}

std::array<double, kRecallDepths.size()> Recall::shares() const {
  std::array<double, kRecallDepths.size()> shares{};
  for (std::size_t i = 0; i < shares.size() && count_ > 0; ++i) shares[i] = static_cast<double>(found_[i]) / count_;
  return shares;
}

double Recall::mean() const {
  double sum = 0;
  for (const double share : shares()) sum += share;
  return sum / static_cast<double>(kRecallDepths.size());
}

std::string Recall::Format() const {
  if (count_ == 0) return "-";
  std::string text;
  for (const double share : shares()) {
    if (!text.empty()) text += '/';
    text += FormatShare(share);
  }
  return text;
}

double StandardError(absl::Span<const double> values, double mean) {
  if (values.size() < 2) return 0;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const auto count = static_cast<double>(values.size());
  return std::sqrt(squares / (count - 1) / count);
}

double AreaUnderCurve(absl::Span<const double> right, absl::Span<const double> wrong) {
  if (right.empty() || wrong.empty()) return 0.5;
  double wins = 0;
  for (const double first : right) {
    for (const double second : wrong) wins += first > second ? 1 : first == second ? 0.5 : 0;
  }
  return wins / static_cast<double>(right.size() * wrong.size());
}

std::string FormatShare(double share) {
  const std::string text = fmt::format("{:.2f}", share);
  return text == "1.00" ? "1.0" : text.substr(text.starts_with("0.") ? 1 : 0);
}

std::string NormalizeAnswer(std::string_view text) {
  std::string letters;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::ispunct(byte) != 0) continue;
    letters.push_back(std::isspace(byte) != 0 ? ' ' : static_cast<char>(std::tolower(byte)));
  }
  std::string normalized;
  for (const std::string& word : Words(letters)) {
    if (word.empty() || word == "a" || word == "an" || word == "the") continue;
    if (!normalized.empty()) normalized += ' ';
    normalized += word;
  }
  return normalized;
}

double TokenF1(std::string_view answer, absl::Span<const std::string> references) {
  double best = 0;
  for (const std::string& reference : references) best = std::max(best, F1(answer, reference));
  return best;
}

double RougeL(std::string_view answer, absl::Span<const std::string> references) {
  const std::vector<std::string> found = Words(NormalizeAnswer(answer));
  double best = 0;
  for (const std::string& reference : references) {
    const std::vector<std::string> wanted = Words(NormalizeAnswer(reference));
    if (found.empty() && wanted.empty()) return 1;
    best =
        std::max(best, 2 * LongestCommonSubsequence(found, wanted) / static_cast<double>(found.size() + wanted.size()));
  }
  return best;
}

bool ContainsAnswer(std::string_view answer, absl::Span<const std::string> references) {
  const std::string padded = fmt::format(" {} ", NormalizeAnswer(answer));
  return std::any_of(references.begin(), references.end(), [&](const std::string& reference) {
    const std::string wanted = NormalizeAnswer(reference);
    return !wanted.empty() && padded.find(fmt::format(" {} ", wanted)) != std::string::npos;
  });
}

}  // namespace tome
