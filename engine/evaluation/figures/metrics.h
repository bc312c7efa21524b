// Figures of finding and reading.
#ifndef TOME_ENGINE_EVALUATION_FIGURES_METRICS_H_
#define TOME_ENGINE_EVALUATION_FIGURES_METRICS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace tome {

inline constexpr std::array<int, 5> kRecallDepths = {1, 4, 8, 16, 32};

// The rank, from 1, of the best of the `wanted` regions among all; every other region with an equal score comes first.
// 0 when none of them has a score above 0: it was not found.
int RankByScore(absl::Span<const float> scores, absl::Span<const std::int64_t> wanted);
// The rank, from 1, of the first of the `wanted` regions in a list, best first; 0 when none is in it.
int RankInList(absl::Span<const std::int64_t> list, absl::Span<const std::int64_t> wanted);

// Shares of questions whose rank is at most each of kRecallDepths.
class Recall {
 public:
  void Add(int rank);
  int count() const { return count_; }
  std::array<double, kRecallDepths.size()> shares() const;
  double mean() const;         // of the shares
  std::string Format() const;  // ".35/.75/.79/.87/.95"; "-" without questions

 private:
  int count_ = 0;
  std::array<int, kRecallDepths.size()> found_{};
};

// The standard error of the mean of `values`; 0 for fewer than two.
double StandardError(absl::Span<const double> values, double mean);

// How well a score tells right from wrong: the probability that a right one has the higher of two scores, equal ones
// counting half (area under the ROC curve); 0.5 when there are none of one kind.
double AreaUnderCurve(absl::Span<const double> right, absl::Span<const double> wrong);

// ".87", "1.0".
std::string FormatShare(double share);

// SQuAD's measures (Rajpurkar et al., 2016): lower case, without punctuation and articles.
std::string NormalizeAnswer(std::string_view text);
// The best harmonic mean of precision and recall of words, over the references.
double TokenF1(std::string_view answer, absl::Span<const std::string> references);
// ROUGE-L (Lin, 2004): the best harmonic mean of precision and recall of the longest common subsequence of normalised
// words, over the references.
double RougeL(std::string_view answer, absl::Span<const std::string> references);
// Whether the normalised answer has one of the normalised references in it, as whole words.
bool ContainsAnswer(std::string_view answer, absl::Span<const std::string> references);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_FIGURES_METRICS_H_
