#include "engine/checkpoint/contents/json_reader.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

#include "engine/base/quote.h"
#include "engine/base/status.h"

namespace tome {
namespace {

using Json = nlohmann::json;

// Builds the document from parser events. nlohmann's own builder keeps the last of several equal names and has no bound
// on depth.
class DocumentBuilder : public nlohmann::json_sax<Json> {
 public:
  explicit DocumentBuilder(std::string source) : source_(std::move(source)) {}

  Json TakeDocument() { return std::move(document_); }
  const absl::Status& status() const { return status_; }

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(value); }
  bool number_unsigned(number_unsigned_t value) override { return Add(value); }
  bool number_float(number_float_t value, const string_t&) override { return Add(value); }
  bool string(string_t& value) override { return Add(std::move(value)); }
  bool binary(binary_t&) override { return Fail("binary values are no JSON"); }
  bool start_object(std::size_t) override { return Open(Json::object()); }
  bool start_array(std::size_t) override { return Open(Json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (open_.back()->contains(name)) return Fail(fmt::format("expected unique names, found {} twice", Quote(name)));
    name_ = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..."
    std::string reason = error.what();
    if (const std::size_t bracket = reason.find("] "); bracket != std::string::npos) reason.erase(0, bracket + 2);
    return Fail(fmt::format("expected JSON, found at byte {}: {}", position, Quote(reason, 160)));
  }

 private:
  bool Fail(const std::string& message) {
    if (status_.ok()) status_ = InvalidArgument("{}: {}", source_, message);
    return false;
  }

  Json* Place(Json value) {
    if (open_.empty()) {
      document_ = std::move(value);
      return &document_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[name_] = std::move(value));
  }

  bool Add(Json value) {
    Place(std::move(value));
    return true;
  }

  bool Open(Json container) {
    if (open_.size() == kMaxJsonDepth)
      return Fail(fmt::format("expected at most {} levels, found more", kMaxJsonDepth));
    open_.push_back(Place(std::move(container)));
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  std::string source_;
  absl::Status status_;
  Json document_;
  std::vector<Json*> open_;  // the containers around the next value; a parent does not grow while its child is open
  std::string name_;
};

// The integer that a number is; nullopt for fractions and for what is too large.
std::optional<std::int64_t> IntegerOf(const Json& number) {
  if (number.is_number_float()) {
    constexpr double kExact = 9007199254740992.0;  // 2^53
    const auto value = number.get<double>();
    if (std::trunc(value) != value || std::abs(value) > kExact) return std::nullopt;
    return static_cast<std::int64_t>(value);
  }
  constexpr auto kMaxSigned = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (number.is_number_unsigned() && number.get<std::uint64_t>() > kMaxSigned) return std::nullopt;
  return number.get<std::int64_t>();
}

}  // namespace

absl::StatusOr<Json> ParseJsonObject(std::string_view text, const std::string& source) {
  if (text.size() > kMaxJsonBytes) {
    return InvalidArgument("{}: expected at most {} bytes of JSON, found {}", source, kMaxJsonBytes, text.size());
  }
  DocumentBuilder builder(source);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) return builder.status();
  Json document = builder.TakeDocument();
  if (!document.is_object()) {
    return InvalidArgument("{}: expected a JSON object, found {}", source, DescribeJson(document));
  }
  return document;
}

std::string DescribeJson(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::string:
      return "the string " + Quote(value.get_ref<const std::string&>());
    default:
      return value.dump();
  }
}

const Json* JsonFields::Find(const std::string& name) const {
  const auto found = object_->find(name);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

absl::Status JsonFields::Unexpected(const std::string& name, std::string_view expected) const {
  const Json* value = Find(name);
  return InvalidArgument("{}: field {}: expected {}, found {}", place_, Quote(name), expected,
                         value != nullptr ? DescribeJson(*value) : "no such field");
}

absl::StatusOr<JsonFields> JsonFields::Object(const std::string& name) const {
  static const Json empty = Json::object();
  const Json* value = Find(name);
  if (value == nullptr) return JsonFields(empty, fmt::format("{}: {}", place_, name), warnings_);
  if (!value->is_object()) return Unexpected(name, "an object");
  return JsonFields(*value, fmt::format("{}: {}", place_, name), warnings_);
}

std::optional<Json> JsonFields::NumberOf(const std::string& name, const Json& value) const {
  if (value.is_number()) return value;
  if (!value.is_string() || warnings_ == nullptr) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  warnings_->push_back(fmt::format("{}: field {}: expected a number, found {}: taken as {}", place_, Quote(name),
                                   DescribeJson(value), number));
  return Json(number);
}

absl::StatusOr<std::optional<std::int64_t>> JsonFields::OptionalInteger(const std::string& name, std::int64_t minimum,
                                                                        std::int64_t maximum) const {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<Json> number = NumberOf(name, *value);
  const std::optional<std::int64_t> integer = number ? IntegerOf(*number) : std::nullopt;
  if (!integer || *integer < minimum || *integer > maximum) {
    return Unexpected(name, fmt::format("an integer from {} to {}", minimum, maximum));
  }
  return integer;
}

absl::StatusOr<std::int64_t> JsonFields::Integer(const std::string& name, std::int64_t minimum,
                                                 std::int64_t maximum) const {
  TOME_ASSIGN_OR_RETURN(const auto value, OptionalInteger(name, minimum, maximum));
  if (!value) return Unexpected(name, fmt::format("an integer from {} to {}", minimum, maximum));
  return *value;
}

absl::StatusOr<std::optional<double>> JsonFields::OptionalNumber(const std::string& name) const {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<Json> number = NumberOf(name, *value);
  if (!number) return Unexpected(name, "a number");
  return number->get<double>();
}

absl::StatusOr<double> JsonFields::Number(const std::string& name) const {
  TOME_ASSIGN_OR_RETURN(const auto value, OptionalNumber(name));
  if (!value) return Unexpected(name, "a number");
  return *value;
}

absl::StatusOr<std::optional<bool>> JsonFields::OptionalBool(const std::string& name) const {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) return Unexpected(name, "true or false");
  return value->get<bool>();
}

absl::StatusOr<std::optional<std::string>> JsonFields::OptionalString(const std::string& name) const {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return Unexpected(name, "a string");
  return value->get<std::string>();
}

absl::StatusOr<std::string> JsonFields::String(const std::string& name) const {
  TOME_ASSIGN_OR_RETURN(auto value, OptionalString(name));
  if (!value) return Unexpected(name, "a string");
  return *std::move(value);
}

}  // namespace tome
