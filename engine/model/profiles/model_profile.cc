#include "engine/model/profiles/model_profile.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "engine/base/digest.h"
#include "engine/base/status.h"
#include "engine/model/profiles/profile_fields.h"
#include "engine/model/profiles/prompt_form_json.h"
#include "engine/model/profiles/shipped_profiles.h"

namespace tome {
namespace {

using nlohmann::json;

constexpr int kFormat = 2;

bool AllFinite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

absl::StatusOr<RetrievalHead> ParseHead(const json& object, const std::string& where, const LlamaConfig& config) {
  if (!object.is_object()) return InvalidArgument("{}: expected an object", where);
  RetrievalHead head;
  ProfileFields fields(object, where);
  fields.Get("layer", &head.layer);
  fields.Get("kv_head", &head.kv_head);
  fields.Get("query_heads", &head.query_heads);
  fields.Get("mean", &head.mean);
  fields.Get("basis", &head.basis);
  fields.Get("step", &head.step);
  fields.Get("background", &head.background);
  const auto dim = static_cast<std::size_t>(config.head_dim);
  const std::int64_t group = config.num_heads / config.num_kv_heads;
  fields.Require(head.layer >= 0 && head.layer < config.num_layers, "layer",
                 fmt::format("expected 0 to {}, found {}", config.num_layers - 1, head.layer));
  fields.Require(head.kv_head >= 0 && head.kv_head < config.num_kv_heads, "kv_head",
                 fmt::format("expected 0 to {}, found {}", config.num_kv_heads - 1, head.kv_head));
  fields.Require(!head.query_heads.empty(), "query_heads", "expected at least one");
  for (const int query_head : head.query_heads) {
    fields.Require(query_head >= 0 && query_head / group == head.kv_head, "query_heads",
                   fmt::format("head {} does not belong to key-value head {}", query_head, head.kv_head));
  }
  fields.Require(head.mean.size() == dim, "mean", fmt::format("expected {} numbers, found {}", dim, head.mean.size()));
  const std::size_t rows = head.step.size();
  fields.Require(rows > 0 && rows <= dim && rows % 2 == 0, "step",
                 fmt::format("expected an even number of at most {}, found {}", dim, rows));
  fields.Require(head.basis.size() == rows * dim, "basis",
                 fmt::format("expected {} numbers, found {}", rows * dim, head.basis.size()));
  fields.Require(head.background.size() % dim == 0 && head.background.size() <= 1024 * dim, "background",
                 fmt::format("expected at most 1,024 times {} numbers, found {}", dim, head.background.size()));
  fields.Require(AllFinite(head.background), "background", "expected finite numbers");
  fields.Require(AllFinite(head.mean) && AllFinite(head.basis), "basis", "expected finite numbers");
  fields.Require(
      std::all_of(head.step.begin(), head.step.end(), [](float step) { return step > 1e-12f && step < 1e12f; }), "step",
      "expected positive numbers");
  TOME_RETURN_IF_ERROR(fields.status());
  return head;
}

// The defaults of questions.
absl::Status ParseDefaults(const json& object, const std::string& source, const LlamaConfig& config,
                           ModelProfile* profile) {
  ProfileFields fields(object, source);
  if (fields.Has("prompt_form")) {
    TOME_ASSIGN_OR_RETURN(profile->prompt_form,
                          PromptFormFromJson(object.at("prompt_form"), fmt::format("{}: prompt_form", source)));
  }
  if (fields.Has("budget_tokens")) {
    std::int64_t budget = 0;
    fields.Get("budget_tokens", &budget);
    fields.Require(budget >= 1 && budget <= config.context_length, "budget_tokens",
                   fmt::format("expected 1 to {}, found {}", config.context_length, budget));
    profile->budget_tokens = static_cast<int>(budget);
  }
  if (fields.Has("effort")) {
    std::string effort;
    fields.Get("effort", &effort);
    TOME_RETURN_IF_ERROR(fields.status());
    const absl::StatusOr<Effort> parsed = ParseEffort(effort);
    if (!parsed.ok()) return Annotate(parsed.status(), source);
    profile->effort = *parsed;
  }
  return fields.status();
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return InvalidArgument("{}: cannot be read", path);
  return std::move(text).str();
}

}  // namespace

absl::StatusOr<Effort> ParseEffort(std::string_view name) {
  for (const Effort effort : {Effort::kFast, Effort::kBalanced, Effort::kThorough}) {
    if (EffortName(effort) == name) return effort;
  }
  return InvalidArgument("effort: expected fast, balanced or thorough, found '{}'", name);
}

std::string_view EffortName(Effort effort) {
  switch (effort) {
    case Effort::kFast:
      return "fast";
    case Effort::kBalanced:
      return "balanced";
    case Effort::kThorough:
      return "thorough";
  }
  return "unknown";
}

int ModelProfile::code_bytes() const {
  int bits = 0;
  for (const RetrievalHead& head : heads) bits += head.code_dims() * code_bits;
  return bits / 8;
}

int ModelProfile::num_layers() const {
  int layers = 0;
  for (const RetrievalHead& head : heads) layers = std::max(layers, head.layer + 1);
  return layers;
}

absl::StatusOr<ModelProfile> ParseModelProfile(std::string_view text, const std::string& source,
                                               const LlamaConfig& config) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return InvalidArgument("{}: this is not a JSON object", source);
  ModelProfile profile;
  int format = 0;
  json heads;
  ProfileFields fields(object, source);
  fields.Get("format", &format);
  fields.Require(format == kFormat, "format", fmt::format("this build reads {}, found {}", kFormat, format));
  fields.Get("model_digest", &profile.model_digest);
  fields.Get("made_by", &profile.made_by);
  fields.Get("code_bits", &profile.code_bits);
  fields.Require(profile.code_bits == 4 || profile.code_bits == 8, "code_bits",
                 fmt::format("expected 4 or 8, found {}", profile.code_bits));
  fields.Get("heads", &heads);
  fields.Require(heads.is_array() && heads.size() <= 64, "heads", "expected a list of at most 64");
  TOME_RETURN_IF_ERROR(fields.status());
  for (std::size_t i = 0; i < heads.size(); ++i) {
    TOME_ASSIGN_OR_RETURN(RetrievalHead head, ParseHead(heads[i], fmt::format("{}: heads[{}]", source, i), config));
    profile.heads.push_back(std::move(head));
  }
  TOME_RETURN_IF_ERROR(ParseDefaults(object, source, config, &profile));
  return profile;
}

std::string FormatModelProfile(const ModelProfile& profile) {
  // Numbers of type float are written with as few digits as tell them apart.
  using FloatJson = nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t, std::uint64_t, float>;
  FloatJson heads = FloatJson::array();
  for (const RetrievalHead& head : profile.heads) {
    heads.push_back({{"layer", head.layer},
                     {"kv_head", head.kv_head},
                     {"query_heads", head.query_heads},
                     {"mean", head.mean},
                     {"basis", head.basis},
                     {"step", head.step},
                     {"background", head.background}});
  }
  FloatJson object = {{"format", kFormat},
                      {"model_digest", profile.model_digest},
                      {"made_by", profile.made_by},
                      {"code_bits", profile.code_bits},
                      {"heads", heads}};
  if (profile.prompt_form) object["prompt_form"] = PromptFormToJson(*profile.prompt_form);
  if (profile.budget_tokens) object["budget_tokens"] = *profile.budget_tokens;
  if (profile.effort) object["effort"] = EffortName(*profile.effort);
  return object.dump() + "\n";
}

std::string RoutingCodesDigest(const ModelProfile& profile) {
  ModelProfile codes{.code_bits = profile.code_bits};
  for (const RetrievalHead& head : profile.heads) {
    codes.heads.push_back(
        {.layer = head.layer, .kv_head = head.kv_head, .mean = head.mean, .basis = head.basis, .step = head.step});
  }
  return Sha256Hex(FormatModelProfile(codes));
}

absl::StatusOr<ModelProfile> LoadModelProfile(const std::string& profile_path, const std::string& model_path,
                                              const std::string& model_digest, const LlamaConfig& config) {
  const bool named = !profile_path.empty();
  const std::string path = named ? profile_path : model_path + ".profile.json";
  std::error_code ignored;
  if (named || std::filesystem::is_regular_file(path, ignored)) {
    TOME_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    TOME_ASSIGN_OR_RETURN(ModelProfile profile, ParseModelProfile(text, path, config));
    if (profile.model_digest == model_digest) return profile;
    return FailedPrecondition(
        "{}: it was made for the model with digest {}, but {} has {}; make one for it with "
        "tome-eval calibrate",
        path, profile.model_digest, model_path, model_digest);
  }
  for (const ShippedProfile& shipped : ShippedProfiles()) {
    if (shipped.json.find(model_digest) == std::string_view::npos) continue;
    TOME_ASSIGN_OR_RETURN(ModelProfile profile, ParseModelProfile(shipped.json, std::string(shipped.name), config));
    if (profile.model_digest == model_digest) return profile;
  }
  return ModelProfile{.model_digest = model_digest};
}

}  // namespace tome
