// Regular expressions of tokenizers, written for Oniguruma (Hugging Face), run by PCRE2 with Oniguruma's meaning.
#ifndef TOME_ENGINE_TEXT_SPLITTING_REGEX_H_
#define TOME_ENGINE_TEXT_SPLITTING_REGEX_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tome {

// The pattern with constructs that mean something else in PCRE2 spelled out ("\s", "\w", "\u00A0", ...).
// INVALID_ARGUMENT names a construct that is not supported, and where it stands: anchors, look-behind, back references,
// nested classes, and what has no equal meaning.
absl::StatusOr<std::string> TranslateOnigurumaPattern(std::string_view pattern);

// A compiled expression. Immutable and thread-safe.
class Regex {
 public:
  // `pattern` in PCRE2's syntax. INVALID_ARGUMENT for what PCRE2 refuses, for look-behind (words are searched without
  // what comes before them) and for expressions that match an empty text.
  static absl::StatusOr<std::shared_ptr<const Regex>> Compile(const std::string& pattern);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

 private:
  friend class RegexSearch;
  struct Compiled;
  explicit Regex(std::unique_ptr<const Compiled> compiled);
  std::unique_ptr<const Compiled> compiled_;
};

// Searches with an expression; holds the working memory of one thread. A copy is independent.
class RegexSearch {
 public:
  explicit RegexSearch(std::shared_ptr<const Regex> regex);
  ~RegexSearch();
  RegexSearch(const RegexSearch& other);
  RegexSearch& operator=(const RegexSearch& other);

  enum class Outcome {
    kMatch,     // text[begin, end) is the first match; with `more_follows`, whatever follows
    kNeedMore,  // only what follows the text can tell; nothing before `begin` can match
    kNone,      // no match, or the expression's work limit was passed
  };
  struct Result {
    Outcome outcome = Outcome::kNone;
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  // The first match that begins at or after `start`. `text`: valid UTF-8 without a cut character, `start` at a
  // boundary. `more_follows`: the text goes on, so a match that would look at its end is not certain.
  Result Find(std::string_view text, std::size_t start, bool more_follows);

 private:
  struct Scratch;
  std::shared_ptr<const Regex> regex_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_SPLITTING_REGEX_H_
