#include "client/command/json.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "client/errors.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/util/time_util.h"

namespace tome::command {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// "Phase" -> "PHASE", "FinishReason" -> "FINISH_REASON".
std::string UpperSnake(const std::string& name) {
  std::string result;
  for (const char c : name) {
    if (std::isupper(static_cast<unsigned char>(c)) && !result.empty()) result += '_';
    result += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return result;
}

std::string EnumName(const EnumValueDescriptor& value) {
  std::string name = value.name();
  const std::string prefix = UpperSnake(value.type()->name()) + "_";
  if (name.starts_with(prefix)) name.erase(0, prefix.size());
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

bool IsDuration(const FieldDescriptor& field) {
  return field.message_type() != nullptr && field.message_type() == google::protobuf::Duration::descriptor();
}

Json MessageValue(const Message& message) {
  if (message.GetDescriptor() == google::protobuf::Timestamp::descriptor()) {
    return google::protobuf::util::TimeUtil::ToString(dynamic_cast<const google::protobuf::Timestamp&>(message));
  }
  if (message.GetDescriptor() == google::protobuf::Duration::descriptor()) {
    const auto& duration = dynamic_cast<const google::protobuf::Duration&>(message);
    return static_cast<double>(duration.seconds()) + static_cast<double>(duration.nanos()) * 1e-9;
  }
  return ToJson(message);
}

// A field that is not repeated, or (index >= 0) one element of a repeated field.
Json FieldValue(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection& reflection = *message.GetReflection();
  const bool one = index < 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return one ? reflection.GetInt32(message, field) : reflection.GetRepeatedInt32(message, field, index);
    case FieldDescriptor::CPPTYPE_INT64:
      return one ? reflection.GetInt64(message, field) : reflection.GetRepeatedInt64(message, field, index);
    case FieldDescriptor::CPPTYPE_UINT32:
      return one ? reflection.GetUInt32(message, field) : reflection.GetRepeatedUInt32(message, field, index);
    case FieldDescriptor::CPPTYPE_UINT64:
      return one ? reflection.GetUInt64(message, field) : reflection.GetRepeatedUInt64(message, field, index);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return one ? reflection.GetDouble(message, field) : reflection.GetRepeatedDouble(message, field, index);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return one ? reflection.GetFloat(message, field) : reflection.GetRepeatedFloat(message, field, index);
    case FieldDescriptor::CPPTYPE_BOOL:
      return one ? reflection.GetBool(message, field) : reflection.GetRepeatedBool(message, field, index);
    case FieldDescriptor::CPPTYPE_STRING:
      return one ? reflection.GetString(message, field) : reflection.GetRepeatedString(message, field, index);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumName(one ? *reflection.GetEnum(message, field) : *reflection.GetRepeatedEnum(message, field, index));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageValue(one ? reflection.GetMessage(message, field)
                              : reflection.GetRepeatedMessage(message, field, index));
  }
  return nullptr;
}

// A map<string, string> with its keys in order.
Json MapValue(const Message& message, const FieldDescriptor* field) {
  const FieldDescriptor* key = field->message_type()->map_key();
  const FieldDescriptor* value = field->message_type()->map_value();
  std::map<std::string, Json> sorted;
  for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
    const Message& entry = message.GetReflection()->GetRepeatedMessage(message, field, i);
    sorted[FieldValue(entry, key, -1).get<std::string>()] = FieldValue(entry, value, -1);
  }
  Json json = Json::object();
  for (auto& [name, entry] : sorted) json[name] = std::move(entry);
  return json;
}

}  // namespace

Json ToJson(const Message& message) {
  Json json = Json::object();
  const Descriptor& descriptor = *message.GetDescriptor();
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor* field = descriptor.field(i);
    const std::string name = field->name() + (IsDuration(*field) ? "_seconds" : "");
    if (field->is_map()) {
      json[name] = MapValue(message, field);
    } else if (field->is_repeated()) {
      json[name] = Json::array();
      for (int j = 0; j < reflection.FieldSize(message, field); ++j)
        json[name].push_back(FieldValue(message, field, j));
    } else if (field->has_presence() && !reflection.HasField(message, field)) {
      json[name] = nullptr;
    } else {
      json[name] = FieldValue(message, field, -1);
    }
  }
  return json;
}

Json ErrorToJson(const absl::Status& status) {
  const client::ErrorDetails details = client::DetailsOf(status);
  Json violations = Json::array();
  for (const auto& violation : details.field_violations) {
    violations.push_back({{"field", violation.field}, {"description", violation.description}});
  }
  Json error;
  error["code"] = absl::StatusCodeToString(status.code());
  error["message"] = std::string(status.message());
  error["reason"] = details.reason;
  error["metadata"] = details.metadata;
  error["field_violations"] = std::move(violations);
  error["retry_delay_seconds"] = nullptr;
  if (details.retry_delay.has_value()) {
    error["retry_delay_seconds"] = static_cast<double>(details.retry_delay->count()) / 1000;
  }
  Json json;
  json["error"] = std::move(error);
  return json;
}

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace tome::command
