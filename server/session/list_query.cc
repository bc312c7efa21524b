#include "server/session/list_query.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <optional>

#include "engine/base/crc32c.h"
#include "engine/base/digest.h"
#include "engine/base/quote.h"
#include "engine/base/status.h"
#include "server/base/errors.h"

namespace tome::server {
namespace {

constexpr std::string_view kAnd = " AND ";
constexpr std::string_view kDescending = " desc";

absl::Status QueryError(const std::string& field, const std::string& what) {
  return MakeError(absl::StatusCode::kInvalidArgument, fmt::format("{}: {}", field, what),
                   {.reason = "LIST_QUERY", .metadata = {{"field", field}}});
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// The parts between " AND ", which may stand in quotes without a meaning.
std::vector<std::string_view> SplitConditions(std::string_view filter) {
  std::vector<std::string_view> parts;
  bool quoted = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < filter.size(); ++i) {
    if (quoted && filter[i] == '\\') {
      ++i;
    } else if (filter[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && filter.substr(i, kAnd.size()) == kAnd) {
      parts.push_back(filter.substr(begin, i - begin));
      begin = i + kAnd.size();
      i = begin - 1;
    }
  }
  parts.push_back(filter.substr(begin));
  return parts;
}

// A value as it stands in a filter; nullopt when it is none.
std::optional<std::string> ParseValue(std::string_view text) {
  if (text.empty()) return std::nullopt;
  if (text.front() != '"') {
    const bool bare = text.find_first_of(" \"\\") == std::string_view::npos;
    return bare ? std::optional<std::string>(text) : std::nullopt;
  }
  std::string value;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1 == text.size() ? std::optional(value) : std::nullopt;
    if (text[i] == '\\' && (++i == text.size() || (text[i] != '"' && text[i] != '\\'))) return std::nullopt;
    value += text[i];
  }
  return std::nullopt;
}

const std::map<std::string, SessionPhase, std::less<>>& Phases() {
  static const auto& phases =
      *new std::map<std::string, SessionPhase, std::less<>>{{"idle", SessionPhase::kIdle},
                                                            {"reading", SessionPhase::kReading},
                                                            {"evicted", SessionPhase::kEvicted},
                                                            {"restoring", SessionPhase::kRestoring},
                                                            {"failed", SessionPhase::kFailed}};
  return phases;
}

const std::map<std::string, StatePlace, std::less<>>& Places() {
  static const auto& places =
      *new std::map<std::string, StatePlace, std::less<>>{{"none", StatePlace::kNone},
                                                          {"resident", StatePlace::kResident},
                                                          {"evicted", StatePlace::kEvicted},
                                                          {"restoring", StatePlace::kRestoring}};
  return places;
}

// The highest byte first, so that texts compare as the numbers do.
void AppendNumber(std::uint64_t number, std::string* key) {
  for (int shift = 56; shift >= 0; shift -= 8) key->push_back(static_cast<char>(number >> shift));
}
void AppendTime(absl::Time time, std::string* key) {
  AppendNumber(static_cast<std::uint64_t>(absl::ToUnixMicros(time)) ^ (std::uint64_t{1} << 63), key);
}

}  // namespace

absl::StatusOr<ListQuery::Condition> ListQuery::ParseLabel(std::string_view key, char op, const std::string& value) {
  if (op == '=') {
    return Condition([key = std::string(key), value](const SessionInfo& info) {
      const auto label = info.labels.find(key);
      return label != info.labels.end() && label->second == value;
    });
  }
  if (op == ':' && value == "*") {
    return Condition([key = std::string(key)](const SessionInfo& info) { return info.labels.contains(key); });
  }
  return QueryError("filter", fmt::format("expected labels.{0}=VALUE or labels.{0}:*", std::string(key)));
}

absl::StatusOr<ListQuery::Condition> ListQuery::ParseCondition(std::string_view text) {
  constexpr std::string_view kLabels = "labels.";
  const std::size_t at = text.find_first_of("=:<>");
  const std::string_view field = text.substr(0, at);
  const std::optional<std::string> value =
      at == std::string_view::npos ? std::nullopt : ParseValue(text.substr(at + 1));
  if (!value) return QueryError("filter", fmt::format("expected FIELD=VALUE and the like, found {}", Quote(text)));
  const char op = text[at];
  if (field.starts_with(kLabels) && field.size() > kLabels.size()) {
    return ParseLabel(field.substr(kLabels.size()), op, *value);
  }
  if (field == "display_name" && op == ':') {
    return Condition([part = Lower(*value)](const SessionInfo& info) {
      return Lower(info.display_name).find(part) != std::string::npos;
    });
  }
  if (const auto phase = Phases().find(*value); field == "phase" && op == '=' && phase != Phases().end()) {
    return Condition([wanted = phase->second](const SessionInfo& info) { return info.phase == wanted; });
  }
  if (const auto place = Places().find(*value); field == "residency" && op == '=' && place != Places().end()) {
    return Condition([wanted = place->second](const SessionInfo& info) { return info.state_place == wanted; });
  }
  if (field == "pinned" && op == '=' && (*value == "true" || *value == "false")) {
    return Condition([wanted = *value == "true"](const SessionInfo& info) { return info.pinned == wanted; });
  }
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
  const bool is_number = error == std::errc() && end == value->data() + value->size();
  if (field == "durable_bytes" && (op == '<' || op == '>') && is_number) {
    return Condition([op, number](const SessionInfo& info) {
      return op == '<' ? info.durable_bytes < number : info.durable_bytes > number;
    });
  }
  return QueryError("filter", fmt::format("no such condition: {}", Quote(text)));
}

absl::StatusOr<ListQuery> ListQuery::Parse(std::string_view filter, std::string_view order_by) {
  static const auto& keys = *new std::map<std::string, AppendKey, std::less<>>{
      {"create_time", [](const SortFields& fields, std::string* key) { AppendTime(fields.create_time, key); }},
      {"update_time", [](const SortFields& fields, std::string* key) { AppendTime(fields.update_time, key); }},
      {"last_use_time", [](const SortFields& fields, std::string* key) { AppendTime(fields.last_use_time, key); }},
      {"durable_bytes", [](const SortFields& fields, std::string* key) { AppendNumber(fields.durable_bytes, key); }},
      {"display_name", [](const SortFields& fields, std::string* key) { *key += fields.display_name; }},
      {"name", [](const SortFields& fields, std::string* key) { *key += fields.id; }}};
  ListQuery query;
  query.fingerprint_ = Crc32c(fmt::format("{}\n{}", std::string(filter), std::string(order_by)));
  if (order_by.empty()) order_by = "create_time desc";
  std::string_view field = order_by;
  query.descending_ = field.ends_with(kDescending);
  if (query.descending_) field.remove_suffix(kDescending.size());
  const auto key = keys.find(field);
  if (key == keys.end()) return QueryError("order_by", fmt::format("no such order: {}", Quote(order_by)));
  query.append_key_ = key->second;
  if (filter.empty()) return query;
  for (const std::string_view text : SplitConditions(filter)) {
    TOME_ASSIGN_OR_RETURN(query.conditions_.emplace_back(), ParseCondition(text));
  }
  return query;
}

bool ListQuery::Matches(const SessionInfo& info) const {
  return std::all_of(conditions_.begin(), conditions_.end(),
                     [&](const Condition& condition) { return condition(info); });
}

std::string ListQuery::SortKey(const SortFields& fields) const {
  std::string key;
  key.reserve(fields.display_name.size() + fields.id.size() + 16);
  append_key_(fields, &key);
  // The end of the first part is less than any character, or in the other direction more.
  key.push_back('\0');
  if (descending_) {
    for (char& byte : key) byte = static_cast<char>(~byte);
  }
  key += fields.id;
  return key;
}

std::string ListQuery::MakePageToken(const std::string& last_key) const {
  return fmt::format("{:08x}.{}", fingerprint_, HexEncode(last_key));
}

absl::StatusOr<std::string> ListQuery::ParsePageToken(const std::string& token) const {
  const std::size_t dot = token.find('.');
  const std::optional<std::string> key =
      dot == std::string::npos ? std::nullopt : HexDecode(std::string_view(token).substr(dot + 1));
  if (key && MakePageToken(*key) == token) return *key;
  return MakeError(absl::StatusCode::kInvalidArgument,
                   "page_token is not one that this server gave for the same filter and order",
                   {.reason = "PAGE_TOKEN", .metadata = {{"field", "page_token"}}});
}

}  // namespace tome::server
