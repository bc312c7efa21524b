#include "engine/model/position_encoding.h"

#include <charconv>
#include <string>
#include <utility>

#include "engine/base/status.h"

namespace tome {
namespace {

constexpr double kMaxFactor = 1024;
// Of a context that an encoding extends: a table of cosines and sines has all of them.
constexpr double kMaxPositions = 131072;

using Kind = RopeScaling::Kind;

constexpr std::pair<std::string_view, Kind> kScalings[] = {
    {"linear", Kind::kLinear}, {"ntk", Kind::kNtk},       {"dynamic-ntk", Kind::kDynamicNtk},
    {"yarn", Kind::kYarn},     {"llama3", Kind::kLlama3}, {"crd-ntk", Kind::kCrdNtk}};

std::string_view NameOf(Kind kind) {
  for (const auto& [name, named] : kScalings) {
    if (named == kind) return name;
  }
  return "rope";
}

struct Encoding {
  Kind kind = Kind::kNone;
  double factor = 1;
};

absl::StatusOr<Encoding> Parse(std::string_view text) {
  if (text == "rope") return Encoding{};
  const std::size_t open = text.find('(');
  for (const auto& [name, kind] : kScalings) {
    if (text.substr(0, open) != name) continue;
    Encoding encoding{.kind = kind};
    const std::string_view number =
        open == std::string_view::npos || text.back() != ')' ? "" : text.substr(open + 1, text.size() - open - 2);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), encoding.factor);
    // Written so that NaN fails.
    if (error != std::errc() || end != number.data() + number.size() ||
        !(encoding.factor >= 1 && encoding.factor <= kMaxFactor)) {
      return InvalidArgument("position encoding: '{}': expected a factor of 1 to {:.0f}, like {}(4)", text, kMaxFactor,
                             name);
    }
    return encoding;
  }
  return InvalidArgument(
      "position encoding: expected rope, linear(factor), ntk(factor), dynamic-ntk(factor), yarn(factor), "
      "llama3(factor) or crd-ntk(factor), found '{}'",
      text);
}

}  // namespace

std::int64_t TrainedLength(const LlamaConfig& config) {
  const std::int64_t original = config.rope_scaling.original_context_length;
  return original > 0 ? original : config.context_length;
}

absl::StatusOr<LlamaConfig> WithPositionEncoding(std::string_view encoding, const LlamaConfig& config) {
  if (encoding.empty()) return config;
  TOME_ASSIGN_OR_RETURN(const Encoding chosen, Parse(encoding));
  const Kind own = config.rope_scaling.kind;
  if (own != Kind::kNone && own != chosen.kind) {
    return InvalidArgument(
        "position encoding: {}: the model was trained with {} of factor {}, which another encoding would undo; leave "
        "it "
        "out, or choose {} with a larger factor",
        encoding, NameOf(own), config.rope_scaling.factor, NameOf(own));
  }
  if (chosen.kind != Kind::kNone && config.head_dim < 4) {
    return InvalidArgument("position encoding: {}: expected a head dimension of 4 or more, found {}", encoding,
                           config.head_dim);
  }
  if (chosen.factor < config.rope_scaling.factor) {
    return InvalidArgument(
        "position encoding: {}: expected the factor {} that the model was trained with, or a larger one", encoding,
        config.rope_scaling.factor);
  }
  LlamaConfig scaled = config;
  const std::int64_t trained = TrainedLength(config);
  if (chosen.factor > 1 && static_cast<double>(trained) * chosen.factor > kMaxPositions) {
    return InvalidArgument("position encoding: {}: expected at most {:.0f} positions, found {} x {}", encoding,
                           kMaxPositions, trained, chosen.factor);
  }
  if (own == Kind::kNone && chosen.kind == Kind::kLlama3) {
    scaled.rope_scaling.low_freq_factor = 1;
    scaled.rope_scaling.high_freq_factor = 4;
  }
  scaled.rope_scaling.kind = chosen.kind;
  scaled.rope_scaling.factor = chosen.factor;
  scaled.rope_scaling.original_context_length = trained;
  scaled.context_length = static_cast<std::int64_t>(static_cast<double>(trained) * chosen.factor);
  return scaled;
}

}  // namespace tome
