// Foreign JSON: parsed with bounds, and read field by field with messages that say where and what.
#ifndef TOME_ENGINE_CHECKPOINT_CONTENTS_JSON_READER_H_
#define TOME_ENGINE_CHECKPOINT_CONTENTS_JSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace tome {

inline constexpr int kMaxJsonDepth = 32;
inline constexpr std::size_t kMaxJsonBytes = std::size_t{64} << 20;

// Parses a text that must be one JSON object, with nothing after it. INVALID_ARGUMENT: "<source>: ..." with the byte
// offset, for broken JSON, a name that occurs twice in an object, nesting deeper than kMaxJsonDepth, a text longer than
// kMaxJsonBytes, or another value than an object. Throws nothing.
absl::StatusOr<nlohmann::json> ParseJsonObject(std::string_view text, const std::string& source);

// A value in few words: "the string 'abc'", "an array", "12".
std::string DescribeJson(const nlohmann::json& value);

// Typed access to the fields of an object. A field that is null counts as absent, and 8.0 as the integer 8. Every error
// is INVALID_ARGUMENT: "<place>: field 'name': expected ..., found ...". Refers to the object, which must outlive it.
class JsonFields {
 public:
  // `object` must be a JSON object. `place` is its file, and the field it is in. With `warnings`, strings that hold a
  // number ("8192", "8192.0") are taken where one is expected, with a warning.
  JsonFields(const nlohmann::json& object, std::string place, std::vector<std::string>* warnings = nullptr)
      : object_(&object), place_(std::move(place)), warnings_(warnings) {}

  // The same for an optional inner object; an absent one gives an object without fields.
  absl::StatusOr<JsonFields> Object(const std::string& name) const;

  const std::string& place() const { return place_; }
  // Null when absent.
  const nlohmann::json* Find(const std::string& name) const;
  bool Has(const std::string& name) const { return Find(name) != nullptr; }
  // Whether the object has the field, be it null.
  bool Mentions(const std::string& name) const { return object_->contains(name); }

  absl::StatusOr<std::int64_t> Integer(const std::string& name, std::int64_t minimum, std::int64_t maximum) const;
  absl::StatusOr<std::optional<std::int64_t>> OptionalInteger(const std::string& name, std::int64_t minimum,
                                                              std::int64_t maximum) const;
  absl::StatusOr<double> Number(const std::string& name) const;
  absl::StatusOr<std::optional<double>> OptionalNumber(const std::string& name) const;
  absl::StatusOr<std::optional<bool>> OptionalBool(const std::string& name) const;
  absl::StatusOr<std::string> String(const std::string& name) const;
  absl::StatusOr<std::optional<std::string>> OptionalString(const std::string& name) const;

  // The error for a field: "<place>: field 'name': expected <expected>, found <the value>".
  absl::Status Unexpected(const std::string& name, std::string_view expected) const;

 private:
  // The number that the value is; nullopt when it is none.
  std::optional<nlohmann::json> NumberOf(const std::string& name, const nlohmann::json& value) const;

  const nlohmann::json* object_;
  std::string place_;
  std::vector<std::string>* warnings_;
};

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CONTENTS_JSON_READER_H_
