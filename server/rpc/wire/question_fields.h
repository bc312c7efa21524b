// Parts of messages that both questions and models have.
#ifndef TOME_SERVER_RPC_WIRE_QUESTION_FIELDS_H_
#define TOME_SERVER_RPC_WIRE_QUESTION_FIELDS_H_

#include <optional>

#include "absl/time/time.h"
#include "engine/engine.h"
#include "tome/v1/tome.pb.h"

namespace tome::server {

std::optional<Effort> FromProto(v1::Effort effort);
tome::PromptForm FromProto(const v1::CustomPromptForm& form);
v1::CustomPromptForm ToProto(const tome::PromptForm& form);
v1::Effort ToProto(Effort effort);
// Never negative, and within what the contract can say.
void SetDuration(absl::Duration duration, google::protobuf::Duration* proto);

}  // namespace tome::server

#endif  // TOME_SERVER_RPC_WIRE_QUESTION_FIELDS_H_
