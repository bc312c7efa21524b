#include "server/rpc/wire/question_fields.h"

#include <algorithm>
#include <cstdint>

namespace tome::server {
namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

}  // namespace

std::optional<Effort> FromProto(v1::Effort effort) {
  switch (effort) {
    case v1::EFFORT_FAST:
      return Effort::kFast;
    case v1::EFFORT_BALANCED:
      return Effort::kBalanced;
    case v1::EFFORT_THOROUGH:
      return Effort::kThorough;
    default:
      return std::nullopt;
  }
}

v1::CustomPromptForm ToProto(const tome::PromptForm& form) {
  v1::CustomPromptForm proto;
  proto.set_prompt(form.prompt);
  proto.set_turn(form.turn);
  proto.set_chat(form.chat);
  proto.set_opening(form.opening);
  for (const std::string& stop : form.stop) proto.add_stop(stop);
  return proto;
}

v1::Effort ToProto(Effort effort) {
  switch (effort) {
    case Effort::kFast:
      return v1::EFFORT_FAST;
    case Effort::kBalanced:
      return v1::EFFORT_BALANCED;
    case Effort::kThorough:
      return v1::EFFORT_THOROUGH;
  }
  return v1::EFFORT_UNSPECIFIED;
}

tome::PromptForm FromProto(const v1::CustomPromptForm& proto) {
  return {.prompt = proto.prompt(),
          .turn = proto.turn(),
          .chat = proto.chat(),
          .opening = proto.opening(),
          .stop = {proto.stop().begin(), proto.stop().end()}};
}

void SetDuration(absl::Duration duration, google::protobuf::Duration* proto) {
  // The contract's durations count forward, and google.protobuf.Duration ends at 10,000 years.
  duration = std::clamp(duration, absl::ZeroDuration(), absl::Hours(24 * 365 * 100));
  const std::int64_t nanoseconds = absl::ToInt64Nanoseconds(duration);
  proto->set_seconds(nanoseconds / kNanosPerSecond);
  proto->set_nanos(static_cast<int>(nanoseconds % kNanosPerSecond));
}

}  // namespace tome::server
