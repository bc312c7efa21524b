// Options of a memory: their names and their limits.
#include "engine/memory/memory_options.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "engine/attention/pattern.h"
#include "engine/base/status.h"
#include "engine/model/position_encoding.h"
#include "fmt/format.h"

namespace tome {
namespace {

template <typename Value>
struct Named {
  std::string_view name;
  Value value;
};

constexpr Named<RegionPrecision> kPrecisions[] = {
    {"computed", RegionPrecision::kComputed}, {"bf16", RegionPrecision::kBf16}, {"int8", RegionPrecision::kInt8}};
constexpr Named<RetentionScore> kScores[] = {
    {"selections", RetentionScore::kSelections}, {"value-norm", RetentionScore::kValueNorm},
    {"surprise", RetentionScore::kSurprise},     {"novelty", RetentionScore::kNovelty},
    {"expected", RetentionScore::kExpected},     {"random", RetentionScore::kRandom}};
constexpr Named<RegionCompression> kCompressions[] = {{"whole", RegionCompression::kWhole},
                                                      {"merge", RegionCompression::kMerge}};

template <typename Value, std::size_t size>
absl::StatusOr<Value> ParseName(const Named<Value> (&all)[size], std::string_view field, std::string_view name) {
  std::string expected;
  for (const Named<Value>& named : all) {
    if (named.name == name) return named.value;
    expected += fmt::format("{}{}", expected.empty() ? "" : ", ", named.name);
  }
  return InvalidArgument("region memory: {}: expected one of {}, found '{}'", field, expected, name);
}

template <typename Value, std::size_t size>
std::string_view NameOf(const Named<Value> (&all)[size], Value value) {
  for (const Named<Value>& named : all) {
    if (named.value == value) return named.name;
  }
  return "unknown";
}

constexpr Named<int RegionMemoryOptions::*> kNumbers[] = {
    {"selected", &RegionMemoryOptions::selected}, {"query-region", &RegionMemoryOptions::query_region_tokens},
    {"merge", &RegionMemoryOptions::merge},       {"route-every", &RegionMemoryOptions::route_every},
    {"ring", &RegionMemoryOptions::ring_regions}, {"pool", &RegionMemoryOptions::pool_regions}};

absl::Status Set(std::string_view key, std::string_view value, RegionMemoryOptions* options) {
  for (const auto& [name, number] : kNumbers) {
    if (name != key) continue;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), options->*number);
    if (error == std::errc() && end == value.data() + value.size()) return absl::OkStatus();
    return InvalidArgument("region memory: {}: expected a number, found '{}'", key, value);
  }
  if (key == "retention") {
    TOME_ASSIGN_OR_RETURN(options->retention, ParseName(kScores, key, value));
  } else if (key == "compression") {
    TOME_ASSIGN_OR_RETURN(options->compression, ParseName(kCompressions, key, value));
  } else if (key == "precision") {
    TOME_ASSIGN_OR_RETURN(options->precision, ParseName(kPrecisions, key, value));
  } else {
    return InvalidArgument(
        "region memory: expected 'off' or settings of selected, query-region, merge, route-every, ring, pool, "
        "retention, compression, precision as key=value, found '{}'",
        key);
  }
  return absl::OkStatus();
}

absl::Status ValidateRegionMemoryOptions(const RegionMemoryOptions& options) {
  const auto check = [](std::string_view field, int value, int least, int most) {
    return value >= least && value <= most
               ? absl::OkStatus()
               : InvalidArgument("region memory: {}: expected {} to {}, found {}", field, least, most, value);
  };
  TOME_RETURN_IF_ERROR(check("selected", options.selected, 0, 1024));
  if (options.selected == 0) return absl::OkStatus();
  TOME_RETURN_IF_ERROR(check("query-region", options.query_region_tokens, 1, 1 << 20));
  TOME_RETURN_IF_ERROR(check("merge", options.merge, 1, 64));
  TOME_RETURN_IF_ERROR(check("route-every", options.route_every, 1, 1024));
  TOME_RETURN_IF_ERROR(check("ring", options.ring_regions, 1, 1 << 16));
  TOME_RETURN_IF_ERROR(check("pool", options.pool_regions, 0, 1 << 16));
  if (options.compression == RegionCompression::kWhole) return absl::OkStatus();
  if (options.precision == RegionPrecision::kInt8) {
    return InvalidArgument(
        "region memory: compression=merge: two regions in int8 have different scales; use bf16, or whole regions");
  }
  if (options.retention == RetentionScore::kSelections) {
    return InvalidArgument(
        "region memory: compression=merge: selections score whole regions, not tokens; use value-norm, surprise, "
        "novelty, expected or random");
  }
  return absl::OkStatus();
}

std::int64_t MaxRegions(const RegionMemoryOptions& options) {
  return options.selected == 0 ? 0 : std::int64_t{options.ring_regions} + options.pool_regions;
}

}  // namespace

absl::StatusOr<RegionMemoryOptions> ParseRegionMemoryOptions(std::string_view settings,
                                                             const RegionMemoryOptions& base) {
  RegionMemoryOptions options = base;
  if (settings == "off") {
    options.selected = 0;
    return options;
  }
  while (!settings.empty()) {
    const std::string_view setting = settings.substr(0, settings.find(','));
    settings.remove_prefix(std::min(settings.size(), setting.size() + 1));
    const std::size_t equals = std::min(setting.find('='), setting.size());
    TOME_RETURN_IF_ERROR(
        Set(setting.substr(0, equals), setting.substr(std::min(setting.size(), equals + 1)), &options));
  }
  TOME_RETURN_IF_ERROR(ValidateRegionMemoryOptions(options));
  return options;
}

std::string FormatRegionMemoryOptions(const RegionMemoryOptions& options) {
  if (options.selected == 0) return "off";
  std::string settings;
  for (const auto& [key, number] : kNumbers) settings += fmt::format("{}={},", key, options.*number);
  return settings + fmt::format("retention={},compression={},precision={}", NameOf(kScores, options.retention),
                                NameOf(kCompressions, options.compression), NameOf(kPrecisions, options.precision));
}

std::int64_t MaxAttendedTokens(const MemoryOptions& options) {
  std::int64_t tokens = std::int64_t{options.sink_tokens} + options.window_tokens + options.segment_tokens;
  if (options.regions.selected == 0) return tokens;
  tokens += options.region_tokens - 1;  // of the window, until they fill a region
  return tokens + options.region_tokens * std::min(MaxRegions(options.regions),
                                                   std::int64_t{options.regions.selected} * options.regions.merge);
}

absl::Status ValidateMemoryOptions(const MemoryOptions& options, const LlamaConfig& trained) {
  TOME_ASSIGN_OR_RETURN(const LlamaConfig config, WithPositionEncoding(options.position_encoding, trained));
  TOME_ASSIGN_OR_RETURN(const AttentionPattern pattern, AttentionPattern::Parse(options.attention));
  TOME_RETURN_IF_ERROR(pattern.ForHeads(config.num_heads).status());
  if (options.sink_tokens < 0) return InvalidArgument("sink_tokens: expected 0 or more, found {}", options.sink_tokens);
  if (options.window_tokens < 1) {
    return InvalidArgument("window_tokens: expected 1 or more, found {}", options.window_tokens);
  }
  if (options.segment_tokens < 1) {
    return InvalidArgument("segment_tokens: expected 1 or more, found {}", options.segment_tokens);
  }
  if (options.region_tokens < 8 || options.region_tokens > 4096) {
    return InvalidArgument("region_tokens: expected 8 to 4096, found {}", options.region_tokens);
  }
  TOME_RETURN_IF_ERROR(ValidateRegionMemoryOptions(options.regions));
  const std::int64_t most = MaxAttendedTokens(options);
  if (most > config.context_length) {
    return InvalidArgument(
        "sink_tokens {} + window_tokens {} + segment_tokens {} and {} tokens of chosen regions are attended at once, "
        "{} in all, but the model takes {} with its position encoding; make window_tokens or the selected regions "
        "fewer",
        options.sink_tokens, options.window_tokens, options.segment_tokens,
        most - options.sink_tokens - options.window_tokens - options.segment_tokens, most, config.context_length);
  }
  return absl::OkStatus();
}

}  // namespace tome
