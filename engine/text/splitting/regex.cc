#include "engine/text/splitting/regex.h"

#include <utility>

#include "engine/base/status.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace tome {
namespace {

// Bounds the work of an expression that backtracks without end; far above what any word needs.
constexpr std::uint32_t kMatchLimit = 20'000'000;

std::string CompileError(int code) {
  PCRE2_UCHAR message[256];
  pcre2_get_error_message(code, message, sizeof(message));
  return reinterpret_cast<const char*>(message);
}

}  // namespace

struct Regex::Compiled {
  pcre2_code* code = nullptr;
  ~Compiled() { pcre2_code_free(code); }
};

Regex::Regex(std::unique_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
Regex::~Regex() = default;

absl::StatusOr<std::shared_ptr<const Regex>> Regex::Compile(const std::string& pattern) {
  const std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  auto compiled = std::make_unique<Compiled>();
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &error_offset, context.get());
  if (compiled->code == nullptr) {
    return InvalidArgument("regular expression '{}': {} at offset {}", pattern, CompileError(error), error_offset);
  }
  std::uint32_t look_behind = 0, matches_empty = 0;
  pcre2_pattern_info(compiled->code, PCRE2_INFO_MAXLOOKBEHIND, &look_behind);
  pcre2_pattern_info(compiled->code, PCRE2_INFO_MATCHEMPTY, &matches_empty);
  if (look_behind != 0) return InvalidArgument("regular expression '{}': look-behind is not supported", pattern);
  if (matches_empty != 0) return InvalidArgument("regular expression '{}': it matches an empty text", pattern);
  // Where the compiler is not available the interpreter does the same, slower.
  pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
  return std::shared_ptr<const Regex>(new Regex(std::move(compiled)));
}

struct RegexSearch::Scratch {
  explicit Scratch(const pcre2_code* code)
      : match(pcre2_match_data_create_from_pattern(code, nullptr)), context(pcre2_match_context_create(nullptr)) {
    pcre2_set_match_limit(context, kMatchLimit);
  }
  ~Scratch() {
    pcre2_match_context_free(context);
    pcre2_match_data_free(match);
  }
  pcre2_match_data* match;
  pcre2_match_context* context;
};

RegexSearch::RegexSearch(std::shared_ptr<const Regex> regex)
    : regex_(std::move(regex)), scratch_(std::make_unique<Scratch>(regex_->compiled_->code)) {}
RegexSearch::~RegexSearch() = default;
RegexSearch::RegexSearch(const RegexSearch& other) : RegexSearch(other.regex_) {}
RegexSearch& RegexSearch::operator=(const RegexSearch& other) {
  RegexSearch copy(other);
  std::swap(regex_, copy.regex_);
  std::swap(scratch_, copy.scratch_);
  return *this;
}

RegexSearch::Result RegexSearch::Find(std::string_view text, std::size_t start, bool more_follows) {
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const std::uint32_t options = PCRE2_NO_UTF_CHECK | (more_follows ? PCRE2_PARTIAL_HARD : 0);
  const pcre2_code* code = regex_->compiled_->code;
  int count = pcre2_match(code, subject, text.size(), start, options, scratch_->match, scratch_->context);
  if (count == PCRE2_ERROR_JIT_STACKLIMIT) {
    count = pcre2_match(code, subject, text.size(), start, options | PCRE2_NO_JIT, scratch_->match, scratch_->context);
  }
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(scratch_->match);
  if (count >= 0) return {Outcome::kMatch, bounds[0], bounds[1]};
  if (count == PCRE2_ERROR_PARTIAL) return {Outcome::kNeedMore, bounds[0], text.size()};
  return {Outcome::kNone, text.size(), text.size()};
}

}  // namespace tome
