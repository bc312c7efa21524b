// Messages of the wire contract as JSON for programs.
#ifndef TOME_CLIENT_COMMAND_JSON_H_
#define TOME_CLIENT_COMMAND_JSON_H_

#include <string>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "nlohmann/json.hpp"

namespace tome::command {

using Json = nlohmann::ordered_json;

// Every field of `message`, in the contract's order and by the contract's names, also fields that are zero or empty:
//   - 64-bit numbers are numbers, not texts;
//   - an enum value is its short name in lower case: PHASE_READING of Session.Phase is "reading";
//   - a timestamp is an RFC 3339 text; a duration is a number of seconds, and its name ends in "_seconds";
//   - a message, timestamp or duration that is not set is null.
Json ToJson(const google::protobuf::Message& message);

// {"error": {"code": "NOT_FOUND", "message": ..., "reason": ..., "metadata": {}, "field_violations": [],
//            "retry_delay_seconds": ...}}
Json ErrorToJson(const absl::Status& status);

// On one line, without any byte that is not UTF-8.
std::string Dump(const Json& json);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_JSON_H_
