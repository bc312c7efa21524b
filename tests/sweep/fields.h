// Every field of a message, and the edges of what it may hold.
#ifndef TOME_TESTS_SWEEP_FIELDS_H_
#define TOME_TESTS_SWEEP_FIELDS_H_

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace tome::testing {

// From a message down to one of its fields.
using FieldPath = std::vector<const google::protobuf::FieldDescriptor*>;
// "generation.stop".
std::string PathName(const FieldPath& path);

// All fields of messages of this type and of those in them; messages themselves too, for being there or not.
std::vector<FieldPath> AllFields(const google::protobuf::Descriptor* type);

// Puts a value into a field. Repeated fields get another element.
struct FieldValue {
  std::string name;
  std::function<void(google::protobuf::Message*, const google::protobuf::FieldDescriptor*)> set;
};

// Zero, one, minus one, the largest and smallest, NaN and infinity, values that an enumeration lacks, every odd and
// huge text; as the field's type has them. `texts`: with those of one byte or character as well.
std::vector<FieldValue> EdgesOf(const google::protobuf::FieldDescriptor* field, bool texts);
FieldValue RandomValueOf(const google::protobuf::FieldDescriptor* field, std::mt19937_64* random);

// Sets the field that `path` leads to.
void SetField(google::protobuf::Message* message, const FieldPath& path, const FieldValue& value);

}  // namespace tome::testing

#endif  // TOME_TESTS_SWEEP_FIELDS_H_
