// The pre-tokenizers of byte-level BPEs in tokenizer.json.
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/checkpoint/huggingface/tokenizer_json.h"

namespace tome {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// What a chain of pre-tokenizers does, one after another.
struct Steps {
  bool individual_digits = false;
  std::optional<std::string> split_pattern;
  std::optional<bool> byte_level_regex;  // set by the ByteLevel step: whether it applies GPT-2's pattern
};

absl::Status ReadDigits(const JsonFields& step, Steps* steps) {
  TOME_ASSIGN_OR_RETURN(const auto individual, step.OptionalBool("individual_digits"));
  if (!individual.value_or(false)) return step.Unexpected("individual_digits", "true");
  steps->individual_digits = true;
  return absl::OkStatus();
}

absl::Status ReadSplit(const JsonFields& step, Steps* steps) {
  TOME_ASSIGN_OR_RETURN(const JsonFields pattern, step.Object("pattern"));
  TOME_ASSIGN_OR_RETURN(steps->split_pattern, pattern.OptionalString("Regex"));
  if (!steps->split_pattern) return step.Unexpected("pattern", "an object with a 'Regex'");
  TOME_ASSIGN_OR_RETURN(const auto behavior, step.String("behavior"));
  if (behavior != "Isolated") return step.Unexpected("behavior", "'Isolated'");
  TOME_ASSIGN_OR_RETURN(const auto invert, step.OptionalBool("invert"));
  if (invert.value_or(false)) return step.Unexpected("invert", "false");
  return absl::OkStatus();
}

absl::Status ReadByteLevel(const JsonFields& step, Steps* steps) {
  TOME_ASSIGN_OR_RETURN(const auto prefix, step.OptionalBool("add_prefix_space"));
  if (prefix.value_or(true)) return step.Unexpected("add_prefix_space", "false");
  TOME_ASSIGN_OR_RETURN(const auto use_regex, step.OptionalBool("use_regex"));
  steps->byte_level_regex = use_regex.value_or(true);
  return absl::OkStatus();
}

// The steps are known in this order only, ByteLevel last: what another order means is not what TokenizerData can say.
absl::Status ReadStep(const JsonFields& step, Steps* steps) {
  constexpr std::string_view kExpected = "Digits, then Split, then ByteLevel, each at most once and ByteLevel last";
  TOME_ASSIGN_OR_RETURN(const std::string type, step.String("type"));
  if (steps->byte_level_regex) return step.Unexpected("type", kExpected);
  if (type == "Digits" && !steps->individual_digits && !steps->split_pattern) return ReadDigits(step, steps);
  if (type == "Split" && !steps->split_pattern) return ReadSplit(step, steps);
  if (type == "ByteLevel") return ReadByteLevel(step, steps);
  return step.Unexpected("type", kExpected);
}

absl::StatusOr<Steps> ReadSteps(const JsonFields& pre_tokenizer) {
  Steps steps;
  TOME_ASSIGN_OR_RETURN(const auto type, pre_tokenizer.OptionalString("type"));
  if (type.value_or("") != "Sequence") {
    TOME_RETURN_IF_ERROR(ReadStep(pre_tokenizer, &steps));
    return steps;
  }
  const Json* sequence = pre_tokenizer.Find("pretokenizers");
  if (sequence == nullptr || !sequence->is_array()) return pre_tokenizer.Unexpected("pretokenizers", "an array");
  for (const Json& step : *sequence) {
    if (!step.is_object()) return pre_tokenizer.Unexpected("pretokenizers", "an array of objects");
    TOME_RETURN_IF_ERROR(ReadStep(JsonFields(step, pre_tokenizer.place()), &steps));
  }
  return steps;
}

// A sequence of no normalizers is none.
absl::Status RefuseNormalizers(const JsonFields& document) {
  if (!document.Has("normalizer")) return absl::OkStatus();
  const Json* normalizers = nullptr;
  if (const Json* normalizer = document.Find("normalizer"); normalizer->is_object()) {
    normalizers = JsonFields(*normalizer, document.place()).Find("normalizers");
  }
  if (normalizers != nullptr && normalizers->is_array() && normalizers->empty()) return absl::OkStatus();
  return document.Unexpected("normalizer", "null for a byte-level BPE");
}

}  // namespace

absl::Status ReadByteLevelPreTokenizer(const JsonFields& document, TokenizerData* data) {
  data->kind = TokenizerKind::kByteLevelBpe;
  data->add_dummy_prefix = false;
  TOME_RETURN_IF_ERROR(RefuseNormalizers(document));
  if (!document.Has("pre_tokenizer")) return document.Unexpected("pre_tokenizer", "an object");
  TOME_ASSIGN_OR_RETURN(const JsonFields pre_tokenizer, document.Object("pre_tokenizer"));
  TOME_ASSIGN_OR_RETURN(Steps steps, ReadSteps(pre_tokenizer));
  if (!steps.byte_level_regex) {
    return InvalidArgument("{}: expected a ByteLevel step, found none", pre_tokenizer.place());
  }
  if (!steps.split_pattern && !*steps.byte_level_regex) {
    return InvalidArgument("{}: expected a Split pattern or ByteLevel with use_regex, found neither",
                           pre_tokenizer.place());
  }
  if (steps.split_pattern && *steps.byte_level_regex) {
    return InvalidArgument("{}: expected ByteLevel without use_regex after a Split, found it with",
                           pre_tokenizer.place());
  }
  const std::string pattern = steps.split_pattern.value_or(std::string(kGpt2Pattern));
  if (pattern == kGpt2Pattern) {
    data->pre_tokenizer = steps.individual_digits ? PreTokenizer::kSmolLm : PreTokenizer::kGpt2;
  } else if (pattern == kLlama3Pattern && !steps.individual_digits) {
    data->pre_tokenizer = PreTokenizer::kLlama3;
  } else {
    data->pre_tokenizer = PreTokenizer::kPattern;
    data->split_pattern = pattern;
    data->individual_digits = steps.individual_digits;
  }
  return absl::OkStatus();
}

}  // namespace tome
