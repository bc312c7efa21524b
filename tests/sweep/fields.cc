#include "tests/sweep/fields.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "engine/base/quote.h"
#include "fmt/format.h"
#include "tests/sweep/inputs.h"

namespace tome::testing {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kManyElements = 40;

// `set` and `add` are the methods of Reflection for singular and for repeated fields of the type.
template <typename Value, typename Set, typename Add>
void SetOrAdd(Message* message, const FieldDescriptor* field, const Value& value, Set set, Add add) {
  const Reflection* reflection = message->GetReflection();
  if (field->is_repeated()) {
    (reflection->*add)(message, field, value);
  } else {
    (reflection->*set)(message, field, value);
  }
}

void SetNumber(Message* message, const FieldDescriptor* field, std::int64_t value, std::uint64_t unsigned_value) {
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return SetOrAdd(message, field, static_cast<std::int32_t>(value), &Reflection::SetInt32, &Reflection::AddInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return SetOrAdd(message, field, value, &Reflection::SetInt64, &Reflection::AddInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return SetOrAdd(message, field, static_cast<std::uint32_t>(unsigned_value), &Reflection::SetUInt32,
                      &Reflection::AddUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return SetOrAdd(message, field, unsigned_value, &Reflection::SetUInt64, &Reflection::AddUInt64);
    case FieldDescriptor::CPPTYPE_BOOL:
      return SetOrAdd(message, field, unsigned_value != 0, &Reflection::SetBool, &Reflection::AddBool);
    case FieldDescriptor::CPPTYPE_ENUM:
      return SetOrAdd(message, field, static_cast<int>(value), &Reflection::SetEnumValue, &Reflection::AddEnumValue);
    default:
      return;
  }
}

FieldValue SignedValue(std::int64_t value) {
  return {std::to_string(value), [value](Message* message, const FieldDescriptor* field) {
            SetNumber(message, field, value, static_cast<std::uint64_t>(value));
          }};
}

FieldValue UnsignedValue(std::uint64_t value) {
  return {std::to_string(value), [value](Message* message, const FieldDescriptor* field) {
            SetNumber(message, field, static_cast<std::int64_t>(value), value);
          }};
}

FieldValue RealValue(double value) {
  return {fmt::format("{}", value), [value](Message* message, const FieldDescriptor* field) {
            if (field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) {
              SetOrAdd(message, field, static_cast<float>(value), &Reflection::SetFloat, &Reflection::AddFloat);
            } else {
              SetOrAdd(message, field, value, &Reflection::SetDouble, &Reflection::AddDouble);
            }
          }};
}

FieldValue TextValue(const std::string& text) {
  return {fmt::format("{} bytes {}", text.size(), Quote(text, 60)),
          [text](Message* message, const FieldDescriptor* field) {
            SetOrAdd(message, field, text, &Reflection::SetString, &Reflection::AddString);
          }};
}

// The message is there, with nothing in it.
FieldValue PresentValue() {
  return {"present", [](Message* message, const FieldDescriptor* field) {
            if (field->is_repeated()) {
              message->GetReflection()->AddMessage(message, field);
            } else {
              message->GetReflection()->MutableMessage(message, field);
            }
          }};
}

// The same, many times.
FieldValue Many(const FieldValue& value) {
  return {fmt::format("{} times {}", kManyElements, value.name),
          [set = value.set](Message* message, const FieldDescriptor* field) {
            for (int i = 0; i < kManyElements; ++i) set(message, field);
          }};
}

std::vector<FieldValue> SignedEdges() {
  using Limits32 = std::numeric_limits<std::int32_t>;
  using Limits64 = std::numeric_limits<std::int64_t>;
  std::vector<FieldValue> values;
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{Limits32::max()},
                                   std::int64_t{Limits32::min()}, Limits64::max(), Limits64::min()}) {
    values.push_back(SignedValue(value));
  }
  return values;
}

std::vector<FieldValue> UnsignedEdges() {
  constexpr std::uint64_t k1 = 1, k32 = k1 << 32, k63 = k1 << 63;
  std::vector<FieldValue> values;
  for (const std::uint64_t value :
       {0 * k1, k1, 2 * k1, 7 * k1, 64 * k1, 1000 * k1, k32 / 2 - 1, k32 / 2, k32 - 1, k63 - 1, k63, ~(0 * k1)}) {
    values.push_back(UnsignedValue(value));
  }
  return values;
}

std::vector<FieldValue> RealEdges() {
  using Limits = std::numeric_limits<double>;
  std::vector<FieldValue> values;
  for (const double value :
       {0.0, -0.0, 1.0, -1.0, 0.5, 10.0, 1e-300, Limits::denorm_min(), Limits::epsilon(), Limits::max(),
        Limits::lowest(), Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()}) {
    values.push_back(RealValue(value));
  }
  return values;
}

std::vector<FieldValue> EnumerationEdges(const google::protobuf::EnumDescriptor* type) {
  std::vector<FieldValue> values;
  for (int i = 0; i < type->value_count(); ++i) values.push_back(SignedValue(type->value(i)->number()));
  for (const int value : {-1, 99, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()}) {
    values.push_back(SignedValue(value));
  }
  return values;
}

std::vector<FieldValue> NumbersOf(const FieldDescriptor* field) {
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      return SignedEdges();
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return UnsignedEdges();
    case FieldDescriptor::CPPTYPE_BOOL:
      return {UnsignedValue(0), UnsignedValue(1)};
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return RealEdges();
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumerationEdges(field->enum_type());
    default:
      return {};
  }
}

bool IsText(const FieldDescriptor* field) { return field->cpp_type() == FieldDescriptor::CPPTYPE_STRING; }
bool IsMessage(const FieldDescriptor* field) { return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE; }

void AddFields(const Descriptor* type, FieldPath* path, std::vector<FieldPath>* all) {
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    path->push_back(field);
    all->push_back(*path);
    // What a session is read to have is nothing that a client says.
    const bool told = field->name() == "documents" || field->name() == "snapshots";
    if (IsMessage(field) && !told) AddFields(field->message_type(), path, all);
    path->pop_back();
  }
}

}  // namespace

std::string PathName(const FieldPath& path) {
  std::string name;
  for (const FieldDescriptor* field : path) name += (name.empty() ? "" : ".") + field->name();
  return name;
}

std::vector<FieldPath> AllFields(const Descriptor* type) {
  std::vector<FieldPath> all;
  FieldPath path;
  AddFields(type, &path, &all);
  return all;
}

std::vector<FieldValue> EdgesOf(const FieldDescriptor* field, bool texts) {
  std::vector<FieldValue> values = NumbersOf(field);
  if (IsMessage(field)) values.push_back(PresentValue());
  if (IsText(field)) {
    for (const std::string& text : OddTexts()) values.push_back(TextValue(text));
    for (const std::string& text : HugeTexts()) values.push_back(TextValue(text));
    if (texts) {
      for (const std::string& text : SingleBytes()) values.push_back(TextValue(text));
      for (const std::string& text : CharactersOfEveryCategory()) values.push_back(TextValue(text));
    }
  }
  if (field->is_repeated()) values.push_back(Many(IsText(field) ? TextValue("x") : values.front()));
  return values;
}

FieldValue RandomValueOf(const FieldDescriptor* field, std::mt19937_64* random) {
  if (IsText(field) && (*random)() % 4 > 0) return TextValue(RandomText(random));
  std::vector<FieldValue> values = EdgesOf(field, /*texts=*/false);
  if (IsText(field) && (*random)() % 16 > 0) values.resize(OddTexts().size());  // huge ones take long
  return values[(*random)() % values.size()];
}

void SetField(Message* message, const FieldPath& path, const FieldValue& value) {
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    const Reflection* reflection = message->GetReflection();
    if (!path[i]->is_repeated()) {
      message = reflection->MutableMessage(message, path[i]);
    } else if (reflection->FieldSize(*message, path[i]) > 0) {
      message = reflection->MutableRepeatedMessage(message, path[i], 0);
    } else {
      message = reflection->AddMessage(message, path[i]);
    }
  }
  value.set(message, path.back());
}

}  // namespace tome::testing
